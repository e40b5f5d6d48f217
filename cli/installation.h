// Installation: what `install`, `upgrade`, `uninstall` and `check` share: the record of what was
// installed, and waiting with a word about it now and then.
#pragma once

#include <chrono>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "cli/cluster.h"

namespace weft::cli {

inline constexpr const char* kSystem = "weft-system";
inline constexpr int kNotInTime = 75;  // exit code: all is applied, not all is ready

// The ConfigMap weft-system/weft-install.
struct Installation {
  std::string version, profile;
  std::vector<std::string> set;
  std::vector<Ref> objects;  // in the order of applying
};
nlohmann::json to_config_map(const Installation& installation);
// Errors name the key.
Parsed<Installation> from_config_map(const nlohmann::json& map);
Parsed<std::optional<Installation>> find_installation(Cluster& cluster);

// Says a line to stderr.
void tell(const std::string& text);

// Asks `done` until it says so or `until` has passed; what it says meanwhile is told when it
// changes. An error of `done` ends it.
struct Step {
  bool done = false;
  std::string text;
};
Parsed<bool> wait_until(Clock::time_point until, const std::function<Parsed<Step>()>& done);

}  // namespace weft::cli
