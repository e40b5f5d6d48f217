#include "sandbox/api.h"

#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <filesystem>

#include "sandbox/endpoint_objects.h"
#include "sandbox/endpoints.h"
#include "sandbox/json.h"
#include "sandbox/kinds.h"
#include "sandbox/metadata.h"
#include "sandbox/selector.h"

namespace weft::sandbox {
namespace {

Json kind_json(const Kind& kind) {
  return {{"kind", kind.kind},
          {"group", kind.group},
          {"plural", kind.plural},
          {"resource", kind.resource()},
          {"namespaced", kind.namespaced}};
}

std::string not_found(const Kind& kind, const std::string& name) {
  return fmt::format("Error from server (NotFound): {} \"{}\" not found", kind.resource(), name);
}

// "pod/web", "deployment.apps/web": how kubectl names an object it did something to.
std::string shown(const Kind& kind, const std::string& name) {
  auto word = kind.kind;
  std::transform(word.begin(), word.end(), word.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return fmt::format("{}{}{}/{}", word, kind.group.empty() ? "" : ".", kind.group, name);
}

Parsed<Kind> kind_named(const Store& store, const std::string& typed) {
  auto kind = find_kind(typed, store.kinds());
  if (!kind.kind.empty()) return kind;
  return problem(fmt::format("error: the server doesn't have a resource type \"{}\"", typed));
}

}  // namespace

Json Api::answer(const Json& request) {
  try {
    auto result = dispatch(request);
    return result ? *result : Json{{"error", result.error().text}};
  } catch (const nlohmann::json::exception& error) {
    return {{"error", fmt::format("the object has a field of the wrong type: {}", error.what())}};
  }
}

Parsed<Json> Api::dispatch(const Json& request) {
  const auto command = str(request, {"cmd"});
  if (command == "apply") return apply(request);
  if (command == "get") return get(request);
  if (command == "delete") return remove(request);
  if (command == "annotate") return annotate(request);
  if (command == "exec") return exec(request);
  if (command == "component") return component(request);
  if (command == "logs") return logs(request);
  if (command == "status") return status();
  return problem(fmt::format("there is no command \"{}\"", command));
}

// {objects: [{body, origin}]} → {results: [{name, verb} | {error}]}; one bad object does not stop
// the others.
Parsed<Json> Api::apply(const Json& request) {
  Json results = Json::array();
  for (const auto& entry : list(request, {"objects"})) {
    const auto& body = entry["body"];
    const auto kind = kind_of(str(body, {"apiVersion"}), str(body, {"kind"}));
    const auto origin = str(entry, {"origin"});
    Json out;
    Parsed<Verb> verb = problem("");
    try {
      verb = parts_.admission.admit(body, origin, out);
    } catch (const nlohmann::json::exception& error) {
      verb = problem(fmt::format("{} \"{}\" has a field of the wrong type: {}", kind.kind,
                                 name_of(body), error.what()));
    }
    if (!verb) {
      const auto& text = verb.error().text;
      const bool placed =
          !origin.empty() && text.find(origin.substr(0, origin.rfind(':'))) != std::string::npos;
      results.push_back({{"error", placed || origin.empty() ? text : origin + ": " + text}});
      continue;
    }
    if (*verb != Verb::kUnchanged) {
      if (auto put = parts_.store.put(std::move(out)); !put) return problem(put.error().text);
      if (kind.key() == "Namespace")
        parts_.controllers.namespaces();  // a pod further down needs its account
    }
    results.push_back({{"name", shown(kind, name_of(body))}, {"verb", to_string(*verb)}});
  }
  return Json{{"results", results}};
}

std::vector<Key> Api::find_many(const Json& request, const std::string& kind) const {
  std::vector<Key> keys;
  const auto ns = str(request, {"namespace"});
  const auto selector = parse_selector(str(request, {"selector"}));
  for (const auto& key : parts_.store.keys(kind)) {
    if (!key.ns.empty() && !truth(request, {"all"}) && key.ns != ns) continue;
    if (selector && !selector->matches(labels(*parts_.store.find(key), {"metadata", "labels"})))
      continue;
    keys.push_back(key);
  }
  return keys;
}

// Those that no person writes, as the request narrows them.
Json Api::computed(const Json& request, const Kind& kind) const {
  Json items = Json::array();
  if (!is_computed(kind.key())) return items;
  const auto ns = str(request, {"namespace"}), name = str(request, {"name"});
  const auto selector = parse_selector(str(request, {"selector"}));
  for (auto& object : computed_objects(parts_.store, kind.key())) {
    if ((!name.empty() || !truth(request, {"all"})) && ns_of(object) != ns) continue;
    if (!name.empty() && name_of(object) != name) continue;
    if (selector && !selector->matches(labels(object, {"metadata", "labels"}))) continue;
    items.push_back(std::move(object));
  }
  return items;
}

Parsed<Key> Api::find_one(const Json& request) const {
  const auto kind = kind_named(parts_.store, str(request, {"kind"}));
  if (!kind) return problem(kind.error().text);
  Key key{kind->key(), kind->namespaced ? str(request, {"namespace"}) : "", str(request, {"name"})};
  if (parts_.store.find(key) == nullptr) return problem(not_found(*kind, key.name));
  return key;
}

Parsed<Json> Api::get(const Json& request) const {
  const auto kind = kind_named(parts_.store, str(request, {"kind"}));
  if (!kind) return problem(kind.error().text);
  if (const auto selector = parse_selector(str(request, {"selector"})); !selector)
    return problem(selector.error().text);
  Json items = computed(request, *kind);
  if (str(request, {"name"}).empty()) {
    for (const auto& key : find_many(request, kind->key()))
      items.push_back(*parts_.store.find(key));
  } else if (items.empty()) {
    const auto key = find_one(request);
    if (!key) return problem(key.error().text);
    items.push_back(*parts_.store.find(*key));
  }
  return Json{{"items", items}, {"kind", kind_json(*kind)}};
}

// {kind, name | selector | everything, namespace, grace} → {deleted: [{shown, kind, name,
// namespace, uid}]}
Parsed<Json> Api::remove(const Json& request) {
  const auto kind = kind_named(parts_.store, str(request, {"kind"}));
  if (!kind) return problem(kind.error().text);
  std::vector<Key> keys;
  if (!str(request, {"name"}).empty()) {
    const auto key = find_one(request);
    if (!key) return problem(key.error().text);
    keys.push_back(*key);
  } else {
    if (const auto selector = parse_selector(str(request, {"selector"})); !selector)
      return problem(selector.error().text);
    keys = find_many(request, kind->key());
  }
  Json deleted = Json::array();
  for (const auto& key : keys) {
    if (key.kind == "Node" ||
        (key.kind == "Namespace" && (key.name == "default" || key.name == "kube-system"))) {
      return problem(
          fmt::format("Error from server (Forbidden): {} \"{}\" is forbidden: the sandbox needs it",
                      kind->resource(), key.name));
    }
    deleted.push_back({{"shown", shown(*kind, key.name)},
                       {"kind", kind->resource()},
                       {"name", key.name},
                       {"namespace", key.ns},
                       {"uid", uid_of(*parts_.store.find(key))}});
    parts_.controllers.remove(key, number(request, {"grace"}, -1));
  }
  return Json{{"deleted", deleted}};
}

// {kind, name, namespace, field: labels|annotations, changes: {key: value | null}} → {shown,
// changed}
Parsed<Json> Api::annotate(const Json& request) {
  const auto key = find_one(request);
  if (!key) return problem(key.error().text);
  const auto field = str(request, {"field"}) == "annotations" ? "annotations" : "labels";
  const auto change = [&](Json& object) {
    auto& map = object["metadata"][field];
    if (!map.is_object()) map = Json::object();
    for (const auto& [name, value] : request["changes"].items()) {
      if (value.is_null())
        map.erase(name);
      else
        map[name] = value;
    }
    if (map.empty()) object["metadata"].erase(field);
  };
  auto after = *parts_.store.find(*key);
  change(after);
  if (auto good = admit_metadata(after); !good) return problem(good.error().text);
  const bool changed = parts_.store.update(*key, change);
  return Json{{"shown", shown(*kind_named(parts_.store, str(request, {"kind"})), key->name)},
              {"changed", changed}};
}

Parsed<Json> Api::exec(const Json& request) const {
  const auto target = parts_.kubelet.target(str(request, {"namespace"}), str(request, {"name"}),
                                            str(request, {"container"}));
  if (!target) return problem(target.error().text);
  return Json{
      {"pid", target->pid}, {"cgroup", target->cgroup}, {"env", target->env}, {"cwd", target->cwd}};
}

Parsed<Json> Api::component(const Json& request) {
  const auto name = str(request, {"component"}), node = str(request, {"node"}),
             action = str(request, {"action"});
  const int signal = static_cast<int>(number(request, {"signal"}, SIGTERM));
  if (name == "envoy") return envoy(action, node, signal);
  Parsed<void> done = action == "stop"      ? parts_.supervisor.stop(name, node, signal)
                      : action == "start"   ? parts_.supervisor.start_again(name, node)
                      : action == "restart" ? parts_.supervisor.restart(name, node, signal)
                                            : parts_.supervisor.signal(name, node, signal);
  if (!done) return problem(done.error().text);
  return status();
}

// Waypoints and gateways are pods: their kubelet starts again what ends, unless it is told to hold.
Parsed<Json> Api::envoy(const std::string& action, const std::string& node, int signal) {
  std::size_t count = 0;
  for (const char* label : {"weft.dev/waypoint", "weft.dev/gateway"}) {
    count +=
        parts_.kubelet.signal_all(label, node, action == "start" ? 0 : signal, action == "stop");
  }
  if (count == 0) return problem("no Envoy runs" + (node.empty() ? std::string() : " on " + node));
  return status();
}

Parsed<void> Api::node_named(const std::string& name) const {
  std::string known;
  for (const auto* node : parts_.nodes) {
    if (node->name() == name) return {};
    known += (known.empty() ? "" : ", ") + node->name();
  }
  return problem(fmt::format("Error from server (NotFound): nodes \"{}\" not found (there are {})",
                             name, known));
}

Json Api::status() const {
  Json components = Json::array(), nodes = Json::array();
  for (const auto& s : parts_.supervisor.states()) {
    components.push_back({{"name", s.name},
                          {"node", s.node},
                          {"state", s.state},
                          {"pid", s.pid},
                          {"restarts", s.restarts},
                          {"lastEnd", s.last_end}});
  }
  for (const auto* node : parts_.nodes) {
    nodes.push_back({{"name", node->name()},
                     {"pid", node->pid()},
                     {"addresses", {node->net().v4(), node->net().v6()}}});
  }
  return {{"name", parts_.layout.name},
          {"version", WEFT_VERSION},
          {"components", components},
          {"nodes", nodes}};
}

}  // namespace weft::sandbox
