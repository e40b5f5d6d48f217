// Listeners: a waypoint's one, frozen but for its TCP services, and a gateway's. Pure. Internal to
// the room.
#pragma once

#include <string>

#include "controlplane/backends/envoy/settings.h"
#include "controlplane/model/plan.h"
#include "envoy/config/listener/v3/listener.pb.h"

namespace weft::controlplane::envoy {

bool is_connection(mesh::AppProtocol protocol);
// The scope that a gateway's chain has its routes in: stable while its listener and SNI are.
std::string scope_of(const model::PlanListener& listener, const model::PlanListener::Chain& chain);

void encode_waypoint(const model::Plan& plan, const Settings& settings, const std::string& token,
                     ::envoy::config::listener::v3::Listener& out);
// `owner`: the gateway's "NS/NAME".
void encode_gateway(const model::PlanListener& plan, const std::string& owner,
                    const Settings& settings, const std::string& token,
                    ::envoy::config::listener::v3::Listener& out);

}  // namespace weft::controlplane::envoy
