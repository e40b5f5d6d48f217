// A pod as kernel objects: its network namespace (also bound at the node's /run/netns/UID), mount
// namespace with its own resolv.conf, hosts, /run and /dev, cgroup directory kubepods/podUID with one
// directory per container. One thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "sandbox/layout.h"
#include "sandbox/world.h"

namespace weft::sandbox {

struct PodSpec {
  std::string uid;
  std::string name, ns;
  std::string hostname, subdomain;
  std::string v4, v6;  // either may be empty
  bool host_network = false;
  std::vector<std::string> containers;
};

class PodWorld {
 public:
  // Makes namespaces, links, routes and files; after it the pod's address answers.
  static Parsed<std::unique_ptr<PodWorld>> create(const Layout& layout, const Node& node,
                                                  PodSpec spec);
  // Kills what is left in it and removes all of it. Waits a moment for the kernel.
  Parsed<void> destroy();

  const PodSpec& spec() const { return spec_; }
  std::string cgroup() const { return cgroup_; }
  std::string cgroup(std::string_view container) const {
    return cgroup_ + "/" + std::string(container);
  }
  // Inside this pod, in the container's cgroup.
  Entry entry(std::string_view container) const { return pause_.entry(cgroup(container)); }
  pid_t pid() const { return pause_.pid; }

 private:
  Parsed<void> make();
  Parsed<void> wire();
  std::string become_pod() const;

  PodSpec spec_;
  const Node* node_ = nullptr;
  std::string cgroup_;
  std::string files_;  // directory with resolv.conf, hosts, hostname
  std::string link_;   // the node's end of the veth
  Pause pause_;
};

std::string resolv_conf(std::string_view ns);
std::string hosts_file(const PodSpec& spec);

}  // namespace weft::sandbox
