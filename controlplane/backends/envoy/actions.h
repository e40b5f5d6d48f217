// What becomes of a request that a route took: Envoy's actions and the filters' settings beside
// them. Pure. Internal to the room.
#pragma once

#include "controlplane/model/plan.h"
#include "envoy/config/core/v3/base.pb.h"
#include "envoy/config/route/v3/route_components.pb.h"

namespace weft::controlplane::envoy {

// Exactly one of redirect, direct response, and clusters.
void encode_action(const model::PlanRoute& route, const std::optional<model::TextMatch>& path,
                   ::envoy::config::route::v3::Route& out);
// A value as Envoy's formatter takes it: its own commands (%PROTOCOL%, %REQ(X)%) stay, any other
// percent sign is itself.
std::string header_value(const std::string& text);
void set_header(const std::string& name, const std::string& value,
                ::envoy::config::core::v3::HeaderValueOption& out, bool append);

}  // namespace weft::controlplane::envoy
