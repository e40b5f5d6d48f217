// PeerAuthentication → L4 policies. Pure. Source: ambient-protocol facts §3.3.
// Who decides: a workload's own (selector) > its namespace's > a root namespace's; the oldest wins
// among equals; UNSET asks the next one; nobody says anything: PERMISSIVE. DISABLE is PERMISSIVE: a
// node proxy cannot take mTLS off.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "controlplane/model/types.h"
#include "mesh/policy.h"

namespace weft::controlplane::translate {

inline constexpr const char* kStaticStrictName = "istio_converted_static_strict";

// "DENY whoever proves no identity", to be attached to workloads by name.
mesh::Policy static_strict(const std::string& root_ns);

struct Mtls {
  bool strict = false;
  const model::PeerAuthn* by_workload = nullptr;  // the selector policy in force, if any
};
// `all` holds every PeerAuthn of the namespace and of the root namespaces.
Mtls effective_mtls(const std::vector<const model::PeerAuthn*>& all,
                    const std::vector<std::string>& roots, const std::string& ns,
                    const mesh::Labels& labels);

// The older one that decides wherever `one` would: on every pod that it selects, or for its whole
// namespace or mesh. Null: `one` decides somewhere. `all` as above.
const model::PeerAuthn* overruled_by(const std::vector<const model::PeerAuthn*>& all,
                                     const std::vector<std::string>& roots,
                                     const model::PeerAuthn& one);

// The policy for a selector PeerAuthn's port exceptions, given the mode of the whole pod; nothing
// when no port differs.
std::optional<mesh::Policy> port_policy(const model::PeerAuthn& authn, bool strict);

}  // namespace weft::controlplane::translate
