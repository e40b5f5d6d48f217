#include "cli/objects.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "cli/table.h"
#include "sandbox/client.h"
#include "sandbox/json.h"

namespace weft::cli {
namespace {

using sandbox::Json;
using sandbox::labels;
using sandbox::list;
using sandbox::str;

// "pods,svc" is two; "all" is what kubectl means by it, of what a sandbox has.
std::vector<std::string> kinds_in(const std::string& word) {
  std::vector<std::string> kinds;
  std::size_t at = 0;
  for (auto comma = word.find(','); comma != std::string::npos; comma = word.find(',', at)) {
    kinds.push_back(word.substr(at, comma - at));
    at = comma + 1;
  }
  kinds.push_back(word.substr(at));
  const auto all = std::find(kinds.begin(), kinds.end(), "all");
  if (all == kinds.end()) return kinds;
  const auto where = kinds.erase(all);
  kinds.insert(where, {"pods", "services", "deployments.apps", "statefulsets.apps",
                       "replicasets.apps", "jobs.batch"});
  return kinds;
}

}  // namespace

Parsed<std::vector<Target>> targets(const std::vector<std::string>& names) {
  std::vector<Target> found;
  if (names.empty()) return problem("error: you must name a KIND and a NAME");
  if (names[0].find('/') != std::string::npos) {
    for (const auto& word : names) {
      const auto slash = word.find('/');
      if (slash == std::string::npos)
        return problem(fmt::format("error: \"{}\" is not KIND/NAME", word));
      found.push_back({word.substr(0, slash), word.substr(slash + 1)});
    }
    return found;
  }
  for (const auto& kind : kinds_in(names[0])) {
    if (kind.empty())
      return problem(fmt::format("error: \"{}\" has a kind without a name", names[0]));
    if (names.size() == 1) found.push_back({kind, ""});
    for (std::size_t i = 1; i < names.size(); ++i) found.push_back({kind, names[i]});
  }
  return found;
}

Json request_for(const char* command, const Target& target, const ObjectArguments& arguments) {
  return {{"cmd", command},
          {"kind", target.kind},
          {"name", target.name},
          {"namespace", arguments.ns},
          {"all", arguments.all_namespaces},
          {"selector", arguments.selector},
          {"grace", arguments.grace}};
}

Parsed<Json> fetch(const Context& context, const Json& request) { return ask(context, request); }

Parsed<std::string> pod_named(const Context& context, const std::string& word,
                              const std::string& ns) {
  const auto slash = word.find('/');
  if (slash == std::string::npos) return word;
  const auto kind = word.substr(0, slash), name = word.substr(slash + 1);
  const auto owner =
      ask(context, {{"cmd", "get"}, {"kind", kind}, {"name", name}, {"namespace", ns}});
  if (!owner) return problem(owner.error().text);
  if (str(*owner, {"kind", "kind"}) == "Pod") return name;
  const auto& object = (*owner)["items"][0];
  auto wanted = labels(object, {"spec", "selector", "matchLabels"});
  if (str(*owner, {"kind", "kind"}) == "Service") wanted = labels(object, {"spec", "selector"});
  std::string selector;
  for (const auto& [key, value] : wanted)
    selector += fmt::format("{}{}={}", selector.empty() ? "" : ",", key, value);
  if (selector.empty()) return problem(fmt::format("error: {} selects no pods: name a pod", word));
  const auto pods =
      ask(context, {{"cmd", "get"}, {"kind", "pods"}, {"namespace", ns}, {"selector", selector}});
  if (!pods) return problem(pods.error().text);
  const auto& items = (*pods)["items"];
  if (items.empty())
    return problem(fmt::format("error: there is no pod of {} in namespace {}", word, ns));
  const auto first = sandbox::name_of(items[0]);
  if (items.size() > 1)
    std::fprintf(stderr, "%zu pods of %s, using pod/%s\n", items.size(), word.c_str(),
                 first.c_str());
  return first;
}

bool is_not_found(const std::string& text) { return text.find("(NotFound)") != std::string::npos; }

Parsed<bool> satisfies(const Json& object, const std::string& wanted) {
  if (wanted.starts_with("jsonpath=")) {
    const auto close = wanted.rfind('}');
    const auto equals = close == std::string::npos ? std::string::npos : wanted.find('=', close);
    const auto value =
        json_path(object, wanted.substr(9, equals == std::string::npos ? equals : equals - 9));
    if (!value) return problem(value.error().text);
    return equals == std::string::npos ? !value->empty() : *value == wanted.substr(equals + 1);
  }
  auto name = wanted.starts_with("condition=") ? wanted.substr(10) : wanted;
  std::string status = "True";
  if (const auto equals = name.find('='); equals != std::string::npos) {
    status = name.substr(equals + 1);
    name.resize(equals);
  }
  const auto lower = [](std::string text) {
    std::transform(text.begin(), text.end(), text.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return text;
  };
  const long generation = sandbox::number(object, {"metadata", "generation"}),
             observed = sandbox::number(object, {"status", "observedGeneration"}, generation);
  for (const auto& condition : list(object, {"status", "conditions"})) {
    if (lower(str(condition, {"type"})) == lower(name))
      return lower(str(condition, {"status"})) == lower(status) && observed >= generation;
  }
  // Istio's and the Gateway API's per-ancestor conditions.
  for (const auto* field : {"ancestors", "parents"}) {
    for (const auto& ancestor : list(object, {"status", field})) {
      for (const auto& condition : list(ancestor, {"conditions"})) {
        if (lower(str(condition, {"type"})) == lower(name))
          return lower(str(condition, {"status"})) == lower(status);
      }
    }
  }
  return false;
}

}  // namespace weft::cli
