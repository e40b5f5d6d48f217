#include "sandbox/layout.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>

namespace weft::sandbox {

std::string Layout::component_log(std::string_view component, std::string_view node) const {
  if (node.empty()) return fmt::format("{}/{}.log", logs(), component);
  return fmt::format("{}/{}-{}.log", logs(), component, node);
}

std::string Layout::container_log(std::string_view ns, std::string_view pod, std::string_view uid,
                                  std::string_view container) const {
  return fmt::format("{}/pods/{}_{}_{}/{}.log", logs(), ns, pod, uid, container);
}

std::string NodeNet::v6() const { return fmt::format("fd00:172:31::{:x}", index); }
std::string NodeNet::pod_v6(int host) const {
  return fmt::format("fd00:244:{}::{:x}", index, host);
}

bool is_sandbox_name(std::string_view name) {
  if (name.empty() || name.size() > 20 || name.front() == '-') return false;
  return std::all_of(name.begin(), name.end(),
                     [](unsigned char c) { return std::isalnum(c) != 0 || c == '-'; });
}

int node_index(std::string_view node_name) {
  if (!node_name.starts_with("node")) return 0;
  const auto digits = node_name.substr(4);
  int index = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), index);
  if (error != std::errc() || end != digits.data() + digits.size()) return 0;
  return index >= 1 && index <= kNodesMax ? index : 0;
}

}  // namespace weft::sandbox
