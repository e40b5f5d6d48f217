// The API socket's words: one JSON request line, one JSON reply line.
//
//   {"cmd":"status"}
//   {"cmd":"step-aside"}  → {"state":"aside"}: from here on this agent changes nothing in the
//   kernel (turn.h)
//   {"cmd":"ready-for-pod","uid":UID,"netns":PATH,"ips":[IP,…]}  → {"state":STATE,"reason":TEXT}
//
// ready-for-pod is what sets a pod up (sandbox: kubelet; cluster: the CNI plugin) asks before the
// pod's first container starts; `netns` and `ips` may be left out. STATE is "captured" (go ahead),
// "plain" (not a pod of the mesh: go ahead) or "wait" (ask again; do not start it).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "agent/arrivals.h"
#include "agent/enroller.h"

namespace weft::agent {

struct StatusProgram {
  std::string name;
  std::uint32_t id;
};

struct StatusFacts {
  std::string node;
  bool ready = false;
  std::string not_ready_why;
  std::size_t ztunnels = 0;
  bool uninstalling = false;
  std::vector<StatusProgram> programs;
  std::vector<std::pair<std::string, std::string>> problems;  // file, text
  std::vector<PodView> pods;
  std::vector<PlainPod> plain;
};

std::string status_json(const StatusFacts& facts);
struct ApiRequest {
  enum class Command : std::uint8_t { kStatus, kReadyForPod, kStepAside } command;
  Arrival arrival;  // of kReadyForPod
};
// Or a problem that is the reply's {"error": …}.
Parsed<ApiRequest> api_command(std::string_view request);

struct ArrivalAnswer {
  const char* state;  // "captured" "plain" "wait"
  std::string reason;
};
// What ready-for-pod is told. `pod`: the enrolled pod of that UID, if there is one; `plain`: the pods that are not.
ArrivalAnswer judge_arrival(const std::string& uid, const std::optional<PodView>& pod, const std::vector<PlainPod>& plain);
std::string arrival_json(const ArrivalAnswer& answer);
std::string aside_json();
std::string api_error(std::string_view text);

}  // namespace weft::agent
