// Workload and Service: what the control plane tells a node about the world, as plain values.
// Field meanings follow istio.workload (proto/weft/workload.proto); defaults are those of its decoder.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

#include "base/net.h"
#include "mesh/identity.h"

namespace weft::mesh {

enum class TunnelProtocol : std::uint8_t { kNone, kHbone };
enum class AppProtocol : std::uint8_t { kUnknown, kHttp11, kHttp2, kGrpc, kTcp, kTls };

struct NetworkAddress {
  std::string network;
  IpAddress ip;
  std::optional<std::uint8_t> length;  // a CIDR VIP; absent: one host
  auto operator<=>(const NetworkAddress&) const = default;
};

struct NamespacedHostname {
  std::string ns;
  std::string hostname;
  std::string key() const { return ns + "/" + hostname; }
  auto operator<=>(const NamespacedHostname&) const = default;
};

struct GatewayAddress {
  std::variant<NamespacedHostname, NetworkAddress> destination;
  std::uint16_t hbone_mtls_port = 15008;
  bool operator==(const GatewayAddress&) const = default;
};

struct WeightedWaypoint {
  GatewayAddress destination;
  std::uint32_t weight = 0;  // of a hundred connections
  bool operator==(const WeightedWaypoint&) const = default;
};

struct Port {
  std::uint16_t service_port = 0;
  std::uint16_t target_port = 0;  // 0: named, the endpoint's own map decides
  AppProtocol app_protocol = AppProtocol::kUnknown;
};

struct Locality {
  std::string region, zone, subzone;
  bool operator==(const Locality&) const = default;
};

struct ApplicationTunnel {
  bool proxy_protocol = false;  // PROXY v2 before the payload
  std::uint16_t port = 0;       // 0: the original port
};

struct Workload {
  std::string uid;
  std::string name;
  std::string ns;
  std::vector<IpAddress> addresses;
  std::string network;
  TunnelProtocol tunnel_protocol = TunnelProtocol::kNone;
  std::string trust_domain = "cluster.local";
  std::string service_account = "default";
  std::optional<GatewayAddress> waypoint;
  std::optional<GatewayAddress> network_gateway;
  std::string node;
  std::string canonical_name;
  std::string canonical_revision;
  std::string workload_type = "pod";  // deployment | cronjob | pod | job
  std::string workload_name;          // the owner's name
  bool native_tunnel = false;
  std::optional<ApplicationTunnel> application_tunnel;
  std::vector<std::string> authorization_policies;  // "ns/name"
  bool healthy = true;
  std::string cluster_id = "Kubernetes";
  std::string hostname;                                                    // DNS-backed when set
  std::map<std::string, std::vector<Port>> services;                       // "ns/hostname" → its ports here
  Locality locality;
  bool host_network = false;
  std::uint32_t capacity = 1;  // load-balancing weight; 0: never chosen

  Identity identity() const { return {trust_domain, ns, service_account}; }
};

enum class Scope : std::uint8_t { kRegion, kZone, kSubzone, kNode, kCluster, kNetwork };
enum class BalanceMode : std::uint8_t { kStandard, kStrict, kFailover, kPassthrough };

struct LoadBalancing {
  std::vector<Scope> preference;
  BalanceMode mode = BalanceMode::kStandard;
  bool allow_unhealthy = false;
};

enum class IpFamilies : std::uint8_t { kAutomatic, kV4Only, kV6Only, kDual };

struct Service {
  std::string name;
  std::string ns;
  std::string hostname;
  std::vector<NetworkAddress> addresses;  // VIPs; empty: headless
  std::vector<Port> ports;
  std::vector<std::string> subject_alt_names;
  std::optional<GatewayAddress> waypoint;
  std::vector<WeightedWaypoint> weighted_waypoints;  // what is left of the hundred goes to `waypoint`
  // The service ports that go to the waypoint; the others go straight. Absent: all of them.
  std::optional<std::vector<std::uint16_t>> waypoint_ports;
  LoadBalancing load_balancing;
  IpFamilies ip_families = IpFamilies::kAutomatic;
  bool canonical = false;
  bool namespace_private = false;  // Visibility NAMESPACE

  std::string key() const { return ns + "/" + hostname; }
  // Connections to `service_port` pass the waypoint, if there is one.
  bool is_waypoint_port(std::uint16_t service_port) const {
    return !waypoint_ports || std::ranges::find(*waypoint_ports, service_port) != waypoint_ports->end();
  }
};

}  // namespace weft::mesh
