// Config: what weft-agent is told on its command line, checked before anything is opened.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "agent/cni/chain.h"
#include "base/net.h"
#include "base/result.h"

namespace weft::agent {

struct Config {
  std::string node;
  std::string source_directory;  // of --source files:DIR; empty: Kubernetes
  std::string kubeconfig;        // of --source kube:KUBECONFIG; empty: what a pod is given
  std::string cgroup;       // above every pod's, and above the agent's and ztunnel's own; or "auto"
  std::string node_cgroup;  // above it, and above kubelet's; empty: the top of that cgroup2 mount
  std::string pin_directory;  // --bpffs
  std::string netns_directory = "/var/run/netns";
  std::string link_path;  // --zds
  std::string api_path;   // empty: none
  std::vector<IpAddress> dns_ips;
  bool dns_from_resolv_conf = false;  // --dns-ip auto
  cni::ChainOptions cni;
  std::optional<SocketAddress> metrics;
  std::optional<SocketAddress> ready;
  std::string ready_path;        // Unix socket that tells of this very process; empty: none
  bool take_over = false;        // turn.h
  bool renew_listeners = false;  // Enroller::renew_listeners
  std::string probe_path;        // --is-ready: ask there and exit
  unsigned ztunnel_uid = 1337;
  bool dns_capture = true;
  bool uninstall = false;
  unsigned await_agent_s = 0;  // of uninstall: how long a running agent may take to let its pods go
  bool stay = false;           // of uninstall: a DaemonSet's pod must not end
  std::string log_level = "info";
  std::string log_format = "text";

  std::string source() const;  // as it was given
  std::string str() const;     // key=value, for the log
};

// Text that was asked for (--help, --version), to print and exit 0.
struct Wanted {
  std::string text;
};

// Errors: one sentence that names the flag, the value and what is expected; exit code 64.
Parsed<std::variant<Config, Wanted>> parse_config(const std::vector<std::string>& arguments);

}  // namespace weft::agent
