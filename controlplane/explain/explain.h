// Why a connection or a request gets where it gets, or does not: the path, the route, the policies
// and the object behind each, from what nodes and waypoints were told. Pure.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "controlplane/explain/request.h"
#include "controlplane/translate/world.h"
#include "mesh/snapshot.h"

namespace weft::controlplane::explain {

struct Query {
  std::string source, destination;  // as names.h reads them
  std::string ns = "default";       // of a source without one
  std::string method = "GET", path = "/";
  Headers headers;
};

// {"source", "destination", "method", "headers" …} as weftctl sends it.
Parsed<Query> read_query(const nlohmann::json& request);

// The answer: "source", "destination", "path" (sentences), "transport" (waypoint, hbone, plaintext,
// passthrough), "waypoint", "route", "policy" (each: at, allowed, object, rule, text), "endpoints",
// "verdict" (allowed, answered, denied, partly denied, unreachable), "status" (null: the
// application's), "text", "notes". Refused: a name that is not there.
Parsed<nlohmann::json> explain(const translate::World& world, const mesh::Snapshot& snapshot,
                               const Query& query, WallClock::time_point now);

}  // namespace weft::controlplane::explain
