// Gateways: the edge, and waypoints that somebody asks for by hand. Pure values.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "controlplane/model/types.h"
#include "mesh/labels.h"

namespace weft::controlplane::model {

struct ServerTls {
  enum class Mode : std::uint8_t { kPassthrough, kSimple, kMutual, kOptionalMutual };
  Mode mode = Mode::kSimple;
  std::vector<std::string> secrets;      // "ns/name"
  std::string min_version, max_version;  // "TLSV1_2" …, or ""
  bool operator==(const ServerTls&) const = default;
};

struct Listener {
  std::string name;
  std::uint16_t port = 0;
  std::string protocol;            // HTTP HTTPS TLS TCP HTTP2 GRPC HBONE
  std::vector<std::string> hosts;  // "*", "*.x", names; Istio's "ns/" prefix is in host_namespaces
  std::map<std::string, std::string> host_namespaces;  // host → ns or "."
  std::optional<ServerTls> tls;
  bool https_redirect = false;
  // Who may attach (Gateway API): "Same", "All", "Selector", "None". Istio: "All".
  std::string routes_from = "Same";
  mesh::Labels routes_selector;
  std::vector<std::string> route_kinds;
};

struct Gateway {
  enum class Kind : std::uint8_t { kIngress, kWaypoint };
  Provenance from;
  std::string ns, name;
  Kind kind = Kind::kIngress;
  bool gateway_api = false;  // gateway.networking.k8s.io; else networking.istio.io
  std::string class_name;    // Gateway API
  mesh::Labels selector;     // Istio: labels of the pods that serve it
  std::vector<Listener> listeners;
  mesh::Labels labels, annotations;
  std::string waypoint_for = "service";  // service | workload | all | none
  std::vector<std::string> addresses;    // asked for
};

struct GatewayClass {
  Provenance from;
  std::string name, controller;
};

// ReferenceGrant: objects of `from` may name objects of `to` in this namespace.
struct ReferenceGrant {
  struct From {
    std::string group, kind, ns;
  };
  struct To {
    std::string group, kind, name;  // name "": all
  };
  Provenance provenance;
  std::string ns, name;
  std::vector<From> from;
  std::vector<To> to;
};

}  // namespace weft::controlplane::model
