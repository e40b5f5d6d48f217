// The machines of a sandbox as kernel objects: the fabric (an underlay bridge with the control
// plane's address) and nodes, each a small machine with its own network, mount, cgroup and UTS
// namespace. One thread. Everything lives in processes below the sandbox's cgroup and in private
// mount namespaces, so that ending those processes removes it all.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "sandbox/layout.h"
#include "sandbox/process.h"

namespace weft::sandbox {

// A process that does nothing but hold namespaces open.
struct Pause {
  pid_t pid = -1;
  Fd mnt, net, uts, cgroup;

  // `prepare` runs in the new process and makes the namespaces.
  static Parsed<Pause> start(Entry entry, std::function<std::string()> prepare);
  // The namespaces of this process plus a cgroup directory.
  Entry entry(std::string cgroup_dir) const;
};

// Steps for `prepare` functions. They return what failed, or "".
std::string make_private_mounts();
std::string bind_file(const std::string& from, const std::string& to);
void write_sysctl(std::string_view path,
                  std::string_view value);  // "net/ipv4/ip_forward"; missing ones are skipped
void pod_sysctls();
void node_sysctls();

// Runs `ip -batch` inside `net`.
Parsed<void> ip_batch(int net, std::string_view lines);

class Fabric {
 public:
  // `cgroup` is the sandbox's directory, absolute. Nodes 1…`nodes` will be plugged in.
  static Parsed<std::unique_ptr<Fabric>> create(const std::string& cgroup, int nodes);
  Entry entry(
      const std::string& name) const;  // a process of its own: cgroup/NAME, the fabric's network
  Parsed<void> plug(int index, pid_t node);
  int net() const { return pause_.net.get(); }
  pid_t pid() const { return pause_.pid; }

 private:
  std::string cgroup_;
  Pause pause_;
};

class Node {
 public:
  static Parsed<std::unique_ptr<Node>> create(const Layout& layout, const std::string& cgroup,
                                              NodeNet net, int nodes, Fabric& fabric);

  const NodeNet& net() const { return net_; }
  const std::string& name() const { return name_; }
  pid_t pid() const { return pause_.pid; }
  // Inside this machine, in `cgroup` below kubepods ("podweft-node/agent").
  Entry entry(const std::string& cgroup) const { return pause_.entry(kubepods() + "/" + cgroup); }
  std::string kubepods() const { return cgroup_ + "/kubepods"; }
  // Of the machine's own processes, kubelet's probes among them.
  std::string own() const { return cgroup_ + "/init"; }
  const Pause& pause() const { return pause_; }
  // Replaces the node's service table (one `nft -f`, atomic).
  Parsed<void> load_nft(std::string_view ruleset);

 private:
  NodeNet net_;
  std::string name_;
  std::string cgroup_;
  Pause pause_;
};

}  // namespace weft::sandbox
