// What World gives beside configuration for ztunnel: plans for Envoys, gateways that should run,
// statuses of objects; and what it is told in return. Pure values.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "controlplane/model/plan.h"
#include "controlplane/model/types.h"
#include "mesh/labels.h"
#include "mesh/workload.h"

namespace weft::controlplane::translate {

// An Envoy that should run, for the deployer: ServiceAccount, Secret, Deployment and Service NAME
// in NS. Its plan may come later than it, and lives as long.
struct DesiredGateway {
  model::Plan::Kind kind = model::Plan::Kind::kWaypoint;
  std::string ns, name;
  std::string plan_id;               // "waypoint~NS/NAME" | "gateway~NS/NAME"
  bool automatic = false;            // nobody wrote a Gateway object for it
  std::string class_name;            // "weft-waypoint", "weft" …; "" for an Istio Gateway's
  std::string reason;                // for people: "VirtualService default/reviews"
  std::vector<std::uint16_t> ports;  // of its Service: 15008, or a gateway's listeners'; sorted
  mesh::Labels pod_labels;           // beside the deployer's own (istio: ingressgateway)
  mesh::IpFamilies ip_families = mesh::IpFamilies::kAutomatic;
  source::ObjectKey gateway;  // the Gateway object that asks for it; kind "" when automatic
  bool operator==(const DesiredGateway&) const = default;
};

// How far an Envoy is with the last plan that was given to the feed; the app converts the feed's.
struct Progress {
  enum class State : std::uint8_t { kPending, kAcked, kRejected };
  struct One {
    State state = State::kPending;
    bool served = false;  // every connected Envoy serves some version of it, maybe an older one
    std::string text;     // Envoy's words when rejected
    bool operator==(const One&) const = default;
  };
  bool connected = false;
  // By "HOST:PORT" of PlanService::key, clusters included. One that the plan no longer has stays
  // here until its removal is acknowledged.
  std::map<std::string, One> services;
  std::map<std::string, One> listeners;  // by PlanListener::name
  bool operator==(const Progress&) const = default;
};

// Gateway API: status.parents[] of a route.
struct ParentStatus {
  std::string group, kind, ns, name, section;  // as in the object's parentRef
  std::optional<std::uint16_t> port;
  std::vector<model::Condition> conditions;
  bool operator==(const ParentStatus&) const = default;
};
// Gateway API: status.listeners[] of a Gateway.
struct ListenerStatus {
  std::string name;
  std::vector<std::string> route_kinds;  // supportedKinds: "HTTPRoute" …
  std::uint32_t attached_routes = 0;
  std::vector<model::Condition> conditions;
  bool operator==(const ListenerStatus&) const = default;
};

// Status of one object. What a writer puts where: `conditions` to status.conditions (with
// observedGeneration), `messages` to status.validationMessages (networking.istio.io and
// security.istio.io), `parents` to status.parents under our controllerName only, `listeners`,
// `addresses` and `features` (status.supportedFeatures) likewise.
struct ObjectStatus {
  source::ObjectKey key;
  std::string origin;
  std::vector<model::Condition> conditions;
  std::int64_t generation = 0;  // metadata.generation that this is about; 0: it has none
  struct Message {
    bool error = false;      // else a warning
    std::string code, text;  // "IST0101" or ""
    bool operator==(const Message&) const = default;
  };
  std::vector<Message> messages;
  std::vector<ParentStatus> parents;
  std::vector<ListenerStatus> listeners;
  std::vector<std::string> addresses, features;
  bool operator==(const ObjectStatus&) const = default;
};

inline constexpr const char* kGatewayController = "weft.dev/gateway-controller";
inline constexpr const char* kMeshController = "weft.dev/mesh-controller";

}  // namespace weft::controlplane::translate
