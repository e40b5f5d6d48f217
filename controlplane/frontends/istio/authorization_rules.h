// The rules of an AuthorizationPolicy in full, L7 included, for waypoints. Unknown fields are
// judged by authorization.cc, which reads the same rules as L4 sees them.
#pragma once

#include <string>
#include <vector>

#include "controlplane/model/authz.h"
#include "source/fields.h"

namespace weft::controlplane::istio {

// `field`: spec.rules; `ns`: of the policy.
std::vector<model::AuthzRule> authz_rules(const source::Field& field, const std::string& ns);

}  // namespace weft::controlplane::istio
