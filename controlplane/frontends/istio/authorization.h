// security.istio.io AuthorizationPolicy (v1, v1beta1) → model. Source: ambient-protocol facts §3.2,
// except that nothing fails open: an ALLOW rule with any L7 field is dropped; of a DENY rule the L4
// part denies (an element with only L7 fields matches everything); CUSTOM denies what its L4 part
// matches, since nobody can be asked; AUDIT decides nothing.
#pragma once

#include "base/result.h"
#include "controlplane/model/types.h"
#include "source/object.h"

namespace weft::controlplane::istio {

// `in_root`: the object's namespace is a root namespace. Unknown fields and values that do not
// parse are refused by name.
Parsed<model::AuthzPolicy> decode_authorization_policy(const source::Object& object, bool in_root);

}  // namespace weft::controlplane::istio
