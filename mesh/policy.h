// Authorization: Istio's L4 policy as a value, and authorize(), the one place where a connection is judged.
// Source: istio.security.Authorization and its matching algebra (ambient-protocol facts §3.1).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/net.h"
#include "mesh/identity.h"

namespace weft::mesh {

struct StringMatch {
  enum class Kind : std::uint8_t { kExact, kPrefix, kSuffix, kPresence };
  Kind kind = Kind::kExact;
  std::string value;  // empty for kPresence

  // "*" presence, "*x" suffix, "x*" prefix, else exact.
  static StringMatch parse(std::string_view pattern);
  bool matches(std::string_view text) const;
  auto operator<=>(const StringMatch&) const = default;
};

struct ServiceAccountMatch {
  std::string ns;
  std::string service_account;
  auto operator<=>(const ServiceAccountMatch&) const = default;
};

// All filled fields must hold (AND); values in one field are OR; a not_ field holds when none of its values matches.
// A match with every field empty never holds.
struct Match {
  std::vector<StringMatch> namespaces, not_namespaces;
  std::vector<StringMatch> principals, not_principals;  // written without "spiffe://"
  std::vector<Cidr> source_ips, not_source_ips;
  std::vector<Cidr> destination_ips, not_destination_ips;
  std::vector<std::uint16_t> destination_ports, not_destination_ports;
  std::vector<ServiceAccountMatch> service_accounts, not_service_accounts;

  bool is_empty() const;
};

struct Clause {
  std::vector<Match> matches;  // OR; none: holds
};
struct Rule {
  std::vector<Clause> clauses;  // AND; none: matches everything
};

enum class PolicyScope : std::uint8_t { kGlobal, kNamespace, kWorkloadSelector };
enum class PolicyAction : std::uint8_t { kAllow, kDeny };

struct Policy {
  std::string name;
  std::string ns;
  PolicyScope scope = PolicyScope::kNamespace;
  PolicyAction action = PolicyAction::kAllow;
  std::vector<Rule> rules;  // OR; none: never matches
  bool dry_run = false;

  std::string key() const { return ns + "/" + name; }
};

// What policy can see of a connection. `source` is absent when the peer proved nothing (plaintext).
struct ConnectionAttributes {
  IpAddress source_ip;
  IpAddress destination_ip;
  std::uint16_t destination_port = 0;  // target port, as the pod sees it
  const Identity* source = nullptr;
};

bool matches(const Policy& policy, const ConnectionAttributes& connection);

struct Verdict {
  bool allowed = true;
  // Why, for people: the deciding policy's "ns/name", or "" for "no policy" (allowed) and "no ALLOW policy matched" (denied).
  std::string policy;
  enum class Reason : std::uint8_t { kNoPolicy, kAllowedByPolicy, kDeniedByPolicy, kNotAllowed, kPolicyUnknown };
  Reason reason = Reason::kNoPolicy;
  std::string text() const;  // "explicitly denied by policy: ns/name", "allow policies exist, but none allowed (policy: a/b, a/c)" …
  std::vector<std::string> considered;  // ALLOW policies that did not match, for kNotAllowed
};

// DENY first, then ALLOW; dry_run policies decide nothing. `unknown` names a referenced policy that is not known (fail closed:
// verdict kPolicyUnknown), or is empty.
Verdict authorize(std::span<const Policy* const> policies, std::string_view unknown, const ConnectionAttributes& connection);

}  // namespace weft::mesh
