#include "controlplane/explain/explain.h"

#include <utility>

#include "controlplane/explain/walk.h"

namespace weft::controlplane::explain {

using nlohmann::json;

Parsed<Query> read_query(const json& request) {
  Query out;
  const std::pair<const char*, std::string*> texts[] = {{"source", &out.source},
                                                        {"destination", &out.destination},
                                                        {"namespace", &out.ns},
                                                        {"method", &out.method},
                                                        {"path", &out.path}};
  for (const auto& [name, value] : texts) {
    if (!request.contains(name)) continue;
    if (!request[name].is_string()) return problem(std::string(name) + ": must be a text");
    *value = request[name].get<std::string>();
  }
  if (out.source.empty()) return problem("source: must be there");
  if (out.destination.empty()) return problem("destination: must be there");
  if (!request.contains("headers")) return out;
  const json& headers = request["headers"];
  if (!headers.is_array()) return problem("headers: must be a list of \"NAME=VALUE\"");
  for (const json& one : headers) {
    const std::string text = one.is_string() ? one.get<std::string>() : "";
    const auto equals = text.find('=');
    if (equals == std::string::npos || equals == 0)
      return problem("headers: \"" + text + "\" is no NAME=VALUE");
    out.headers.emplace_back(text.substr(0, equals), text.substr(equals + 1));
  }
  return out;
}

Parsed<json> explain(const translate::World& world, const mesh::Snapshot& snapshot,
                     const Query& query, WallClock::time_point now) {
  return Walk(world, snapshot, query, now).run();
}

}  // namespace weft::controlplane::explain
