// The model's L7 kinds: what a waypoint will be told. Typed room; no front end fills them yet.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "controlplane/model/types.h"

namespace weft::controlplane::model {

struct ServiceKey {
  std::string ns, hostname;
  std::uint16_t port = 0;  // 0: every port
  auto operator<=>(const ServiceKey&) const = default;
};

struct TextMatch {
  enum class Kind : std::uint8_t {
    kExact,
    kPrefix,
    kSegmentPrefix,
    kSuffix,
    kRegexFull,
    kRegexStart,
    kPresent,
    kAbsent
  };
  Kind kind = Kind::kExact;
  std::string value;
  bool ignore_case = false;
};
struct NamedMatch {
  std::string name;
  TextMatch text;
};
struct RequestMatch {
  std::optional<TextMatch> path, method, scheme, authority;
  std::vector<NamedMatch> headers, query;
  mesh::Labels source_labels;
  std::string source_namespace;
};

struct Backend {
  ServiceKey service;
  std::string subset;
  std::uint64_t weight = 1;  // of the sum of its siblings
};
struct Retry {
  std::uint32_t attempts = 0;
  std::chrono::milliseconds per_try{0};
  std::vector<std::string> on;
};
struct Fault {
  std::uint32_t delay_ppm = 0, abort_ppm = 0;  // per million
  std::chrono::milliseconds delay{0};
  std::uint32_t abort_status = 0;
};
struct HeaderChange {
  std::vector<std::pair<std::string, std::string>> set, add;
  std::vector<std::string> remove;
};
struct RouteRule {
  std::string name;
  std::vector<RequestMatch> matches;  // OR; none: everything
  std::vector<Backend> backends;
  std::optional<std::chrono::milliseconds> timeout;
  std::optional<Retry> retry;
  std::optional<Fault> fault;
  HeaderChange request, response;
};
// One routing owner for a service: rules in order, or sorted by how specific they are.
struct MeshRoute {
  enum class Order : std::uint8_t { kListed, kSpecificity };
  Provenance from;
  ServiceKey service;
  Order order = Order::kListed;
  bool default_route = true;  // what no rule matches goes to the service itself
  std::vector<RouteRule> rules;
};

// How to speak to a service: balancing, limits, ejection.
struct Destination {
  Provenance from;
  ServiceKey service;
  std::string balancing;  // ROUND_ROBIN LEAST_REQUEST RANDOM RING_HASH, or ""
  std::optional<std::uint32_t> connections_max, pending_max, requests_max;
  std::optional<std::uint32_t> ejection_errors;
  struct Subset {
    std::string name;
    mesh::Labels labels;
  };
  std::vector<Subset> subsets;
};

struct RequestAuthn {
  Provenance from;
  mesh::Labels selector;
  std::vector<TargetRef> targets;
  struct Rule {
    std::string issuer, jwks, jwks_uri;
    std::vector<std::string> audiences;
  };
  std::vector<Rule> rules;
};

struct Telemetry {
  Provenance from;
  mesh::Labels selector;
  std::optional<double> trace_sampling_percent;
  bool access_log = true;
};

using L7 = std::variant<MeshRoute, Destination, RequestAuthn, Telemetry>;

}  // namespace weft::controlplane::model
