// Matches on a request, as the APIs mean them. Pure values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/net.h"
#include "mesh/labels.h"

namespace weft::controlplane::model {

// How a text is compared. The APIs differ: an Istio prefix is raw, a Gateway API prefix goes by
// path segments; an SMI regex is anchored at its start only, the others match the whole.
struct TextMatch {
  enum class Kind : std::uint8_t {
    kExact,
    kPrefix,
    kSegmentPrefix,  // paths only
    kSuffix,
    kContains,
    kRegexFull,   // RE2
    kRegexStart,  // RE2, anchored at its start only
    kTemplate,    // paths only: `{*}` one segment, `{**}` the rest
    kPresent,
    kAbsent
  };
  Kind kind = Kind::kExact;
  std::string value;
  bool ignore_case = false;
  bool operator==(const TextMatch&) const = default;
};

struct NamedMatch {
  std::string name;  // lower case for headers
  TextMatch text;
  bool invert = false;  // true: must not match; a missing value counts as empty
  bool operator==(const NamedMatch&) const = default;
};

// One entry: everything given must match.
struct RequestMatch {
  std::optional<TextMatch> path, method, scheme, authority;
  std::vector<NamedMatch> headers, query;
  std::vector<NamedMatch> claims;  // JWT claims, the name's parts joined by '.'
  std::optional<std::uint16_t> port;
  mesh::Labels source_labels;                   // of the client's pod
  // In a plan: the pods that have source_labels, now. Absent where nobody looked: never matches.
  std::optional<std::vector<IpAddress>> source_addresses;
  std::optional<std::string> source_namespace;  // of the client
  std::string grpc_service, grpc_method;        // GRPCRoute; exact; "" matches any
  std::vector<std::string> gateways;            // "ns/name", or "mesh"; empty: as its table
  std::string name;
  bool operator==(const RequestMatch&) const = default;
};

}  // namespace weft::controlplane::model
