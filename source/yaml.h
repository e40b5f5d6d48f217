// YAML syntax as a tree: what yaml-cpp's parser says, with lines, and nothing more. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace weft::source {

struct YamlNode {
  enum class Kind : std::uint8_t { kNull, kScalar, kSequence, kMap };
  Kind kind = Kind::kNull;
  std::uint32_t line = 1;
  std::string tag;   // "?" for plain scalars, "!" for quoted ones, or the tag that is written
  std::string text;  // of a scalar
  std::vector<std::uint32_t> children;  // of a sequence; of a map key, value, key, value …
};

// Nodes refer to each other by index. An alias is the index of the node that it names, so a tree
// may hold cycles: walkers need a limit.
struct YamlTree {
  std::vector<YamlNode> nodes;
  std::vector<std::uint32_t> documents;  // the root of each
  const YamlNode& operator[](std::uint32_t index) const { return nodes[index]; }
};

// Time and memory are linear in the text.
Parsed<YamlTree> read_yaml(std::string_view text, std::string_view file);

}  // namespace weft::source
