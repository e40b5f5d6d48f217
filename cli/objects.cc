#include "cli/objects.h"

#include <fmt/format.h>

#include <algorithm>

#include "cli/table.h"
#include "sandbox/client.h"
#include "sandbox/json.h"

namespace weft::cli {
namespace {

using sandbox::Json;
using sandbox::list;
using sandbox::str;

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
  for (std::size_t i = 1; i < names.size(); ++i) found.push_back({names[0], names[i]});
  if (found.empty()) found.push_back({names[0], ""});
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

Parsed<Json> fetch(const Context& context, const Json& request) {
  return ask(context, request);
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
