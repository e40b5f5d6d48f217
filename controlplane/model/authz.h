// Authorization rules in full, L7 included: what a waypoint enforces. The part that L4 judges is
// AuthzPolicy::l4 (types.h). Pure values. Source: mesh-apis facts §2.1.4.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/net.h"
#include "controlplane/model/match.h"

namespace weft::controlplane::model {

// Values: any of `any_of` (all of them, when empty), and none of `none_of`. Principals are without
// "spiffe://". kPresent stands for "*": the attribute must be there.
struct Values {
  std::vector<TextMatch> any_of, none_of;
  bool empty() const { return any_of.empty() && none_of.empty(); }
  bool operator==(const Values&) const = default;
};
struct AddressValues {
  std::vector<Cidr> any_of, none_of;
  bool empty() const { return any_of.empty() && none_of.empty(); }
  bool operator==(const AddressValues&) const = default;
};

// Everything given must match.
struct AuthzSource {
  Values principals, namespaces, service_accounts /* "ns/sa" */, request_principals;
  AddressValues ip_blocks;         // the connection's source
  AddressValues remote_ip_blocks;  // the request's, after trusted proxies
  bool operator==(const AuthzSource&) const = default;
};
struct AuthzOperation {
  Values hosts, methods, paths;  // hosts: case ignored
  std::vector<std::uint16_t> ports, not_ports;
  bool operator==(const AuthzOperation&) const = default;
};
struct AuthzCondition {
  // As Istio names them: "request.headers[x]", "request.auth.claims[a][b]",
  // "request.auth.audiences", "request.auth.presenter", "request.auth.principal", "source.ip",
  // "remote.ip", "source.namespace", "source.principal", "source.serviceAccount", "destination.ip",
  // "destination.port", "connection.sni".
  std::string key;
  Values values;            // texts
  AddressValues addresses;  // for keys that are addresses
  bool operator==(const AuthzCondition&) const = default;
};
// from ∧ to ∧ when; an empty list of sources or operations matches everything.
struct AuthzRule {
  std::vector<AuthzSource> from;
  std::vector<AuthzOperation> to;
  std::vector<AuthzCondition> when;
  bool operator==(const AuthzRule&) const = default;
};

}  // namespace weft::controlplane::model
