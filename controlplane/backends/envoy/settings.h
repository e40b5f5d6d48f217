// What every Envoy of this mesh has in common, decided once at the start of the control plane.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace weft::controlplane::envoy {

inline constexpr std::uint16_t kWaypointPort = 15089;   // PROXY v2, on loopback
inline constexpr const char* kXdsCluster = "weft-xds";  // in the bootstrap: ADS and access logs
inline constexpr const char* kTracingCluster = "weft-tracing";

struct Tracing {
  enum class Kind : std::uint8_t { kOff, kZipkin, kOtlp };
  Kind kind = Kind::kOff;
  std::string host;  // IP or DNS name of the collector
  std::uint16_t port = 0;
  double sampling_percent = 1;  // where no Telemetry says otherwise
};

struct Settings {
  std::string trust_domain = "cluster.local";
  Tracing tracing;
  bool access_log_service = true;  // stream access logs to the control plane
  // A client that never ends its headers would hold a connection for ever: it counts as active.
  std::chrono::milliseconds headers_timeout{10'000};
};

}  // namespace weft::controlplane::envoy
