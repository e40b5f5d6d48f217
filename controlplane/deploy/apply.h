// Server-side apply as values: what to send so that the server has what we want, and nothing when
// it has it already. Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "controlplane/deploy/outcome.h"

namespace weft::controlplane::deploy {

inline constexpr const char* kFieldManager = "weft-controlplane";

// Body of the apply of the status subresource; `current` is the object as the server has it now,
// and its resourceVersion goes along: a writer that was overtaken is refused. lastTransitionTime
// stays with a condition that did not change. Where the API has one list for all writers (a route's
// parents, Istio's conditions), what others wrote stays. `wanted` empty: ours goes.
std::optional<nlohmann::json> status_apply(const std::string& api_version, const std::string& kind,
                                           const nlohmann::json& wanted,
                                           const nlohmann::json& current, const std::string& now);

// Every member of `part` is in `whole`, equal; lists of named things (conditions, listeners,
// supportedFeatures, ports, containers …) are compared by name, other lists as they are.
bool contains(const nlohmann::json& whole, const nlohmann::json& part);

}  // namespace weft::controlplane::deploy
