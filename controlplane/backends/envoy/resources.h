// model::Plan → what Envoy is told, as deterministic bytes whose version is their hash. Pure.
// Layout (envoy-waypoint facts §0, §2): one listener, frozen; an HTTP chain whose routes are scoped
// routes with their route configuration inline, keyed by x-weft-dst (a waypoint's original
// destination, a gateway's listener and chain); a chain for every TCP service. Policy is in
// typed_per_filter_config of virtual hosts and routes; the base answers 403.
// Scoped routes are named "HOST:PORT|ADDRESS:PORT" (gateways: "LISTENER|CHAIN"), route
// configurations and virtual hosts "HOST:PORT", clusters as the plan names them.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "controlplane/backends/envoy/settings.h"
#include "controlplane/model/plan.h"
#include "controlplane/xds/ordered_session.h"

namespace weft::controlplane::envoy {

// All resources of one Envoy. `token` authenticates its access logs ("" when they need none).
xds::SnapshotPtr resources(const model::Plan& plan, const Settings& settings,
                           const std::string& token);

// The same, remembering what a service, listener or cluster that did not change became. Keeps the
// token requirements of the plan before, too: a route that drops one is told after the filter.
// Not synchronised.
class Compiler {
 public:
  Compiler(Settings settings, std::string token);
  ~Compiler();
  xds::SnapshotPtr compile(const model::Plan& plan);

 private:
  class State;
  std::unique_ptr<State> state_;
};

}  // namespace weft::controlplane::envoy
