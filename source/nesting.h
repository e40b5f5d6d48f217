// How deep the brackets of a JSON text are nested, strings apart; for texts from outside, before a
// library that copies and writes values by recursion gets them. Pure.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string_view>

namespace weft::source {

inline std::size_t nesting(std::string_view json) {
  std::size_t depth = 0, deepest = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    if (c == '"') in_string = !in_string;
    if (in_string) {
      if (c == '\\') ++i;
      continue;
    }
    if (c == '[' || c == '{') deepest = std::max(deepest, ++depth);
    if ((c == ']' || c == '}') && depth > 0) --depth;
  }
  return deepest;
}

}  // namespace weft::source
