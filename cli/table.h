// Objects as people read them: kubectl's tables, YAML, names, a JSONPath. Pure.
#pragma once

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "base/result.h"

namespace weft::cli {

// Columns padded to the widest cell, three spaces apart, as kubectl does.
std::string render_table(const std::vector<std::vector<std::string>>& rows);

struct TableOptions {
  bool wide = false;
  bool namespaces = false;  // a first column NAMESPACE
  bool headers = true;
  std::function<long(const std::string&)> age;  // seconds since a timestamp
};
// `kind` as in source::ObjectKey ("Pod", "Deployment.apps").
std::string object_table(const std::string& kind, const std::vector<nlohmann::json>& items,
                         const TableOptions& options);

// 75 → "75s", 200 → "3m20s", 90000 → "25h": kubectl's ages.
std::string human_duration(long seconds);

std::string to_yaml(const nlohmann::json& value);

// "{.status.podIPs[0].ip}" and "{.items[*].metadata.name}": fields, indexes, *, ['key.with.dots'].
// Text outside braces is copied.
Parsed<std::string> json_path(const nlohmann::json& value, const std::string& expression);

}  // namespace weft::cli
