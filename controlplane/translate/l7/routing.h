// Whose rules route the requests for one port of a service, and in which order. Pure. Precedence:
// Gateway API > VirtualService > the others; a client namespace that has routes of its own
// (consumer routes) is decided apart, and those replace everybody's for it. Source: mesh-apis facts
// §2.0-2.2.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "controlplane/model/plan.h"
#include "controlplane/model/routes.h"

namespace weft::controlplane::translate::l7 {

// The port that requests come to, as their clients call it.
struct Entrance {
  std::uint16_t port = 0;
  bool tls = false;  // what clients speak there
};

// What became of one table at one port.
struct RouteVerdict {
  const model::RouteTable* table = nullptr;
  std::uint16_t port = 0;
  bool accepted = true;
  std::string reason, message;        // when not accepted
  std::vector<std::string> warnings;  // "rule 2 is never reached …"
};

struct Routing {
  // One match (or none: everything) each, in order; clusters, authz and hash are the caller's.
  std::vector<model::PlanRoute> routes;
  std::vector<RouteVerdict> verdicts;
  bool owned = false;  // some table routes everybody's requests; else the implicit route does
};

// `tables`: HTTP and gRPC tables about the service, visible or not. `self`: the port itself, where
// an implicit or default route goes.
Routing route_requests(const std::vector<const model::RouteTable*>& tables,
                       const std::vector<std::string>& roots, const model::ServiceKey& self,
                       bool default_retry);

// Namespaces whose clients a table is about, empty for all: its own where it says so, by exportTo,
// and when the service belongs to another namespace.
std::vector<std::string> clients_of(const model::RouteTable& table, const std::string& service_ns,
                                    const std::vector<std::string>& roots);

// A table about everybody's requests, not those of some namespaces' clients (or of nobody's, `~`).
bool is_for_everybody(const model::RouteTable& table, const std::string& service_ns,
                      const std::vector<std::string>& roots);

// The rules of one host of a gateway, from tables that may attach to it, in order.
std::vector<model::PlanRoute> order_routes(std::vector<const model::RouteTable*> tables,
                                           Entrance at, std::vector<std::string>* unreachable);

// True when nothing gets past this route.
bool matches_everything(const model::PlanRoute& route);

}  // namespace weft::controlplane::translate::l7
