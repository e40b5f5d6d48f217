// tests/data/api_fields: every field of an API, each alone set to something plausible.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace weft::controlplane::fields {

struct Case {
  std::string kind;              // "VirtualService.networking.istio.io"
  std::string path;              // "spec.http[].timeout"
  std::string where;             // the same in the object: "spec.http[0].timeout"
  nlohmann::json without, with;  // specs
};

// One for each line of istio.txt and gateway.txt of a kind that contexts.txt knows.
std::vector<Case> cases();

}  // namespace weft::controlplane::fields
