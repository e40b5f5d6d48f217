#include "cli/installation.h"

#include <fmt/format.h>

#include <cstdio>
#include <thread>

#include "sandbox/json.h"

namespace weft::cli {

namespace {

using sandbox::Json;
using sandbox::str;

constexpr const char* kName = "weft-install";
constexpr auto kLookAgain = std::chrono::milliseconds(500);

Parsed<Json> parsed(const Json& map, const char* key) {
  auto value = Json::parse(str(map, {"data", key}), nullptr, false);
  if (!value.is_array())
    return problem(
        fmt::format("ConfigMap {}/{}: data.{}: must be a JSON list", kSystem, kName, key));
  return value;
}

}  // namespace

Json to_config_map(const Installation& installation) {
  Json objects = Json::array();
  for (const auto& one : installation.objects)
    objects.push_back({one.api_version, one.kind, one.ns, one.name});
  return {{"apiVersion", "v1"},
          {"kind", "ConfigMap"},
          {"metadata",
           {{"name", kName},
            {"namespace", kSystem},
            {"labels", {{"app.kubernetes.io/part-of", "weft"}}}}},
          {"data",
           {{"version", installation.version},
            {"profile", installation.profile},
            {"set", Json(installation.set).dump()},
            {"objects", objects.dump()}}}};
}

Parsed<Installation> from_config_map(const Json& map) {
  Installation out{.version = str(map, {"data", "version"}),
                   .profile = str(map, {"data", "profile"}),
                   .set = {},
                   .objects = {}};
  const auto set = parsed(map, "set");
  if (!set) return std::unexpected(set.error());
  for (const auto& one : *set) {
    if (!one.is_string())
      return problem(
          fmt::format("ConfigMap {}/{}: data.set: must be a list of strings", kSystem, kName));
    out.set.push_back(one);
  }
  const auto objects = parsed(map, "objects");
  if (!objects) return std::unexpected(objects.error());
  for (const auto& one : *objects) {
    const bool four = one.is_array() && one.size() == 4 &&
                      std::ranges::all_of(one, [](const Json& word) { return word.is_string(); });
    if (!four)
      return problem(fmt::format(
          "ConfigMap {}/{}: data.objects: must be a list of [apiVersion, kind, namespace, name]",
          kSystem, kName));
    out.objects.push_back({one[0], one[1], one[2], one[3]});
  }
  return out;
}

Parsed<std::optional<Installation>> find_installation(Cluster& cluster) {
  const auto map = cluster.get({"v1", "ConfigMap", kSystem, kName});
  if (!map) return std::unexpected(map.error());
  if (!*map) return std::optional<Installation>();
  auto read = from_config_map(**map);
  if (!read) return std::unexpected(read.error());
  return std::optional(std::move(*read));
}

void tell(const std::string& text) { std::fprintf(stderr, "%s\n", text.c_str()); }

Parsed<bool> wait_until(Clock::time_point until, const std::function<Parsed<Step>()>& done) {
  std::string told;
  while (true) {
    const auto step = done();
    if (!step) return std::unexpected(step.error());
    if (step->text != told && !step->text.empty()) tell("  " + step->text);
    told = step->text;
    if (step->done) return true;
    if (Clock::now() >= until) return false;
    std::this_thread::sleep_for(kLookAgain);
  }
}

}  // namespace weft::cli
