// resolve(): where a captured connection goes. Pure: randomness is an argument.
// Source: ambient-protocol facts §5.1, §5.2.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "mesh/snapshot.h"

namespace weft::mesh {

// The answer. kPassthrough: plain TCP to `address` (an unknown destination, a PASSTHROUGH service, or a workload outside the mesh).
// kHbone: a tunnel to `tunnel` (pod IP:15008 or waypoint:15008), CONNECT `authority`, the peer must prove one of `expected`.
struct Route {
  enum class Kind : std::uint8_t { kPassthrough, kHbone };
  Kind kind = Kind::kPassthrough;
  SocketAddress address;                    // the app's endpoint (pod IP:target port), or the original destination
  SocketAddress tunnel;                     // kHbone only
  std::string authority;                    // kHbone only
  std::vector<Identity> expected;           // kHbone only; never empty
  WorkloadPtr workload;                     // the endpoint, when known
  ServicePtr service;                       // the service that was addressed, when known
  std::uint16_t service_port = 0;
  bool via_waypoint = false;
};

// `tried` lists the uids of endpoints, or of a waypoint's replicas, that were dialed in vain: another one is chosen.
// A service's waypoint is passed by all but itself; a workload's by all but waypoints (what a waypoint sends to a pod's address was
// routed already). A waypoint that is named but not known, or has no healthy replica, is an error: never a way around it.
// Errors: kUnreachable "no healthy upstream" (a service with no usable endpoint), "unknown waypoint", "port not in service";
// kDenied "self call" (loopback and an in-pod port); kUnsupported "other network" (double HBONE is not built).
inline constexpr const char* kUnknownWaypoint = "unknown waypoint";
using Random = std::function<std::uint64_t(std::uint64_t bound)>;  // uniform in [0, bound)
Result<Route> resolve(const Snapshot& snapshot, const Workload& source, const SocketAddress& original_destination,
                      const Random& random, const std::vector<std::string>& tried = {});

// One of the usable endpoints of a service port, as the service's load balancing says. `exclude` lists uids.
struct Endpoint {
  WorkloadPtr workload;
  SocketAddress address;
};
std::optional<Endpoint> choose_endpoint(const Snapshot& snapshot, const Service& service, std::uint16_t service_port,
                                        const Workload& source, bool prefer_v6, const std::vector<std::string>& exclude,
                                        const Random& random);

// 15001, 15006, 15008, 15053: never a legal application port for a captured or delivered connection.
bool is_in_pod_port(std::uint16_t port);

}  // namespace weft::mesh
