// Destinations: how to speak to a service (balancing, limits, ejection, TLS), and services from
// outside Kubernetes. Pure values.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/net.h"
#include "controlplane/model/routes.h"
#include "controlplane/model/types.h"
#include "mesh/labels.h"

namespace weft::controlplane::model {

struct HashKey {
  enum class From : std::uint8_t { kHeader, kCookie, kQuery, kSourceIp };
  From from = From::kSourceIp;
  std::string name, path;                   // path: of a cookie
  std::optional<std::chrono::seconds> ttl;  // of a cookie; none: only when the client has it
  bool operator==(const HashKey&) const = default;
};
struct LoadBalancer {
  enum class Kind : std::uint8_t {
    kLeastRequest,
    kRoundRobin,
    kRandom,
    kPassthrough,
    kRingHash,
    kMaglev
  };
  Kind kind = Kind::kLeastRequest;
  std::optional<HashKey> hash;  // ring hash and maglev
  std::uint64_t ring_size = 1024;
  std::optional<Milliseconds> warmup;
  bool operator==(const LoadBalancer&) const = default;
};
struct ConnectionPool {
  std::optional<std::uint32_t> connections_max, pending_max, requests_max, retries_max,
      requests_per_connection_max;
  std::optional<Milliseconds> connect_timeout, idle_timeout, connection_duration_max;
  std::optional<bool> http2_upgrade;
  struct Keepalive {
    std::optional<std::uint32_t> probes, time_s, interval_s;
    bool operator==(const Keepalive&) const = default;
  };
  std::optional<Keepalive> keepalive;
  bool operator==(const ConnectionPool&) const = default;
};
struct OutlierDetection {
  std::optional<std::uint32_t> consecutive_5xx, consecutive_gateway_errors,
      consecutive_local_failures;
  std::optional<bool> split_local_errors;
  Milliseconds interval{10'000}, base_ejection{30'000};
  std::uint32_t ejection_max_percent = 10;
  std::uint32_t healthy_min_percent = 0;
  bool operator==(const OutlierDetection&) const = default;
};
// How many of a destination's requests may be retries at one time.
struct RetryBudget {
  std::uint32_t ppm = 200'000;        // of the requests that are active or wait
  std::uint32_t concurrency_min = 3;  // always allowed
  bool operator==(const RetryBudget&) const = default;
};
struct ClientTls {
  enum class Mode : std::uint8_t { kDisable, kSimple, kMutual, kIstioMutual };
  Mode mode = Mode::kDisable;
  std::string sni, credential_name, ca_pem;
  std::vector<std::string> san;
  bool skip_verify = false;
  bool operator==(const ClientTls&) const = default;
};

// Block by block: a block that is set replaces the parent's whole block.
struct TrafficPolicy {
  std::optional<LoadBalancer> load_balancer;
  std::optional<ConnectionPool> pool;
  std::optional<OutlierDetection> outlier;
  std::optional<ClientTls> tls;
  std::optional<RetryBudget> retry_budget;  // a port's policy does not replace it
  bool operator==(const TrafficPolicy&) const = default;
};
struct Subset {
  std::string name;
  mesh::Labels labels;
  std::optional<TrafficPolicy> policy;  // over the rule's, block by block
  std::map<std::uint16_t, TrafficPolicy> ports;
};
// A DestinationRule. A port's policy replaces the rule's whole policy: what it lacks goes back to
// the defaults.
struct Destination {
  Provenance from;
  std::string ns, name;
  std::string host;  // full, or "*.x"
  TrafficPolicy policy;
  std::map<std::uint16_t, TrafficPolicy> ports;
  std::vector<Subset> subsets;
  std::vector<std::string> export_to;
};

struct ExternalEndpoint {
  std::string address;                         // IP or host name
  std::map<std::string, std::uint16_t> ports;  // by port name
  mesh::Labels labels;
  std::string network, locality, service_account;
  std::optional<std::uint32_t> weight;
};
struct ExternalPort {
  std::string name, protocol;  // HTTP HTTPS HTTP2 GRPC TCP TLS
  std::uint16_t port = 0, target_port = 0;
};
// A ServiceEntry.
struct ExternalService {
  enum class Resolution : std::uint8_t { kNone, kStatic, kDns, kDnsRoundRobin, kDynamicDns };
  Provenance from;
  std::string ns, name;
  std::vector<std::string> hosts;
  std::vector<Cidr> addresses;
  std::vector<ExternalPort> ports;
  bool in_mesh = false;  // location MESH_INTERNAL
  Resolution resolution = Resolution::kNone;
  std::vector<ExternalEndpoint> endpoints;
  mesh::Labels selector;  // workloadSelector: pods
  std::vector<std::string> export_to, subject_alt_names;
};

}  // namespace weft::controlplane::model
