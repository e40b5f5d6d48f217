#include "sandbox/pod_world.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <functional>

#include "sandbox/cgroup.h"
#include "sandbox/devices.h"
#include "sandbox/file.h"

namespace weft::sandbox {
namespace fs = std::filesystem;
namespace {

// Every pod's gateway has this address pair; ARP and neighbour discovery are never needed.
constexpr std::string_view kGatewayMac = "ee:ee:ee:ee:ee:ee";
constexpr std::string_view kGatewayV4 = "169.254.1.1";
constexpr std::string_view kGatewayV6 = "fe80::1";

std::string failed(std::string_view step) {
  return fmt::format("{}: {}", step, std::strerror(errno));
}

// Programs expect their directories in /run (/run/postgresql …): the same ones as on the machine,
// empty.
std::string private_run(const std::vector<std::pair<std::string, struct stat>>& directories) {
  if (mount("tmpfs", "/run", "tmpfs", 0, "mode=755") != 0) return failed("mount tmpfs on /run");
  for (const auto& [name, info] : directories) {
    const auto path = "/run/" + name;
    mkdir(path.c_str(), 0755);
    chmod(path.c_str(), info.st_mode & 07777);
    (void)!chown(path.c_str(), info.st_uid, info.st_gid);
  }
  return {};
}

const std::vector<std::pair<std::string, struct stat>>& host_run_directories() {
  static const auto directories = [] {
    std::vector<std::pair<std::string, struct stat>> found;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator("/run", error)) {
      struct stat info;
      const auto name = entry.path().filename().string();
      if (name == "weft" || name == "netns" || lstat(entry.path().c_str(), &info) != 0 ||
          !S_ISDIR(info.st_mode))
        continue;
      found.emplace_back(name, info);
    }
    return found;
  }();
  return directories;
}

std::string pod_mac(const PodSpec& spec) {
  const auto h = std::hash<std::string>()(spec.uid);
  return fmt::format("02:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}", h & 0xff, (h >> 8) & 0xff,
                     (h >> 16) & 0xff, (h >> 24) & 0xff, (h >> 32) & 0xff);
}

}  // namespace

std::string resolv_conf(std::string_view ns) {
  return fmt::format("nameserver {}\nsearch {}.svc.{} svc.{} {}\noptions ndots:5\n", kDnsV4, ns,
                     kClusterDomain, kClusterDomain, kClusterDomain);
}

std::string hosts_file(const PodSpec& spec) {
  std::string text =
      "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost "
      "ip6-loopback\n"
      "fe00::0\tip6-localnet\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n";
  const auto full = spec.subdomain.empty() ? std::string()
                                           : fmt::format("{}.{}.{}.svc.{}\t", spec.hostname,
                                                         spec.subdomain, spec.ns, kClusterDomain);
  for (const auto& ip : {spec.v4, spec.v6}) {
    if (!ip.empty()) text += fmt::format("{}\t{}{}\n", ip, full, spec.hostname);
  }
  return text;
}

// In the pod's first process, in the node's namespaces and the pod's cgroup.
std::string PodWorld::become_pod() const {
  if (!spec_.host_network) {
    if (unshare(CLONE_NEWNET) != 0) return failed("unshare network namespace");
    pod_sysctls();
  }
  const auto handle = "/run/netns/" + spec_.uid;
  close(open(handle.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0444));
  if (mount("/proc/self/ns/net", handle.c_str(), nullptr, MS_BIND, nullptr) != 0)
    return failed("bind " + handle);
  if (unshare(CLONE_NEWNS | CLONE_NEWUTS) != 0) return failed("unshare");
  if (auto text = make_private_mounts(); !text.empty()) return text;
  const auto& hostname = spec_.host_network ? node_->name() : spec_.hostname;
  if (sethostname(hostname.c_str(), hostname.size()) != 0) return failed("sethostname");
  if (!spec_.host_network && mount("sysfs", "/sys", "sysfs", MS_RDONLY, nullptr) != 0)
    return failed("mount sysfs");
  const auto hold =
      open(files_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);  // /run is about to be covered
  if (hold < 0) return failed("open " + files_);
  if (auto text = private_run(host_run_directories()); !text.empty()) return text;
  if (auto text = private_devices(); !text.empty()) return text;
  const auto from = fmt::format("/proc/self/fd/{}/", hold);
  if (auto text = bind_file(from + "resolv.conf", "/etc/resolv.conf"); !text.empty()) return text;
  if (auto text = bind_file(from + "hosts", "/etc/hosts"); !text.empty()) return text;
  if (auto text = bind_file(from + "hostname", "/etc/hostname"); !text.empty()) return text;
  return {};
}

