// Verdicts in words and as JSON, with the object behind each. Pure.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "controlplane/explain/evaluate.h"
#include "controlplane/translate/world.h"
#include "mesh/policy.h"
#include "mesh/snapshot.h"

namespace weft::controlplane::explain {

// "AuthorizationPolicy shop/allow": whose policy it is that nodes know under this key.
std::string policy_object(const translate::Facts& facts, const std::string& key);
// "VirtualService shop/reviews".
std::string object_text(const source::ObjectKey& key);

// At the pod `destination`, by its node: {"at", "allowed", "object", "rule", "text"}. A policy that
// only L7 could judge says so.
nlohmann::json node_verdict(const translate::Facts& facts, const mesh::Snapshot& snapshot,
                            const mesh::Workload& destination,
                            const mesh::ConnectionAttributes& connection);

// At a waypoint: the same.
nlohmann::json waypoint_verdict(const translate::Facts& facts, const std::string& waypoint,
                                const Judgement& judgement);

}  // namespace weft::controlplane::explain
