// check: is this machine able to run a mesh (--pre), and does the one that runs work?
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/bpf.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <set>

#include "cli/check_cluster.h"
#include "cli/commands.h"
#include "cli/findings.h"
#include "cli/unplaced.h"
#include "sandbox/cgroup.h"
#include "sandbox/client.h"
#include "sandbox/file.h"
#include "sandbox/json.h"

namespace weft::cli {
namespace {

using sandbox::Json;
using sandbox::str;

Finding kernel_version() {
  utsname name{};
  uname(&name);
  int major = 0, minor = 0;
  std::sscanf(name.release, "%d.%d", &major, &minor);
  const int version = major * 1000 + minor;
  return {"kernel", fmt::format("kernel {} is 5.15 or newer, best 6.1 or newer", name.release),
          version >= 6001   ? Verdict::kGood
          : version >= 5015 ? Verdict::kWarning
                            : Verdict::kBad,
          version >= 5015 ? "without 6.1 some features are off" : "install a kernel from 5.15 on"};
}

Finding cgroup2() {
  const auto mount = sandbox::cgroup2_mount();
  return {"kernel", mount ? "cgroup2 is mounted at " + *mount : "cgroup2 is mounted",
          mount ? Verdict::kGood : Verdict::kBad, mount ? "" : mount.error().text};
}

// Mounted by whoever needs it (each node of a sandbox has its own): the kernel must only know it.
Finding bpffs() {
  const auto known = sandbox::read_file("/proc/filesystems");
  const bool good = known && known->find("\tbpf\n") != std::string::npos;
  return {"kernel", "the kernel has bpffs", good ? Verdict::kGood : Verdict::kBad,
          "the kernel needs CONFIG_BPF_SYSCALL"};
}

Finding btf() {
  const Fd file(open("/sys/kernel/btf/vmlinux", O_RDONLY | O_CLOEXEC));
  char magic[2] = {};
  const bool good =
      file && read(file.get(), magic, 2) == 2 && static_cast<unsigned char>(magic[0]) == 0x9f;
  return {
      "kernel", "the kernel describes its types (BTF)", good ? Verdict::kGood : Verdict::kBad,
      "/sys/kernel/btf/vmlinux is missing or unreadable: the kernel needs CONFIG_DEBUG_INFO_BTF"};
}

Finding bpf_syscall() {
  union bpf_attr attr;
  std::memset(&attr, 0, sizeof attr);
  attr.map_type = BPF_MAP_TYPE_HASH;
  attr.key_size = attr.value_size = 4;
  attr.max_entries = 1;
  const Fd map(static_cast<int>(syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof attr)));
  return {"kernel", "BPF maps can be made", map ? Verdict::kGood : Verdict::kBad,
          fmt::format("bpf(): {}; run as root, and look for a seccomp profile or kernel lockdown",
                      std::strerror(errno))};
}

Finding io_uring() {
  unsigned char parameters[120] = {};
  const Fd ring(static_cast<int>(syscall(SYS_io_uring_setup, 4, parameters)));
  return {"kernel", "io_uring is allowed", ring ? Verdict::kGood : Verdict::kWarning,
          "a seccomp profile or kernel.io_uring_disabled forbids it: ztunnel falls back to epoll, "
          "which is slower"};
}

Finding program(const char* name, const char* package) {
  for (const char* dir : {"/usr/sbin/", "/usr/bin/", "/sbin/", "/bin/"}) {
    if (access((std::string(dir) + name).c_str(), X_OK) == 0)
      return {"sandbox", fmt::format("{} is installed", name), Verdict::kGood, ""};
  }
  return {"sandbox", fmt::format("{} is installed", name), Verdict::kBad,
          fmt::format("apt-get install {}", package)};
}

void add_running(const Context& context, std::vector<Finding>& findings) {
  const auto layout = find_sandbox(context);
  if (!layout) {
    findings.push_back({"mesh", "a sandbox is up", Verdict::kBad, layout.error().text});
    return;
  }
  const auto status = ask(context, {{"cmd", "status"}});
  findings.push_back({"mesh", fmt::format("the daemon of sandbox {} answers", layout->name),
                      status ? Verdict::kGood : Verdict::kBad, status ? "" : status.error().text});
  if (!status) return;
  std::set<std::string> told, silent, nodes;
  for (const auto& c : (*status)["components"]) {
    const auto state = str(c, {"state"}), node = str(c, {"node"}), name = str(c, {"name"});
    const auto restarts = sandbox::number(c, {"restarts"});
    const auto where = node.empty() ? std::string() : " on " + node;
    findings.push_back(
        {"mesh", fmt::format("{}{} is ready", name, where),
         state != "ready" ? Verdict::kBad
         : restarts > 0   ? Verdict::kWarning
                          : Verdict::kGood,
         state != "ready"
             ? fmt::format("it is {}{}{}; look at `weftctl sandbox logs {}{}`", state,
                           str(c, {"lastEnd"}).empty() ? "" : " after ", str(c, {"lastEnd"}), name,
                           node.empty() ? "" : " --node " + node)
             : fmt::format("it was restarted {} times, last after {}", restarts,
                           str(c, {"lastEnd"}))});
    if (name != "agent") continue;
    nodes.insert(node);
    silent.insert(node);
    if (state != "ready") continue;
    const auto agent =
        sandbox::call(layout->agent_socket(node), {{"cmd", "status"}}, std::chrono::seconds(2));
    findings.push_back({"mesh", fmt::format("the agent on {} answers", node),
                        agent ? Verdict::kGood : Verdict::kBad, agent ? "" : agent.error().text});
    if (!agent) continue;
    silent.erase(node);
    for (const auto& pod : sandbox::list(*agent, {"pods"})) {
      told.insert(str(pod, {"namespace"}) + "/" + str(pod, {"name"}));
      const auto error = str(pod, {"error"});
      if (!error.empty())
        findings.push_back(
            {"mesh",
             fmt::format("pod {}/{} is captured", str(pod, {"namespace"}), str(pod, {"name"})),
             Verdict::kBad, error});
    }
  }
  const auto pods = ask(context, {{"cmd", "get"}, {"kind", "pods"}, {"all", true}});
  if (!pods) {
    findings.push_back(
        {"mesh", "the sandbox tells which pods there are", Verdict::kBad, pods.error().text});
    return;
  }
  for (const auto& pod : unplaced((*pods)["items"], told, silent, nodes)) {
    findings.push_back({"mesh", fmt::format("pod {}/{} is on a node", pod.ns, pod.name),
                        pod.soon ? Verdict::kWarning : Verdict::kBad, pod.why});
  }
}

}  // namespace

int check(const Context& context, const CheckArguments& arguments) {
  if (arguments.names_a_cluster(context)) return check_cluster(context, arguments);
  std::vector<Finding> findings = {kernel_version(), cgroup2(), bpffs(), btf(),
                                   bpf_syscall(),    io_uring()};
  for (const auto& [name, package] : {std::pair("ip", "iproute2"), std::pair("nft", "nftables"),
                                      std::pair("dnsmasq", "dnsmasq-base")}) {
    findings.push_back(program(name, package));
  }
  if (!arguments.pre) add_running(context, findings);
  return report(context, findings);
}

}  // namespace weft::cli
