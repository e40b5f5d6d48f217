#include "source/spelling.h"

#include <algorithm>
#include <vector>

namespace weft::source {
namespace {

// Spelling without what people mix up: case, underscores, dashes.
std::string folded(std::string_view name) {
  std::string out;
  for (const char c : name) {
    if (c != '_' && c != '-') out += static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  }
  return out;
}

// Edits (insert, delete, replace) from one name to the other. REQUIRES: short names.
std::size_t edits(std::string_view from, std::string_view to) {
  std::vector<std::size_t> row(to.size() + 1);
  for (std::size_t i = 0; i <= to.size(); ++i) row[i] = i;
  for (std::size_t i = 1; i <= from.size(); ++i) {
    std::size_t corner = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= to.size(); ++j) {
      const std::size_t replaced = corner + (from[i - 1] == to[j - 1] ? 0 : 1);
      corner = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row[to.size()];
}

constexpr std::size_t kNameMax = 64;

}  // namespace

std::string likely_name(std::string_view name, std::span<const std::string> known) {
  if (name.size() > kNameMax) return "";
  std::string best;
  std::size_t least = name.size() > 5 ? 3 : 2;  // fewer edits than this
  for (const std::string& one : known) {
    const std::string left = folded(name), right = folded(one);
    constexpr std::size_t kStemMin = 4;
    const bool stem = std::min(left.size(), right.size()) >= kStemMin &&
                      (left.starts_with(right) || right.starts_with(left));
    const std::size_t distance = std::min<std::size_t>(edits(left, right), stem ? 1 : kNameMax);
    if (distance < least) {
      least = distance;
      best = one;
    }
  }
  return best;
}

}  // namespace weft::source
