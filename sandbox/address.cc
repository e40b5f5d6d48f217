#include "sandbox/address.h"

#include <fmt/format.h>

namespace weft::sandbox {

std::string service_v4(int index) { return fmt::format("10.96.{}.{}", index / 256, index % 256); }
std::string service_v6(int index) { return fmt::format("fd00:96::{:x}", index); }

std::optional<std::pair<std::string, std::string>> ServicePool::take(
    const std::set<std::string>& used) {
  constexpr int kFirst = 257, kLast = 65534;
  for (int tries = kFirst; tries <= kLast; ++tries) {
    const int index = next_;
    next_ = next_ == kLast ? kFirst : next_ + 1;
    auto v4 = service_v4(index), v6 = service_v6(index);
    if (!used.contains(v4) && !used.contains(v6)) return std::pair(std::move(v4), std::move(v6));
  }
  return std::nullopt;
}

std::optional<std::pair<std::string, std::string>> PodPool::take(
    const std::set<std::string>& used) {
  constexpr int kFirst = 2, kLast = 254;
  for (int tries = kFirst; tries <= kLast; ++tries) {
    const int host = next_;
    next_ = next_ == kLast ? kFirst : next_ + 1;
    auto v4 = net_.pod_v4(host), v6 = net_.pod_v6(host);
    if (!used.contains(v4) && !used.contains(v6)) return std::pair(std::move(v4), std::move(v6));
  }
  return std::nullopt;
}

}  // namespace weft::sandbox
