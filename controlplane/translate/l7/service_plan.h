// One service as a waypoint sees it: whether anything about it needs one, which one, and what that
// one is to do. Pure: the same facts and objects give the same record.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "controlplane/model/plan.h"
#include "controlplane/translate/facts.h"
#include "controlplane/translate/l7/objects.h"
#include "controlplane/translate/l7/policies.h"
#include "controlplane/translate/l7/routing.h"

namespace weft::controlplane::translate::l7 {

inline constexpr const char* kAutomaticWaypoint = "weft-waypoint";
inline constexpr const char* kL7Annotation = "weft.dev/l7";  // "disabled"

// What one route object's rules came to at this service.
struct ObjectVerdict {
  std::uint16_t table_port = 0;  // of the parentRef; 0: all ports
  std::uint16_t port = 0;
  bool accepted = true;
  std::string reason, message;
  std::vector<std::string> unresolved;  // "BackendNotFound: …"
  std::vector<std::string> warnings;
  bool operator==(const ObjectVerdict&) const = default;
};

struct ServiceRecord {
  std::string hostname, ns, name;
  std::set<source::ObjectKey> wanted_by;  // objects (and the Namespace) that need L7 here
  bool wanted = false;
  bool has_policy = false;  // L7 policy: closed until it is enforced; else routing alone: open
  std::string opted_out;    // "label istio.io/use-waypoint: none …": nobody serves it
  std::string unservable;   // "it has no cluster IP"
  std::string waypoint_ns, waypoint_name;  // who serves it; "" when nobody
  bool bound = false;                      // by label
  std::string missing;                     // bound to what is not there: why

  std::vector<model::PlanService> ports;
  std::set<std::string> clusters;      // names
  std::set<std::string> reach;         // hosts of services whose pods its requests can reach
  std::set<std::string> mentions;      // hosts that its tables name, those in force and the others
  std::set<std::string> own_policies;  // "ns/name" of those on its own pods, and of its requests
  std::set<std::string> policies;      // those that its plan enforces, wherever its requests go
  std::map<source::ObjectKey, std::vector<ObjectVerdict>> verdicts;
  std::map<source::ObjectKey, std::vector<std::string>> complaints;  // of DestinationRules
  std::map<source::ObjectKey, std::vector<std::string>> broken;      // theirs: Secrets in vain
  std::vector<source::ObjectKey> authns;
  std::vector<std::string> jwt_problems;
  bool by_labels = false;  // a route depends on which pods have which labels

  bool served() const { return !waypoint_name.empty(); }
  std::string plan_id() const {
    return served() ? "waypoint~" + waypoint_ns + "/" + waypoint_name : "";
  }
};

struct Inputs {
  const Facts& facts;
  const Objects& objects;
  const JwksLookup& jwks;
};

// `keep`: the waypoint "ns", "name" that still serves it for a while though nothing needs it now.
struct Keep {
  std::string ns, name;
};
ServiceRecord plan_service(const Inputs& inputs, const source::Service& service,
                           const Keep* keep = nullptr);

// For how many of a namespace's requests there are spans, where a Telemetry says so: its own, else
// a root namespace's.
std::optional<double> trace_sampling_of(const Inputs& inputs, const std::string& ns);

// L4's stand-in for RequestAuthentication on a service's HTTP ports: only its waypoint may come.
// Key of that policy, as it is in ServiceRecord::own_policies: "ns/weft_requests_NAME".
std::string requests_policy_name(const std::string& service_name);

// What following the references of routes gave.
struct Resolved {
  std::set<std::string> clusters, reach, policies;
  std::map<source::ObjectKey, std::vector<std::string>> unresolved;
  bool by_labels = false;  // some route asks for the labels of its clients
};
// Follows backends and mirrors, in place. `parent` (null at a gateway, where the destination judges
// for itself): the service whose requests these are; a route that can reach other pods than its
// gets what they require.
void resolve_routes(const Inputs& inputs, std::vector<model::PlanRoute>& routes,
                    std::uint16_t listener_port, const source::Service* parent, Resolved& out);

// What a table's backends and mirrors refer to in vain, in force or not: "BackendNotFound: …".
std::vector<std::string> unresolved_of(const Facts& facts, const Objects& objects,
                                       const model::RouteTable& table, std::uint16_t listener_port);

// The waypoint Gateway of this name, or null.
const model::Gateway* waypoint_gateway(const Objects& objects, const std::string& ns,
                                       const std::string& name);
// Principal of a gateway's or waypoint's pods, without "spiffe://".
std::string principal_of(const Facts& facts, const std::string& ns, const std::string& name);

}  // namespace weft::controlplane::translate::l7
