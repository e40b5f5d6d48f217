// decode: the wire's workloads, services and policies as mesh values. Pure. A resource that breaks an invariant gives one sentence
// (the text of the NACK); nothing is half decoded.
// Source: ambient-protocol facts §2.3 (defaults, invariants), §2.4, §2.5.
#pragma once

#include <string_view>
#include <variant>

#include "base/result.h"
#include "mesh/snapshot.h"

namespace weft::state {

inline constexpr std::string_view kAddressType = "type.googleapis.com/istio.workload.Address";
inline constexpr std::string_view kAuthorizationType = "type.googleapis.com/istio.security.Authorization";

using DecodedAddress = std::variant<mesh::WorkloadPtr, mesh::ServicePtr>;

// `name` is the resource's name and must be the value's own key (uid, "ns/hostname"); empty: not checked.
// `bytes` is the serialised istio.workload.Address.
Parsed<DecodedAddress> decode_address(std::string_view name, std::string_view bytes);

// `bytes` is the serialised istio.security.Authorization. Content that L4 cannot judge (extensions, fields from a newer schema) fails
// closed: an ALLOW rule that has it never matches, a DENY rule denies whatever its known part matches.
Parsed<mesh::PolicyPtr> decode_authorization(std::string_view name, std::string_view bytes);

}  // namespace weft::state
