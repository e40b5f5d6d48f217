// PlanAuthz as Envoy's RBAC. Pure. Internal to the room.
// Every attribute is said as a principal, so that rules can be joined by any and all; ports and
// what Envoy cannot know here are decided now, against the request: in an ALLOW they match nothing,
// in a DENY everything.
#pragma once

#include <cstdint>

#include "controlplane/model/plan.h"
#include "envoy/config/rbac/v3/rbac.pb.h"

namespace weft::controlplane::envoy {

struct AuthzContext {
  bool http = true;        // false: connections, which have no request attributes
  bool edge = false;       // a gateway: the connection's address and the request's may differ
  std::uint16_t port = 0;  // that workloads listen on; 0: differs
};

// What a request must not match, and what it must. Absent: no such filter is needed.
struct Rbac {
  std::optional<::envoy::config::rbac::v3::RBAC> deny, allow;
};
Rbac make_rbac(const model::PlanAuthz& authz, const AuthzContext& context);

}  // namespace weft::controlplane::envoy
