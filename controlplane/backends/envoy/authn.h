// Tokens: what rules ask for, as Envoy's jwt_authn filter. One filter for all services of an Envoy,
// by name of requirement. Pure. Internal to the room.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "controlplane/model/authn.h"
#include "envoy/extensions/filters/http/jwt_authn/v3/config.pb.h"

namespace weft::controlplane::envoy {

inline constexpr const char* kJwtFilter = "weft.jwt";  // and the name of its configuration

// The same rules have the same name.
std::string requirement_name(const std::vector<model::JwtRule>& rules);
using Requirements = std::map<std::string, std::vector<model::JwtRule>>;  // by requirement_name
::envoy::extensions::filters::http::jwt_authn::v3::JwtAuthentication make_jwt_filter(
    const Requirements& requirements);

}  // namespace weft::controlplane::envoy
