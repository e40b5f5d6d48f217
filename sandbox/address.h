// Address allocation. Pure: what is used goes in, what is free comes out. Addresses move on before
// they are given again, so that a client that remembers a dead pod's address does not reach a new
// one at once.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "sandbox/layout.h"

namespace weft::sandbox {

// Service address number `index` (1…65534) in both families.
std::string service_v4(int index);
std::string service_v6(int index);
inline constexpr std::string_view kServiceCidrV4 = "10.96.0.0/16", kServiceCidrV6 = "fd00:96::/112";

class ServicePool {
 public:
  // The next free pair; nullopt when all are taken.
  std::optional<std::pair<std::string, std::string>> take(const std::set<std::string>& used);

 private:
  int next_ = 257;  // 10.96.1.1; below are the well-known ones
};

class PodPool {
 public:
  explicit PodPool(NodeNet net) : net_(net) {}
  std::optional<std::pair<std::string, std::string>> take(const std::set<std::string>& used);

 private:
  NodeNet net_;
  int next_ = 2;
};

}  // namespace weft::sandbox
