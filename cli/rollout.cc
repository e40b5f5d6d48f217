#include "cli/rollout.h"

#include <fmt/format.h>

#include "sandbox/json.h"

namespace weft::cli {

namespace {

using sandbox::Json;
using sandbox::number;
using sandbox::str;

std::string why(const Json& pod) {
  for (const char* list : {"initContainerStatuses", "containerStatuses"}) {
    for (const auto& c : sandbox::list(pod, {"status", list})) {
      const auto reason = str(c, {"state", "waiting", "reason"});
      if (!reason.empty() && reason != "ContainerCreating" && reason != "PodInitializing") {
        const auto message = str(c, {"state", "waiting", "message"});
        return fmt::format("{}: {}{}{}", str(c, {"name"}), reason, message.empty() ? "" : ": ",
                           message);
      }
    }
  }
  for (const auto& condition : sandbox::list(pod, {"status", "conditions"})) {
    const bool scheduled =
        str(condition, {"type"}) == "PodScheduled" && str(condition, {"status"}) == "False";
    if (scheduled) return "not scheduled: " + str(condition, {"message"});
  }
  for (const auto& c : sandbox::list(pod, {"status", "containerStatuses"})) {
    if (!sandbox::truth(c, {"ready"})) {
      const auto waiting = str(c, {"state", "waiting", "reason"});
      return fmt::format("{}: {}", str(c, {"name"}),
                         waiting.empty() ? "runs and is not ready" : waiting);
    }
  }
  const auto phase = str(pod, {"status", "phase"});
  return phase.empty() ? "no kubelet has taken it" : phase;
}

bool is_ready(const Json& pod) {
  for (const auto& condition : sandbox::list(pod, {"status", "conditions"})) {
    if (str(condition, {"type"}) == "Ready") return str(condition, {"status"}) == "True";
  }
  return false;
}

}  // namespace

Rollout rollout(const Json& workload) {
  const bool daemons = str(workload, {"kind"}) == "DaemonSet";
  const long seen = number(workload, {"status", "observedGeneration"});
  if (seen < number(workload, {"metadata", "generation"}, 1))
    return {false, "its controller has not seen it yet"};
  const long wanted = daemons ? number(workload, {"status", "desiredNumberScheduled"})
                              : number(workload, {"spec", "replicas"}, 1);
  const long updated =
      number(workload, {"status", daemons ? "updatedNumberScheduled" : "updatedReplicas"});
  const long available =
      number(workload, {"status", daemons ? "numberAvailable" : "availableReplicas"});
  const long all = daemons ? wanted : number(workload, {"status", "replicas"});
  if (updated < wanted) return {false, fmt::format("{} of {} updated", updated, wanted)};
  if (available < wanted) return {false, fmt::format("{} of {} ready", available, wanted)};
  if (all > wanted) return {false, fmt::format("{} old ones are ending", all - wanted)};
  return {true, fmt::format("{} of {} ready", available, wanted)};
}

std::vector<std::string> held_up(const std::vector<Json>& pods) {
  std::vector<std::string> lines;
  for (const auto& pod : pods) {
    if (is_ready(pod)) continue;
    const auto node = str(pod, {"spec", "nodeName"});
    lines.push_back(fmt::format("{}{}{}: {}", sandbox::name_of(pod), node.empty() ? "" : " on ",
                                node, why(pod)));
  }
  return lines;
}

}  // namespace weft::cli
