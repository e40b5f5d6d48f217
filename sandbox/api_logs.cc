// Which file `logs` means.
#include <fmt/format.h>

#include <filesystem>

#include "sandbox/api.h"
#include "sandbox/json.h"

namespace weft::sandbox {

// → {path, note}: `note` is what a person should know of the choice that was made.
Parsed<Json> Api::logs(const Json& request) const {
  const auto name = str(request, {"name"}), node = str(request, {"node"});
  if (const auto log = parts_.supervisor.log_of(name, node); !log.empty())
    return Json{{"path", log}, {"note", node.empty() ? other_nodes(name) : ""}};
  if (!node.empty()) {
    if (auto known = node_named(node); !known) return problem(known.error().text);
  }
  if (name == "envoy") return envoy_log(node);
  const auto ns = str(request, {"namespace"});
  const auto* pod = parts_.store.find("Pod", ns, name);
  if (pod == nullptr)
    return problem(
        fmt::format("Error from server (NotFound): pods \"{}\" not found in namespace {}, and no "
                    "component has this name",
                    name, ns));
  return container_log(*pod, str(request, {"container"}));
}

Parsed<Json> Api::container_log(const Json& pod, std::string container) const {
  if (container.empty()) container = str(list(pod, {"spec", "containers"})[0], {"name"});
  const auto path = parts_.layout.container_log(ns_of(pod), name_of(pod), uid_of(pod), container);
  std::error_code error;
  if (!std::filesystem::exists(path, error))
    return problem(
        fmt::format("container {} of pod {} has not been started", container, name_of(pod)));
  return Json{{"path", path}};
}

// "node1's log; node2 has its own: --node node2", or "" for what runs once.
std::string Api::other_nodes(const std::string& component) const {
  std::string first, others;
  for (const auto& state : parts_.supervisor.states()) {
    if (state.name != component || state.node.empty()) continue;
    if (first.empty())
      first = state.node;
    else
      others += (others.empty() ? "" : ", ") + state.node;
  }
  if (others.empty()) return {};
  return fmt::format("{} on {}; for that on {} add --node", component, first, others);
}

// Envoys are pods: the log of the only one, else which there are.
Parsed<Json> Api::envoy_log(const std::string& node) const {
  std::vector<const Json*> pods;
  std::string names;
  for (const auto& key : parts_.store.keys("Pod")) {
    const auto* pod = parts_.store.find(key);
    const auto have = labels(*pod, {"metadata", "labels"});
    if (!have.contains("weft.dev/waypoint") && !have.contains("weft.dev/gateway")) continue;
    if (!node.empty() && str(*pod, {"spec", "nodeName"}) != node) continue;
    pods.push_back(pod);
    names += fmt::format("{}{} -n {}", names.empty() ? "" : ", ", key.name, key.ns);
  }
  if (pods.empty())
    return problem("no Envoy runs" + (node.empty() ? std::string() : " on " + node));
  if (pods.size() > 1) return problem("several Envoys run, name one as a pod: " + names);
  auto log = container_log(*pods[0], "");
  if (log) (*log)["note"] = "Envoy is pod " + names;
  return log;
}

}  // namespace weft::sandbox
