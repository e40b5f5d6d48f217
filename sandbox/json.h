// Reading manifests without ceremony. Heavy: include from .cc files only.
#pragma once

#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "mesh/labels.h"

namespace weft::sandbox {

using Json = nlohmann::json;
using Path = std::initializer_list<std::string_view>;

// The value at `path` of nested maps, or null pointer.
inline const Json* at(const Json& object, Path path) {
  const Json* here = &object;
  for (const auto step : path) {
    if (!here->is_object()) return nullptr;
    const auto found = here->find(step);
    if (found == here->end() || found->is_null()) return nullptr;
    here = &*found;
  }
  return here;
}

inline std::string str(const Json& object, Path path, std::string_view otherwise = "") {
  const auto* value = at(object, path);
  return value != nullptr && value->is_string() ? value->get<std::string>()
                                                : std::string(otherwise);
}

inline long number(const Json& object, Path path, long otherwise = 0) {
  const auto* value = at(object, path);
  return value != nullptr && value->is_number() ? value->get<long>() : otherwise;
}

inline bool truth(const Json& object, Path path, bool otherwise = false) {
  const auto* value = at(object, path);
  return value != nullptr && value->is_boolean() ? value->get<bool>() : otherwise;
}

// A list to iterate; empty when there is none.
inline const Json& list(const Json& object, Path path) {
  static const Json empty = Json::array();
  const auto* value = at(object, path);
  return value != nullptr && value->is_array() ? *value : empty;
}

inline mesh::Labels labels(const Json& object, Path path) {
  mesh::Labels result;
  const auto* value = at(object, path);
  if (value == nullptr || !value->is_object()) return result;
  for (const auto& [key, text] : value->items()) {
    if (text.is_string()) result[key] = text.get<std::string>();
  }
  return result;
}

inline std::string name_of(const Json& object) { return str(object, {"metadata", "name"}); }
inline std::string ns_of(const Json& object) { return str(object, {"metadata", "namespace"}); }
inline std::string uid_of(const Json& object) { return str(object, {"metadata", "uid"}); }

}  // namespace weft::sandbox
