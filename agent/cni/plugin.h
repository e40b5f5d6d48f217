// The CNI plugin as values: what the runtime gave it, what it answers. It is chained behind the plugin that makes the pod's interface, and
// holds the pod's set-up until the node's agent has captured the pod, so that no container of it runs an instruction outside the mesh.
// Pure. Source: CNI specification 1.0.0 (containernetworking/cni, SPEC.md), sections 2, 5 and "Well-known Error Codes".
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace weft::cni {

// Error codes of the specification.
inline constexpr int kInvalidEnvironment = 4;
inline constexpr int kInvalidConfig = 7;
inline constexpr int kTryAgainLater = 11;

struct Invocation {
  std::string command;  // ADD, DEL, CHECK, VERSION, …
  std::string netns;    // path; may be empty for DEL
  // From CNI_ARGS; empty where the runtime is not kubelet's.
  std::string ns, pod, uid;
};

// `environment`: CNI_COMMAND, CNI_NETNS, CNI_ARGS. Errors name the variable.
Parsed<Invocation> read_environment(const std::map<std::string, std::string>& environment);

struct NetConf {
  std::string cni_version;
  std::string socket = "/run/weft-node/agent.sock";
  std::uint32_t wait_seconds = 30;     // then the set-up fails, and the runtime tries again
  std::set<std::string> exempt;        // namespaces that wait for nobody
  std::vector<std::string> ips;        // without prefix length
  std::string previous;                // prevResult as JSON; what ADD and CHECK answer
};

// Errors name the field. `needs_result`: a plugin that is not behind another is refused.
Parsed<NetConf> read_config(std::string_view json, bool needs_result);

// The line that the agent is asked with (agent/api.h).
std::string question(const Invocation& pod, const NetConf& config);

struct Verdict {
  bool go = false;
  std::string reason;  // why not
};
Verdict read_answer(std::string_view line);

std::string error_json(const std::string& cni_version, int code, const std::string& message, const std::string& details);
std::string versions_json();

}  // namespace weft::cni
