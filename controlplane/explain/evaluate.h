// What a waypoint answers to a request: the filters and routes of one service, in Envoy's order
// (tokens, who may not, who may, faults, CORS, the route's own action), judged without one. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "controlplane/explain/authz.h"
#include "controlplane/explain/request.h"
#include "controlplane/explain/tokens.h"
#include "controlplane/model/plan.h"

namespace weft::controlplane::explain {

struct Outcome {
  // Who answers.
  enum class By : std::uint8_t {
    kMalformed,  // 400: no rule sees it
    kPath,       // 307 to the path as it should be written: no rule sees it
    kToken,
    kPolicy,
    kFault,      // an abort that hits every request
    kPreflight,  // CORS
    kNoRoute,    // 404
    kDirect,
    kRedirect,
    kBroken,   // 500: nothing stands behind the route
    kBackends  // whoever of Destination answers
  };
  struct Destination {
    model::ServiceKey service;
    std::string subset, cluster;
    std::uint64_t weight = 1;
    std::string broken;  // not empty: its share gets a 500, and why
  };
  By by = By::kBackends;
  int status = 0;                           // 0: the backend's own
  const model::PlanRoute* route = nullptr;  // of the service that was given; null: none
  TokenVerdict token;
  Judgement policy;
  std::string location;                   // kPath, kRedirect
  std::vector<Destination> destinations;  // kBackends
  std::string path, authority;            // kBackends: as the backend gets them, query included
};

// REQUIRES: `service` is HTTP and outlives the outcome.
Outcome evaluate(const model::PlanService& service, const Request& request,
                 WallClock::time_point now);

}  // namespace weft::controlplane::explain
