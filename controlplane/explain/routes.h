// Routes in words and as JSON: whose rule it is and what it does. Pure.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "controlplane/explain/evaluate.h"

namespace weft::controlplane::explain {

// {"object", "rule", "origin", "text", "destinations", "timeoutMs" …}; null when the request got to
// none.
nlohmann::json describe_route(const Outcome& outcome);

// "answered 302 to …", "goes to v1 (90 %) …": what becomes of the request.
std::string describe_outcome(const Outcome& outcome);

}  // namespace weft::controlplane::explain
