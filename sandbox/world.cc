#include "sandbox/world.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/mount.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "sandbox/cgroup.h"

namespace weft::sandbox {
namespace {

std::string failed(std::string_view step) {
  return fmt::format("{}: {}", step, std::strerror(errno));
}

std::string mount_fresh(const char* type, const char* where, const char* data) {
  if (mount(type, where, type, 0, data) != 0)
    return failed(fmt::format("mount {} on {}", type, where));
  return {};
}

// An empty /run that still shows the sandbox's state directory.
std::string private_run(const std::string& state) {
  const Fd tree(static_cast<int>(
      syscall(SYS_open_tree, AT_FDCWD, state.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC)));
  if (!tree) return failed("open_tree " + state);
  if (auto text = mount_fresh("tmpfs", "/run", "mode=755"); !text.empty()) return text;
  std::error_code error;
  std::filesystem::create_directories(state, error);
  std::filesystem::create_directories("/run/netns", error);
  std::filesystem::create_directories("/run/lock", error);
  if (syscall(SYS_move_mount, tree.get(), "", AT_FDCWD, state.c_str(), MOVE_MOUNT_F_EMPTY_PATH) !=
      0) {
    return failed("move_mount " + state);
  }
  return {};
}

// In the node's first process, already in the node's cgroup: makes the machine around itself.
std::string become_node(const std::string& state, const std::string& name) {
  if (unshare(CLONE_NEWCGROUP | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWUTS) != 0)
    return failed("unshare");
  if (auto text = make_private_mounts(); !text.empty()) return text;
  if (sethostname(name.c_str(), name.size()) != 0) return failed("sethostname");
  if (auto text = private_run(state); !text.empty()) return text;
  if (auto text = mount_fresh("sysfs", "/sys", nullptr); !text.empty()) return text;
  if (auto text = mount_fresh("cgroup2", "/sys/fs/cgroup", nullptr); !text.empty()) return text;
  if (auto text = mount_fresh("bpf", "/sys/fs/bpf", "mode=700"); !text.empty()) return text;
  if (mkdir("/sys/fs/bpf/weft", 0700) != 0) return failed("mkdir /sys/fs/bpf/weft");
  std::error_code error;
  for (const char* dir : {"init", "kubepods/podweft-node/agent", "kubepods/podweft-node/ztunnel"}) {
    std::filesystem::create_directories(std::string("/sys/fs/cgroup/") + dir, error);
  }
  if (auto text = enter({.cgroup_dir = "/sys/fs/cgroup/init"}); !text.empty()) return text;
  node_sysctls();
  return {};
}

}  // namespace

Parsed<Pause> Pause::start(Entry entry, std::function<std::string()> prepare) {
  Spawn what;
  what.argv = {"weft-pause", "infinity"};
  what.program = "/usr/bin/sleep";
  what.env = plain_environment();
  what.entry = std::move(entry);
  what.prepare = std::move(prepare);
  const auto pid = spawn(what);
  if (!pid) return problem(pid.error().text);
  Pause pause;
  pause.pid = *pid;
  pause.mnt = open_namespace(*pid, "mnt");
  pause.net = open_namespace(*pid, "net");
  pause.uts = open_namespace(*pid, "uts");
  pause.cgroup = open_namespace(*pid, "cgroup");
  if (!pause.mnt || !pause.net || !pause.uts || !pause.cgroup)
    return problem("a pause process died at once");
  return pause;
}

Entry Pause::entry(std::string cgroup_dir) const {
  return {.cgroup_dir = std::move(cgroup_dir),
          .mnt = mnt.get(),
          .net = net.get(),
          .uts = uts.get(),
          .cgroup = cgroup.get()};
}

std::string make_private_mounts() {
  if (mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
    return failed("make mounts private");
  return {};
}

std::string bind_file(const std::string& from, const std::string& to) {
  if (access(to.c_str(), F_OK) != 0) {
    // A dangling link (resolv.conf into an empty /run) or a file that is not there: give the bind
    // something to cover.
    std::error_code error;
    auto target = std::filesystem::weakly_canonical(to, error);
    std::filesystem::create_directories(target.parent_path(), error);
    close(open(target.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
  }
  if (mount(from.c_str(), to.c_str(), nullptr, MS_BIND, nullptr) != 0)
    return failed(fmt::format("bind {} to {}", from, to));
  return {};
}

void write_sysctl(std::string_view path, std::string_view value) {
  const Fd file(open(fmt::format("/proc/sys/{}", path).c_str(), O_WRONLY | O_CLOEXEC));
  if (file) (void)!write(file.get(), value.data(), value.size());
}

void pod_sysctls() {
  for (const char* scope : {"all", "default"}) {
    write_sysctl(fmt::format("net/ipv6/conf/{}/accept_dad", scope), "0");
    write_sysctl(fmt::format("net/ipv6/conf/{}/accept_ra", scope), "0");
    write_sysctl(fmt::format("net/ipv6/conf/{}/disable_ipv6", scope), "0");
    write_sysctl(fmt::format("net/ipv4/conf/{}/rp_filter", scope), "0");
  }
  write_sysctl("net/ipv4/ip_unprivileged_port_start", "0");
  write_sysctl("net/ipv4/ping_group_range", "0 2147483647");
}

void node_sysctls() {
  pod_sysctls();
  write_sysctl("net/ipv4/ip_forward", "1");
  // Ten thousand short connections a second would fill the table in half a minute with ones that
  // are over.
  write_sysctl("net/netfilter/nf_conntrack_tcp_timeout_time_wait", "2");
  write_sysctl("net/netfilter/nf_conntrack_tcp_timeout_close", "2");
  write_sysctl("net/ipv6/conf/all/forwarding", "1");
  write_sysctl("net/ipv6/conf/default/forwarding", "1");
}

Parsed<void> ip_batch(int net, std::string_view lines) {
  Spawn what;
  what.argv = {"ip", "-batch", "-"};
  what.env = plain_environment();
  what.entry.net = net;
  return run_ok(std::move(what), lines);
}

Parsed<std::unique_ptr<Fabric>> Fabric::create(const std::string& cgroup, int nodes) {
  auto fabric = std::make_unique<Fabric>();
  fabric->cgroup_ = cgroup;
  for (const char* name : {"fabric", "controlplane", "dns"}) {
    if (auto made = make_directories(cgroup + "/" + name); !made) return problem(made.error().text);
  }
  auto pause = Pause::start({.cgroup_dir = cgroup + "/fabric"}, [] {
    if (unshare(CLONE_NEWNET) != 0) return failed("unshare network namespace");
    pod_sysctls();
    return std::string();
  });
  if (!pause) return problem(pause.error().text);
  fabric->pause_ = std::move(*pause);
  std::string batch = fmt::format(
      "link set lo up\nlink add br0 type bridge stp_state 0 forward_delay 0\nlink set br0 up\n"
      "addr add {}/24 dev br0\naddr add {}/64 dev br0 nodad\n",
      kControlV4, kControlV6);
  for (int i = 1; i <= nodes; ++i) {
    const NodeNet net{i};
    batch += fmt::format("route add {} via {}\nroute add {} via {}\n", net.pods_v4(), net.v4(),
                         net.pods_v6(), net.v6());
  }
  if (auto done = ip_batch(fabric->net(), batch); !done) return problem(done.error().text);
  return fabric;
}

Entry Fabric::entry(const std::string& name) const {
  return {.cgroup_dir = cgroup_ + "/" + name, .net = net()};
}

Parsed<void> Fabric::plug(int index, pid_t node) {
  return ip_batch(
      net(),
      fmt::format("link add n{0} type veth peer name eth0 netns {1}\nlink set n{0} master br0 up\n",
                  index, node));
}

Parsed<std::unique_ptr<Node>> Node::create(const Layout& layout, const std::string& cgroup,
                                           NodeNet net, int nodes, Fabric& fabric) {
  auto node = std::make_unique<Node>();
  node->net_ = net;
  node->name_ = net.name();
  node->cgroup_ = cgroup + "/" + node->name_;
  if (auto made = make_directories(node->cgroup_); !made) return problem(made.error().text);
  const auto state = layout.root();
  auto pause =
      Pause::start({.cgroup_dir = node->cgroup_}, [&] { return become_node(state, node->name_); });
  if (!pause) return problem(fmt::format("{}: {}", node->name_, pause.error().text));
  node->pause_ = std::move(*pause);
  if (auto plugged = fabric.plug(net.index, node->pid()); !plugged)
    return problem(plugged.error().text);

  std::string batch = fmt::format(
      "link set lo up\naddr add {}/24 dev eth0\naddr add {}/64 dev eth0 nodad\nlink set eth0 up\n"
      "route add default via {}\nroute add default via {}\n"
      "route add unreachable {}\nroute add unreachable {}\n",
      net.v4(), net.v6(), kControlV4, kControlV6, net.pods_v4(), net.pods_v6());
  for (int i = 1; i <= nodes; ++i) {
    const NodeNet other{i};
    if (i == net.index) continue;
    batch += fmt::format("route add {} via {}\nroute add {} via {}\n", other.pods_v4(), other.v4(),
                         other.pods_v6(), other.v6());
  }
  if (auto done = ip_batch(node->pause_.net.get(), batch); !done) return problem(done.error().text);
  return node;
}

Parsed<void> Node::load_nft(std::string_view ruleset) {
  Spawn what;
  what.argv = {"nft", "-f", "-"};
  what.env = plain_environment();
  what.entry.net = pause_.net.get();
  return run_ok(std::move(what), ruleset);
}

}  // namespace weft::sandbox
