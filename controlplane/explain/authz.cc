#include "controlplane/explain/authz.h"

#include <algorithm>
#include <cctype>
#include <string_view>

#include "controlplane/explain/match.h"
#include "mesh/identity.h"

namespace weft::controlplane::explain {
namespace {

using model::TextMatch;
using Kind = TextMatch::Kind;

// "[a][b]" → a, b.
std::vector<std::string> bracketed(std::string_view text) {
  std::vector<std::string> out;
  while (text.starts_with('[')) {
    const auto end = text.find(']');
    if (end == std::string_view::npos) return {};
    out.emplace_back(text.substr(1, end - 1));
    text.remove_prefix(end + 1);
  }
  return out;
}

// A name without a port is the host's whatever port it is asked at.
bool matches_host(TextMatch match, std::string_view authority) {
  match.ignore_case = true;
  if (matches(match, authority)) return true;
  const auto is_port = [](std::string_view text) {
    const auto colon = text.rfind(':');
    return colon != std::string_view::npos && text.find(']', colon) == std::string_view::npos;
  };
  const auto colon = authority.rfind(':');
  if ((match.kind != Kind::kExact && match.kind != Kind::kSuffix) || is_port(match.value) ||
      !is_port(authority))
    return false;
  const std::string_view port = authority.substr(colon + 1);
  const bool number = !port.empty() && port.find_first_not_of("0123456789") == port.npos;
  return number && matches(match, authority.substr(0, colon));
}

// One policy's rules and one request.
class Rules {
 public:
  Rules(bool deny, const Asked& asked, std::uint16_t port)
      : deny_(deny),
        asked_(asked),
        port_(port),
        peer_(asked.peer ? mesh::Identity::parse(*asked.peer) : std::nullopt) {}

  bool holds(const model::AuthzRule& rule) const {
    const auto any = [](const auto& list, auto is) {
      return list.empty() || std::any_of(list.begin(), list.end(), is);
    };
    return any(rule.from, [&](const auto& one) { return source(one); }) &&
           any(rule.to, [&](const auto& one) { return operation(one); }) &&
           std::all_of(rule.when.begin(), rule.when.end(),
                       [&](const auto& one) { return condition(one); });
  }

 private:
  template <class Is>
  static bool values(const model::Values& values, Is is) {
    const auto any = [&](const auto& list) { return std::any_of(list.begin(), list.end(), is); };
    return (values.any_of.empty() || any(values.any_of)) && !any(values.none_of);
  }
  // Of the peer. Who proved nothing is not "somebody else": an ALLOW does not let him in.
  template <class Is>
  bool identities(const model::Values& all, Is is) const {
    if (!deny_ && !all.none_of.empty() && !asked_.peer) return false;
    return values(all, is);
  }
  static bool addresses(const model::AddressValues& all, const IpAddress& ip) {
    const auto any = [&](const std::vector<Cidr>& list) {
      return std::any_of(list.begin(), list.end(),
                         [&](const Cidr& one) { return one.contains(ip); });
    };
    return (all.any_of.empty() || any(all.any_of)) && !any(all.none_of);
  }

  bool principal(const TextMatch& match) const {
    constexpr std::string_view kScheme = "spiffe://";
    return asked_.peer && asked_.peer->starts_with(kScheme) &&
           matches(match, std::string_view(*asked_.peer).substr(kScheme.size()));
  }
  bool ns(const TextMatch& match) const { return peer_ && matches(match, peer_->ns); }
  bool service_account(const TextMatch& match) const {
    if (!peer_) return false;
    const bool both = match.value.find('/') != std::string::npos;
    return matches(match, both ? peer_->ns + "/" + peer_->service_account : peer_->ns);
  }
  bool request_principal(const TextMatch& match) const {
    const auto text = [&](const char* claim) {
      return asked_.claims.is_object() && asked_.claims.contains(claim) &&
                     asked_.claims[claim].is_string()
                 ? asked_.claims[claim].get<std::string>()
                 : "";
    };
    const std::string issuer = text("iss"), subject = text("sub");
    return !issuer.empty() && !subject.empty() && matches(match, issuer + "/" + subject);
  }
  // Presence of a header holds though it is empty.
  bool header(const std::string& name, const TextMatch& match) const {
    const std::vector<std::string> all = asked_.header_values(name);
    return std::any_of(all.begin(), all.end(), [&](const std::string& value) {
      return match.kind == Kind::kPresent || matches(match, value);
    });
  }

  bool source(const model::AuthzSource& from) const {
    return identities(from.principals, [&](const auto& one) { return principal(one); }) &&
           identities(from.namespaces, [&](const auto& one) { return ns(one); }) &&
           identities(from.service_accounts,
                      [&](const auto& one) { return service_account(one); }) &&
           values(from.request_principals,
                  [&](const auto& one) { return request_principal(one); }) &&
           addresses(from.ip_blocks, asked_.client) &&
           addresses(from.remote_ip_blocks, asked_.client);
  }

