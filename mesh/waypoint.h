// Waypoints: which workload is which waypoint, and what may pass through one. Pure.
// Source: ambient-protocol facts §1.7, §1.12, §5.1; DESIGN §5.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/net.h"
#include "base/result.h"
#include "mesh/policy.h"
#include "mesh/snapshot.h"

namespace weft::mesh {

// What a GatewayAddress names, seen from namespace `ns`: a service or one workload; both null: nothing that is known.
struct GatewayTarget {
  ServicePtr service;
  WorkloadPtr workload;
};
GatewayTarget gateway_target(const Snapshot& snapshot, std::string_view ns, const GatewayAddress& address);

// `workload` is that gateway, or one replica of it.
bool is_gateway(const Snapshot& snapshot, const Workload& workload, const GatewayAddress& address);
// `workload` is a waypoint of the service, whatever its weight.
bool is_waypoint_of(const Snapshot& snapshot, const Workload& workload, const Service& service);
// ztunnel terminates HBONE for `workload` and hands on connections with a PROXY header: a sandwiched waypoint.
bool is_sandwiched(const Workload& workload);

// Whoever reaches this port of the workload is believed to be whom a PROXY header says: nobody but ztunnel may.
bool is_claims_port(const Workload& workload, std::uint16_t port);

// A connection that passes through a waypoint on its way to somebody else.
struct Transit {
  SocketAddress destination;  // as the client addressed it; a host name as the service's VIP
  ServicePtr service;         // one of these is set
  WorkloadPtr workload;
};

// The CONNECT authority (`ip`, or else `host`) and `port` as a transit through `self`.
// Errors: kMalformed (`self` is no waypoint of that: 400), kUnreachable (no such port there, a host name without a VIP: 503).
Result<Transit> find_transit(const Snapshot& snapshot, const Workload& self, const IpAddress* ip, std::string_view host,
                             std::uint16_t port);

// The node's part of judging a transit, under `snapshot`: what is no HTTP must be allowed by the L4 policies of every endpoint
// that it could reach, as if the client had connected to it. HTTP is the proxy's to judge, request by request.
// `connection` tells the client; its destination is not looked at.
Verdict authorize_transit(const Snapshot& snapshot, const Transit& transit, ConnectionAttributes connection);

bool is_http(AppProtocol protocol);

}  // namespace weft::mesh
