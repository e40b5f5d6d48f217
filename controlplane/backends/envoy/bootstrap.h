// What Envoy starts with: who it is, and where its configuration comes from. JSON, which Envoy
// reads as it reads YAML. Pure.
#pragma once

#include <cstdint>
#include <string>

namespace weft::controlplane::envoy {

struct Bootstrap {
  std::string plan_id;        // node.id
  std::string token;          // ca::EnvoyTokens::make(plan_id)
  std::string xds_address;    // IP or DNS name of the control plane
  std::uint16_t xds_port = 15012;
  std::string server_name = "weft-controlplane.weft-system.svc";
  std::string root_cert_path;        // PEM; "" for plaintext (tests)
  std::uint16_t admin_port = 15000;    // on 127.0.0.1
  std::uint16_t metrics_port = 15020;  // /stats/prometheus on all addresses; 0: none
  std::uint16_t ready_port = 15021;    // /healthz/ready on all addresses; 0: none
};
std::string make_bootstrap(const Bootstrap& bootstrap);

}  // namespace weft::controlplane::envoy
