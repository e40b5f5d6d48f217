#include "cli/unplaced.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "sandbox/ids.h"

namespace weft::cli {

using sandbox::Json;
using sandbox::str;

namespace {

// What the object itself says of its not being scheduled.
std::string condition_message(const Json& pod) {
  for (const auto& condition : sandbox::list(pod, {"status", "conditions"})) {
    if (str(condition, {"type"}) == "PodScheduled" && str(condition, {"status"}) == "False")
      return str(condition, {"message"});
  }
  return {};
}

}  // namespace

std::vector<UnplacedPod> unplaced(const Json& pods, const std::set<std::string>& told,
                                  const std::set<std::string>& silent,
                                  const std::set<std::string>& nodes) {
  std::vector<UnplacedPod> found;
  for (const auto& pod : pods) {
    const auto ns = str(pod, {"metadata", "namespace"}), name = sandbox::name_of(pod),
               node = str(pod, {"spec", "nodeName"}), phase = str(pod, {"status", "phase"});
    if (phase == "Succeeded" || phase == "Failed") continue;
    if (told.contains(ns + "/" + name) || silent.contains(node)) continue;
    auto why = condition_message(pod);
    if (!node.empty() && !nodes.contains(node))
      why = fmt::format("spec.nodeName: there is no node \"{}\" (there are {})", node,
                        fmt::join(nodes, ", "));
    else if (!node.empty())
      why = fmt::format("the agent on {} does not know of it yet", node);
    else if (why.empty())
      why = "no node has taken it";
    found.push_back({ns, name, node, std::move(why), nodes.contains(node)});
  }
  return found;
}

std::vector<UnplacedPod> on_silent_nodes(const Json& pods, const std::set<std::string>& silent) {
  std::vector<UnplacedPod> found;
  for (const auto& pod : pods) {
    const auto node = str(pod, {"spec", "nodeName"}), phase = str(pod, {"status", "phase"});
    if (phase == "Succeeded" || phase == "Failed" || !silent.contains(node)) continue;
    found.push_back(
        {str(pod, {"metadata", "namespace"}), sandbox::name_of(pod), node,
         fmt::format("the agent on {} does not answer; a captured pod stays captured", node),
         true});
  }
  return found;
}

}  // namespace weft::cli