  bool operation(const model::AuthzOperation& to) const {
    const auto has = [&](const std::vector<std::uint16_t>& list) {
      return std::find(list.begin(), list.end(), port_) != list.end();
    };
    const bool asks = !to.ports.empty() || !to.not_ports.empty();
    if (asks && port_ == 0 && !deny_) return false;
    if (asks && port_ != 0 && ((!to.ports.empty() && !has(to.ports)) || has(to.not_ports)))
      return false;
    return values(to.hosts, [&](const auto& one) { return matches_host(one, asked_.authority); }) &&
           values(to.methods, [&](const auto& one) { return matches(one, asked_.method); }) &&
           values(to.paths, [&](const auto& one) { return matches(one, asked_.path); });
  }

  bool condition(const model::AuthzCondition& when) const {
    const std::string& key = when.key;
    if (key == "source.principal")
      return identities(when.values, [&](const auto& one) { return principal(one); });
    if (key == "source.namespace")
      return identities(when.values, [&](const auto& one) { return ns(one); });
    if (key == "source.serviceAccount")
      return identities(when.values, [&](const auto& one) { return service_account(one); });
    if (key == "source.ip" || key == "remote.ip") return addresses(when.addresses, asked_.client);
    if (key == "destination.port") {
      if (port_ == 0) return deny_;
      const std::string port = std::to_string(port_);
      return values(when.values, [&](const TextMatch& one) {
        return one.kind == Kind::kPresent || one.value == port;
      });
    }
    const auto inside = [&](std::string_view prefix) {
      return key.starts_with(prefix) && key.ends_with(']') ? key.substr(prefix.size()) : "";
    };
    if (std::string name = inside("request.headers["); !name.empty()) {
      name.pop_back();
      for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
      return values(when.values, [&](const auto& one) { return header(name, one); });
    }
    if (key == "request.auth.principal")
      return values(when.values, [&](const auto& one) { return request_principal(one); });
    std::vector<std::string> path = bracketed(inside("request.auth.claims"));
    if (key == "request.auth.audiences") path = {"aud"};
    if (key == "request.auth.presenter") path = {"azp"};
    if (path.empty()) return deny_;  // destination.ip, connection.sni: not known to a waypoint
    return values(when.values,
                  [&](const auto& one) { return matches_claim(asked_.claims, path, one); });
  }

  const bool deny_;
  const Asked& asked_;
  const std::uint16_t port_;
  const std::optional<mesh::Identity> peer_;
};

// The first rule that holds, from 1; 0: none.
std::size_t rule_of(const model::PlanPolicy& policy, const Asked& asked, std::uint16_t port) {
  const Rules rules(policy.action == model::Action::kDeny, asked, port);
  for (std::size_t i = 0; i < policy.rules.size(); ++i) {
    if (rules.holds(policy.rules[i])) return i + 1;
  }
  return 0;
}

// What the ALLOW policies of one set say.
Judgement judge_allows(const model::PolicySet& set, const Asked& asked, std::uint16_t port) {
  Judgement out{.why = Judgement::Why::kNoPolicy};
  for (const model::PlanPolicy& one : set.policies) {
    if (one.action != model::Action::kAllow) continue;
    const std::size_t rule = rule_of(one, asked, port);
    if (rule != 0)
      return {.why = Judgement::Why::kAllowed, .policy = one.name, .rule = rule, .considered = {}};
    out.allowed = false;
    out.why = Judgement::Why::kNotAllowed;
    out.considered.push_back(one.name);
  }
  return out;
}

}  // namespace

Judgement judge(const model::PlanAuthz& authz, const Asked& asked, std::uint16_t port) {
  Judgement out;
  for (const model::PolicySet& set : authz.sets) {
    for (const model::PlanPolicy& one : set.policies) {
      if (one.action == model::Action::kCustom)
        out = {false, Judgement::Why::kClosed, one.name, 0, {}};
    }
  }
  if (authz.closed) return {false, Judgement::Why::kClosed, "", 0, {}};
  if (!out.allowed) return out;
  for (const model::PolicySet& set : authz.sets) {
    for (const model::PlanPolicy& one : set.policies) {
      if (one.action != model::Action::kDeny) continue;
      if (const std::size_t rule = rule_of(one, asked, port); rule != 0)
        return {false, Judgement::Why::kDenied, one.name, rule, {}};
    }
  }
  for (const model::PolicySet& set : authz.sets) {
    Judgement of_set = judge_allows(set, asked, port);
    if (!of_set.allowed) return of_set;
    if (of_set.why != Judgement::Why::kNoPolicy && out.why == Judgement::Why::kNoPolicy)
      out = std::move(of_set);
  }
  return out;
}

}  // namespace weft::controlplane::explain
