// Plan: what one Envoy (a waypoint or a gateway) is to do, with every reference resolved and every
// conflict decided. translate/ makes it, backends/envoy turns it into resources. Pure values; equal
// plans make equal bytes.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/net.h"
#include "controlplane/model/authn.h"
#include "controlplane/model/authz.h"
#include "controlplane/model/destinations.h"
#include "controlplane/model/gateways.h"
#include "controlplane/model/routes.h"
#include "mesh/workload.h"

namespace weft::controlplane::model {

// One address that a cluster may choose. In the waypoint the connection leaves as any pod's does:
// the node's ztunnel captures it.
struct PlanEndpoint {
  std::string address;  // IP; a host name only where the cluster says DNS
  std::uint16_t port = 0;
  bool healthy = true;
  std::uint32_t weight = 1;
  mesh::Locality locality;
  // For telemetry; empty when it is no pod of the mesh.
  std::string workload_uid;
  bool operator==(const PlanEndpoint&) const = default;
};

// A destination: a service's port, or a subset of it.
struct PlanCluster {
  enum class Discovery : std::uint8_t { kEndpoints, kDns, kDnsLogical, kOriginalDestination };
  std::string name;  // "outbound|9080|v1|reviews.default.svc.cluster.local": Istio's form
  ServiceKey service;
  std::string subset;
  mesh::AppProtocol protocol = mesh::AppProtocol::kHttp11;  // spoken to the endpoints
  Discovery discovery = Discovery::kEndpoints;
  TrafficPolicy policy;  // effective
  std::vector<PlanEndpoint> endpoints;
  bool operator==(const PlanCluster&) const = default;
};

// A policy as this Envoy enforces it. `rules` are whole (L4 and L7). Ports in rules are the
// workload's.
struct PlanPolicy {
  std::string name;  // "ns/name", for logs
  Action action = Action::kAllow;
  std::vector<AuthzRule> rules;  // ALLOW without rules: matches nothing, so denies
  bool operator==(const PlanPolicy&) const = default;
};
// The policies of one set of pods: DENY first; then, when there is an ALLOW, one must match.
struct PolicySet {
  std::vector<PlanPolicy> policies;
  bool operator==(const PolicySet&) const = default;
};
// What a request must pass: every set (the pods that it can reach may have different policies).
// Empty: everything passes.
struct PlanAuthz {
  std::vector<PolicySet> sets;
  bool closed = false;  // nothing passes: a policy could not be programmed
  bool operator==(const PlanAuthz&) const = default;
};

// One rule of a virtual host, ready: backends name clusters, in order of precedence.
struct PlanRoute {
  HttpRule rule;                      // backends' `service`/`subset` resolved in `clusters`
  std::vector<std::string> clusters;  // parallel to rule.backends; "" where the backend is broken
  std::vector<std::string> mirror_clusters;    // parallel to rule.mirrors
  std::optional<PlanAuthz> authz;              // none: the service's
  std::vector<std::string> client_namespaces;  // not empty: only these clients' requests
  std::vector<std::string> client_principals;  // the same; without "spiffe://", exact
  std::optional<HashKey> hash;                 // of the destination's balancer
  bool default_retry = false;
  Provenance from;           // whose rule; key.kind "" for the implicit one
  std::uint32_t number = 0;  // of the rule in it, from 1; for people, no part of equality
  bool operator==(const PlanRoute& other) const {
    return rule == other.rule && clusters == other.clusters &&
           mirror_clusters == other.mirror_clusters && authz == other.authz &&
           client_namespaces == other.client_namespaces &&
           client_principals == other.client_principals && hash == other.hash &&
           default_retry == other.default_retry && from.key == other.from.key;
  }
};

// One service port that a waypoint serves, found by original destination (VIP:port).
struct PlanService {
  ServiceKey key;  // port set
  std::string service_name, service_ns;
  std::vector<SocketAddress> addresses;  // VIP:port in each family; unique within a waypoint
  mesh::AppProtocol protocol = mesh::AppProtocol::kHttp11;  // kTcp, kTls: connections
  std::uint16_t target_port = 0;                            // for port rules; 0: named, differs
  std::vector<PlanRoute> routes;                            // HTTP; the last may match everything
  std::vector<std::string> tcp_clusters;                    // kTcp: weighted
  std::vector<std::uint64_t> tcp_weights;
  PlanAuthz authz;
  std::vector<JwtRule> jwt;  // any of them; no token passes
  std::optional<double> trace_sampling_percent;
  bool leaving = false;  // clients go elsewhere: connections end with their next answer
  bool operator==(const PlanService&) const = default;
};

// A gateway's port. HTTP: virtual hosts; TLS passthrough and TCP: connections.
struct PlanHost {
  std::vector<std::string> hosts;  // "*", "*.x", names
  std::vector<PlanRoute> routes;
  bool https_redirect = false;
  bool operator==(const PlanHost&) const = default;
};
struct PlanCertificate {
  std::string name;  // "ns/secret"
  std::string chain_pem, key_pem, ca_pem;
  bool operator==(const PlanCertificate&) const = default;
};
struct PlanListener {
  std::string name;
  std::uint16_t port = 0;
  struct Chain {  // by SNI; one without SNI for plain HTTP and TCP
    std::vector<std::string> sni;
    std::optional<ServerTls> tls;
    std::vector<PlanHost> http;
    std::vector<std::string> tcp_clusters;
    std::vector<std::uint64_t> tcp_weights;
    PlanAuthz authz;
    std::vector<JwtRule> jwt;
    bool operator==(const Chain&) const = default;
  };
  std::vector<Chain> chains;
  std::optional<double> trace_sampling_percent;
  bool operator==(const PlanListener&) const = default;
};

// One Envoy.
struct Plan {
  enum class Kind : std::uint8_t { kWaypoint, kGateway };
  Kind kind = Kind::kWaypoint;
  std::string ns, name;                 // of the Gateway object
  std::string id;                       // Envoy's node.id: "waypoint~NS/NAME" or "gateway~NS/NAME"
  std::vector<PlanService> services;    // waypoint
  std::vector<PlanListener> listeners;  // gateway
  std::vector<PlanCertificate> certificates;    // gateway
  std::map<std::string, PlanCluster> clusters;  // by name: all that routes name
  bool draining = false;  // waypoint: it is leaving; what is open ends within Envoy's drain time
  bool operator==(const Plan&) const = default;
};

}  // namespace weft::controlplane::model
