// What a waypoint or a gateway is made of in a cluster: ServiceAccount, Secret (bootstrap and
// roots), Deployment, Service. Pure: the same input, the same manifests.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "mesh/labels.h"

namespace weft::controlplane::deploy {

// Every object that we make carries this label, and we touch no other.
inline constexpr const char* kManagedBy = "app.kubernetes.io/managed-by";
inline constexpr const char* kManager = "weft-controlplane";
// On a waypoint's pods; its value is the waypoint's name. A gateway's pods: kGatewayLabel.
inline constexpr const char* kWaypointLabel = "weft.dev/waypoint";
inline constexpr const char* kGatewayLabel = "weft.dev/gateway";
inline constexpr const char* kGatewayNameLabel = "gateway.networking.k8s.io/gateway-name";
// Where a waypoint's Envoy takes PROXY v2 from its node's ztunnel, on the pod's loopback.
inline constexpr std::uint16_t kWaypointPort = 15089;
inline constexpr std::uint16_t kReadyPort = 15021;
inline constexpr std::uint16_t kEnvoyMetricsPort = 15090;

struct ServicePort {
  std::string name;
  std::uint16_t port = 0;
  bool operator==(const ServicePort&) const = default;
};

struct EnvoySettings {
  std::string server;       // "172.31.0.254:15012": discovery and access logs
  std::string server_name;  // the name that its certificate must have
  std::string roots_pem;
  std::string image = "weft/envoy:1.40.0";  // with bash and coreutils: preStop drains by them
  // What connections have to end in peace when a listener changes, and a waypoint leaves.
  std::uint32_t drain_seconds = 15;
  std::uint32_t concurrency = 1;
};

struct Envoy {
  bool gateway = false;
  std::string ns, name;
  std::string id;                  // of its plan: "waypoint~NS/NAME"
  std::string token;               // proves the id to the control plane
  std::vector<ServicePort> ports;  // a gateway's listeners
  mesh::Labels pod_labels;         // beside ours (an Istio Gateway's selector)
  std::uint32_t replicas = 1;
  bool operator==(const Envoy&) const = default;
};

// Envoy's bootstrap as JSON: admin on the loopback, ADS (delta), readiness on 15021, metrics on
// 15090.
std::string bootstrap(const Envoy& envoy, const EnvoySettings& settings);

// In the order in which they should be created.
std::vector<nlohmann::json> manifests(const Envoy& envoy, const EnvoySettings& settings);

}  // namespace weft::controlplane::deploy
