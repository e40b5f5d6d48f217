#include "mesh/policy.h"

#include <algorithm>

namespace weft::mesh {
namespace {

template <class Value, class Holds>
bool positive(const std::vector<Value>& values, Holds holds) {
  return values.empty() || std::any_of(values.begin(), values.end(), holds);
}

template <class Value, class Holds>
bool negative(const std::vector<Value>& values, Holds holds) {
  return std::none_of(values.begin(), values.end(), holds);
}

bool identity_holds(const Match& match, const ConnectionAttributes& connection) {
  const std::string principal = connection.source ? connection.source->principal() : std::string();
  const std::string_view ns = connection.source ? std::string_view(connection.source->ns) : std::string_view();
  const auto by_principal = [&](const StringMatch& m) { return connection.source && m.matches(principal); };
  const auto by_namespace = [&](const StringMatch& m) { return m.matches(ns); };
  const auto by_account = [&](const ServiceAccountMatch& m) {
    return connection.source && m.ns == connection.source->ns && m.service_account == connection.source->service_account;
  };
  return positive(match.principals, by_principal) && negative(match.not_principals, by_principal) &&
         positive(match.namespaces, by_namespace) && negative(match.not_namespaces, by_namespace) &&
         positive(match.service_accounts, by_account) && negative(match.not_service_accounts, by_account);
}

bool address_holds(const Match& match, const ConnectionAttributes& connection) {
  const auto by_source = [&](const Cidr& c) { return c.contains(connection.source_ip); };
  const auto by_destination = [&](const Cidr& c) { return c.contains(connection.destination_ip); };
  const auto by_port = [&](std::uint16_t port) { return port == connection.destination_port; };
  return positive(match.source_ips, by_source) && negative(match.not_source_ips, by_source) &&
         positive(match.destination_ips, by_destination) && negative(match.not_destination_ips, by_destination) &&
         positive(match.destination_ports, by_port) && negative(match.not_destination_ports, by_port);
}

bool holds(const Match& match, const ConnectionAttributes& connection) {
  return !match.is_empty() && identity_holds(match, connection) && address_holds(match, connection);
}

bool holds(const Clause& clause, const ConnectionAttributes& connection) {
  return positive(clause.matches, [&](const Match& m) { return holds(m, connection); });
}

bool holds(const Rule& rule, const ConnectionAttributes& connection) {
  return std::all_of(rule.clauses.begin(), rule.clauses.end(), [&](const Clause& c) { return holds(c, connection); });
}

}  // namespace

StringMatch StringMatch::parse(std::string_view pattern) {
  if (pattern == "*") return {Kind::kPresence, ""};
  if (pattern.starts_with('*')) return {Kind::kSuffix, std::string(pattern.substr(1))};
  if (pattern.ends_with('*')) return {Kind::kPrefix, std::string(pattern.substr(0, pattern.size() - 1))};
  return {Kind::kExact, std::string(pattern)};
}

bool StringMatch::matches(std::string_view text) const {
  switch (kind) {
    case Kind::kExact: return text == value;
    case Kind::kPrefix: return text.starts_with(value);
    case Kind::kSuffix: return text.ends_with(value);
    case Kind::kPresence: return !text.empty();
  }
  return false;
}

bool Match::is_empty() const {
  return namespaces.empty() && not_namespaces.empty() && principals.empty() && not_principals.empty() &&
         source_ips.empty() && not_source_ips.empty() && destination_ips.empty() && not_destination_ips.empty() &&
         destination_ports.empty() && not_destination_ports.empty() && service_accounts.empty() &&
         not_service_accounts.empty();
}

bool matches(const Policy& policy, const ConnectionAttributes& connection) {
  return std::any_of(policy.rules.begin(), policy.rules.end(), [&](const Rule& r) { return holds(r, connection); });
}

std::string Verdict::text() const {
  switch (reason) {
    case Reason::kNoPolicy: return "no policy applies";
    case Reason::kAllowedByPolicy: return "allowed by policy: " + policy;
    case Reason::kDeniedByPolicy: return "explicitly denied by policy: " + policy;
    case Reason::kPolicyUnknown: return "denied: policy " + policy + " is referenced but not known here yet";
    case Reason::kNotAllowed: break;
  }
  std::string names;
  for (const auto& name : considered) names += (names.empty() ? "" : ", ") + name;
  return "allow policies exist, but none allowed (policy: " + names + ")";
}

Verdict authorize(std::span<const Policy* const> policies, std::string_view unknown, const ConnectionAttributes& connection) {
  Verdict verdict;
  const Policy* denied_by = nullptr;
  const Policy* allowed_by = nullptr;
  for (const Policy* policy : policies) {
    if (policy->dry_run) continue;
    const bool hit = matches(*policy, connection);
    if (policy->action == PolicyAction::kDeny) {
      if (hit && !denied_by) denied_by = policy;
      continue;
    }
    if (hit && !allowed_by) allowed_by = policy;
    if (!hit) verdict.considered.push_back(policy->key());
  }
  const bool has_allow = allowed_by || !verdict.considered.empty();
  if (allowed_by) verdict.considered.clear();
  if (denied_by) {
    return {.allowed = false, .policy = denied_by->key(), .reason = Verdict::Reason::kDeniedByPolicy, .considered = {}};
  }
  if (!unknown.empty()) {
    return {.allowed = false, .policy = std::string(unknown), .reason = Verdict::Reason::kPolicyUnknown, .considered = {}};
  }
  if (allowed_by) {
    return {.allowed = true, .policy = allowed_by->key(), .reason = Verdict::Reason::kAllowedByPolicy, .considered = {}};
  }
  if (!has_allow) return verdict;
  verdict.allowed = false;
  verdict.policy = verdict.considered.front();
  verdict.reason = Verdict::Reason::kNotAllowed;
  return verdict;
}

}  // namespace weft::mesh
