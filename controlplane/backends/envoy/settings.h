// What every Envoy of this mesh has in common, decided once at the start of the control plane.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "mesh/tracing.h"

namespace weft::controlplane::envoy {

inline constexpr std::uint16_t kWaypointPort = 15089;   // PROXY v2, on loopback
inline constexpr const char* kXdsCluster = "weft-xds";  // in the bootstrap: ADS and access logs
inline constexpr const char* kTracingCluster = "weft-tracing";

using mesh::Tracing;

struct Settings {
  std::string trust_domain = "cluster.local";
  std::string cluster_id = "Kubernetes";
  Tracing tracing;
  bool access_log_service = true;  // stream access logs to the control plane
  // A client that never ends its headers would hold a connection for ever: it counts as active.
  std::chrono::milliseconds headers_timeout{10'000};
};

}  // namespace weft::controlplane::envoy