Parsed<std::unique_ptr<PodWorld>> PodWorld::create(const Layout& layout, const Node& node,
                                                   PodSpec spec) {
  auto world = std::make_unique<PodWorld>();
  world->node_ = &node;
  world->cgroup_ = node.kubepods() + "/pod" + spec.uid;
  world->files_ = layout.pods() + "/" + spec.uid;
  world->link_ = "weft" + spec.uid.substr(0, 8);
  world->spec_ = std::move(spec);
  if (auto made = world->make(); !made) {
    (void)world->destroy().has_value();
    return problem(made.error().text);
  }
  return world;
}

Parsed<void> PodWorld::make() {
  host_run_directories();
  for (const auto& container : spec_.containers) {
    if (auto made = make_directories(cgroup(container)); !made) return made;
  }
  for (const auto& directory : {cgroup("pause"), files_}) {
    if (auto made = make_directories(directory); !made) return made;
  }
  const std::pair<const char*, std::string> files[] = {{"resolv.conf", resolv_conf(spec_.ns)},
                                                       {"hosts", hosts_file(spec_)},
                                                       {"hostname", spec_.hostname + "\n"}};
  for (const auto& [name, text] : files) {
    if (auto written = write_file(files_ + "/" + name, text); !written) return written;
  }
  auto pause = Pause::start(node_->pause().entry(cgroup("pause")), [this] { return become_pod(); });
  if (!pause) return problem(pause.error().text);
  pause_ = std::move(*pause);
  if (spec_.host_network) return {};
  return wire();
}

Parsed<void> PodWorld::wire() {
  const auto mac = pod_mac(spec_);
  std::string outside = fmt::format(
      "link add name {0} address {1} type veth peer name eth0 address {2} netns {3}\nlink set {0} "
      "up\n",
      link_, kGatewayMac, mac, pause_.pid);
  std::string inside = "link set lo up\n";
  if (!spec_.v4.empty()) inside += fmt::format("addr add {}/32 dev eth0\n", spec_.v4);
  if (!spec_.v6.empty()) inside += fmt::format("addr add {}/128 dev eth0 nodad\n", spec_.v6);
  inside += "link set eth0 up\n";
  if (!spec_.v4.empty()) {
    outside += fmt::format(
        "neigh add {0} lladdr {1} dev {2} nud permanent\nroute add {0}/32 dev {2} src {3}\n",
        spec_.v4, mac, link_, node_->net().v4());
    inside += fmt::format(
        "neigh add {0} lladdr {1} dev eth0 nud permanent\nroute add {0} dev eth0 scope link\nroute "
        "add default via {0} dev eth0\n",
        kGatewayV4, kGatewayMac);
  }
  if (!spec_.v6.empty()) {
    outside += fmt::format(
        "neigh add {0} lladdr {1} dev {2} nud permanent\nroute add {0}/128 dev {2} src {3}\n",
        spec_.v6, mac, link_, node_->net().v6());
    inside += fmt::format(
        "neigh add {0} lladdr {1} dev eth0 nud permanent\nroute add default via {0} dev eth0\n",
        kGatewayV6, kGatewayMac);
  }
  if (auto done = ip_batch(node_->pause().net.get(), outside); !done) return done;
  return ip_batch(pause_.net.get(), inside);
}

Parsed<void> PodWorld::destroy() {
  kill_cgroup(cgroup_);
  if (pause_.pid > 0) waitpid(pause_.pid, nullptr, 0);
  pause_.net.reset();
  pause_.mnt.reset();
  pause_.uts.reset();
  const auto handle = "/run/netns/" + spec_.uid;
  const auto link = spec_.host_network ? std::string() : link_;
  Spawn what;
  what.argv = {"ip", "link", "del", link};
  if (link.empty()) what.argv = {"true"};
  what.env = plain_environment();
  what.entry = node_->pause().entry("");
  what.prepare = [&] {
    umount2(handle.c_str(), MNT_DETACH);
    unlink(handle.c_str());
    return std::string();
  };
  const auto gone = run(std::move(what));
  const bool removed =
      remove_cgroup(cgroup_, Deadline::after(Clock::now(), std::chrono::seconds(5)));
  std::error_code error;
  fs::remove_all(files_, error);
  if (!gone) return problem(gone.error().text);
  if (!removed)
    return problem(fmt::format("processes of pod {}/{} do not end", spec_.ns, spec_.name));
  return {};
}

}  // namespace weft::sandbox
