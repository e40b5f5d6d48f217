// Two-level maps: namespace → name → value. Internal to the translate room.
#pragma once

#include <map>
#include <string>
#include <type_traits>

namespace weft::controlplane::translate {

// A member of a two-level map, or null.
template <class Map>
auto* find(Map& map, const std::string& ns, const std::string& name) {
  using Value = std::remove_reference_t<decltype((map.begin()->second.begin()->second))>;
  const auto outer = map.find(ns);
  if (outer == map.end()) return static_cast<Value*>(nullptr);
  const auto inner = outer->second.find(name);
  return inner == outer->second.end() ? nullptr : &inner->second;
}

template <class Map>
void remove(Map& map, const std::string& ns, const std::string& name) {
  const auto outer = map.find(ns);
  if (outer == map.end()) return;
  outer->second.erase(name);
  if (outer->second.empty()) map.erase(outer);
}

template <class Map>
const auto& in_namespace(const Map& map, const std::string& ns) {
  static const typename Map::mapped_type kNone;
  const auto found = map.find(ns);
  return found == map.end() ? kNone : found->second;
}

}  // namespace weft::controlplane::translate
