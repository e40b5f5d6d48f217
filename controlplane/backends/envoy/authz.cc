#include "controlplane/backends/envoy/authz.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "controlplane/backends/envoy/match.h"

namespace weft::controlplane::envoy {
namespace {

namespace rbac = ::envoy::config::rbac::v3;
using Kind = model::TextMatch::Kind;

// A condition, or a constant.
struct Expr {
  enum class Is : std::uint8_t { kNever, kAlways, kPrincipal };
  Is is = Is::kNever;
  rbac::Principal principal;
};

Expr constant(bool value) { return {.is = value ? Expr::Is::kAlways : Expr::Is::kNever}; }
Expr condition(rbac::Principal principal) {
  return {.is = Expr::Is::kPrincipal, .principal = std::move(principal)};
}

Expr any(std::vector<Expr> parts) {
  std::erase_if(parts, [](const Expr& one) { return one.is == Expr::Is::kNever; });
  if (parts.empty()) return constant(false);
  for (const Expr& one : parts) {
    if (one.is == Expr::Is::kAlways) return constant(true);
  }
  if (parts.size() == 1) return std::move(parts.front());
  rbac::Principal out;
  for (Expr& one : parts) *out.mutable_or_ids()->add_ids() = std::move(one.principal);
  return condition(std::move(out));
}

Expr all(std::vector<Expr> parts) {
  std::erase_if(parts, [](const Expr& one) { return one.is == Expr::Is::kAlways; });
  if (parts.empty()) return constant(true);
  for (const Expr& one : parts) {
    if (one.is == Expr::Is::kNever) return constant(false);
  }
  if (parts.size() == 1) return std::move(parts.front());
  rbac::Principal out;
  for (Expr& one : parts) *out.mutable_and_ids()->add_ids() = std::move(one.principal);
  return condition(std::move(out));
}

Expr negate(Expr part) {
  if (part.is != Expr::Is::kPrincipal) return constant(part.is == Expr::Is::kNever);
  rbac::Principal out;
  *out.mutable_not_id() = std::move(part.principal);
  return condition(std::move(out));
}

Expr peer(const std::string& regex) {
  rbac::Principal out;
  out.mutable_filter_state()->set_key(kPeerKey);
  out.mutable_filter_state()->mutable_string_match()->mutable_safe_regex()->set_regex(regex);
  return condition(std::move(out));
}

Expr has_peer() { return peer("spiffe://.+"); }

Expr principal_is(const model::TextMatch& text) {
  if (text.kind == Kind::kPresent) return has_peer();
  if (text.kind == Kind::kExact && !text.ignore_case) {
    rbac::Principal out;
    out.mutable_filter_state()->set_key(kPeerKey);
    out.mutable_filter_state()->mutable_string_match()->set_exact("spiffe://" + text.value);
    return condition(std::move(out));
  }
  return peer((text.ignore_case ? "(?i)" : "") + ("spiffe://" + pattern_of(text)));
}

Expr namespace_is(const model::TextMatch& text) {
  return peer("spiffe://[^/]+/ns/" + pattern_of(text, "[^/]") + "/sa/.+");
}

Expr service_account_is(const model::TextMatch& text) {
  const auto slash = text.value.find('/');
  if (text.kind != Kind::kExact || slash == std::string::npos)
    return peer("spiffe://[^/]+/ns/" + pattern_of(text, "[^/]"));
  return peer("spiffe://[^/]+/ns/" + quote(text.value.substr(0, slash)) + "/sa/" +
              quote(text.value.substr(slash + 1)));
}

Expr header_is(const std::string& name, const model::TextMatch& text) {
  rbac::Principal out;
  out.mutable_header()->set_name(name);
  if (text.kind == Kind::kPresent) {
    out.mutable_header()->set_present_match(true);
  } else {
    encode(text, *out.mutable_header()->mutable_string_match());
  }
  return condition(std::move(out));
}

// A host is the same host with a port behind it.
Expr host_is(const model::TextMatch& text) {
  const bool may_have_port = text.kind == Kind::kExact || text.kind == Kind::kSuffix;
  const auto last = text.value.rfind(':');
  const bool has_port =
      last != std::string::npos && text.value.find(']', last) == std::string::npos;
  if (text.kind == Kind::kPresent || !may_have_port || has_port) {
    model::TextMatch folded = text;
    folded.ignore_case = true;
    return header_is(":authority", folded);
  }
  rbac::Principal out;
  out.mutable_header()->set_name(":authority");
  out.mutable_header()->mutable_string_match()->mutable_safe_regex()->set_regex(
      "(?i)" + pattern_of(text) + "(?::[0-9]+)?");
  return condition(std::move(out));
}

Expr path_is(const model::TextMatch& text) {
  rbac::Principal out;
  encode(text, *out.mutable_url_path()->mutable_path());
  return condition(std::move(out));
}

Expr claim_is(const std::vector<std::string>& path, const model::TextMatch& text) {
  rbac::Principal out;
  encode_claim(path, text, *out.mutable_metadata());
  return condition(std::move(out));
}

// "ISSUER/SUBJECT", of which Envoy knows the halves only: every slash may be the one between.
Expr request_principal_is(const model::TextMatch& text) {
  const model::TextMatch present{.kind = Kind::kPresent, .value = {}};
  auto issuer = [](const model::TextMatch& one) { return claim_is({"iss"}, one); };
  auto subject = [](const model::TextMatch& one) { return claim_is({"sub"}, one); };
  if (text.kind == Kind::kPresent) return all({issuer(present), subject(present)});
  if (text.kind != Kind::kExact && text.kind != Kind::kPrefix && text.kind != Kind::kSuffix)
    return constant(false);
  std::vector<Expr> out;
  if (text.kind == Kind::kPrefix) out.push_back(all({issuer(text), subject(present)}));
  if (text.kind == Kind::kSuffix) out.push_back(all({issuer(present), subject(text)}));
  for (std::size_t i = 0; i < text.value.size(); ++i) {
    if (text.value[i] != '/') continue;
    model::TextMatch left{.value = text.value.substr(0, i)};
    model::TextMatch right{.value = text.value.substr(i + 1)};
    if (text.kind == Kind::kPrefix) right.kind = right.value.empty() ? Kind::kPresent : text.kind;
    if (text.kind == Kind::kSuffix) left.kind = left.value.empty() ? Kind::kPresent : text.kind;
    if (left.kind == Kind::kExact && left.value.empty()) continue;
    if (right.kind == Kind::kExact && right.value.empty()) continue;
    out.push_back(all({issuer(left), subject(right)}));
  }
  return any(std::move(out));
}

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

// One policy's action and where it is enforced: what decides when something cannot be known.
class Rules {
 public:
  Rules(bool deny, const AuthzContext& context) : deny_(deny), context_(context) {}

  Expr rule(const model::AuthzRule& one) const {
    std::vector<Expr> sources, operations, parts;
    for (const model::AuthzSource& from : one.from) sources.push_back(source(from));
    for (const model::AuthzOperation& to : one.to) operations.push_back(operation(to));
    if (!sources.empty()) parts.push_back(any(std::move(sources)));
    if (!operations.empty()) parts.push_back(any(std::move(operations)));
    for (const model::AuthzCondition& when : one.when) parts.push_back(condition_of(when));
    return all(std::move(parts));
  }

 private:
  // Nothing is known here: an ALLOW must not match, a DENY must.
  Expr unknown() const { return constant(deny_); }

  template <class Is>
  Expr values(const model::Values& values, Is is) const {
    std::vector<Expr> parts, wanted, unwanted;
    for (const model::TextMatch& one : values.any_of) wanted.push_back(is(one));
    for (const model::TextMatch& one : values.none_of) unwanted.push_back(is(one));
    if (!wanted.empty()) parts.push_back(any(std::move(wanted)));
    if (!unwanted.empty()) parts.push_back(negate(any(std::move(unwanted))));
    return all(std::move(parts));
  }
  // Of a peer. Who has no identity is not "somebody else": an ALLOW does not let him in.
  template <class Is>
  Expr identities(const model::Values& all_values, Is is) const {
    Expr out = values(all_values, is);
    if (deny_ || all_values.none_of.empty()) return out;
    return all({has_peer(), std::move(out)});
  }
  template <class Is>
  Expr of_request(const model::Values& all_values, Is is) const {
    if (all_values.empty()) return constant(true);
    return context_.http ? values(all_values, is) : unknown();
  }

  Expr address(const model::AddressValues& values, bool of_connection) const {
    auto is = [&](const Cidr& block) {
      rbac::Principal out;
      auto& range = of_connection && context_.edge ? *out.mutable_direct_remote_ip()
                                                   : *out.mutable_remote_ip();
      range.set_address_prefix(block.base.str());
      range.mutable_prefix_len()->set_value(block.length);
      return condition(std::move(out));
    };
    std::vector<Expr> parts, wanted, unwanted;
    for (const Cidr& one : values.any_of) wanted.push_back(is(one));
    for (const Cidr& one : values.none_of) unwanted.push_back(is(one));
    if (!wanted.empty()) parts.push_back(any(std::move(wanted)));
    if (!unwanted.empty()) parts.push_back(negate(any(std::move(unwanted))));
    return all(std::move(parts));
  }

  Expr ports(const std::vector<std::uint16_t>& wanted,
             const std::vector<std::uint16_t>& unwanted) const {
    if (wanted.empty() && unwanted.empty()) return constant(true);
    if (context_.port == 0) return unknown();
    auto among = [&](const std::vector<std::uint16_t>& list) {
      return std::find(list.begin(), list.end(), context_.port) != list.end();
    };
    return constant((wanted.empty() || among(wanted)) && !among(unwanted));
  }

  Expr source(const model::AuthzSource& from) const {
    return all({identities(from.principals, principal_is),
                identities(from.namespaces, namespace_is),
                identities(from.service_accounts, service_account_is),
                of_request(from.request_principals, request_principal_is),
                address(from.ip_blocks, true), address(from.remote_ip_blocks, false)});
  }

  Expr operation(const model::AuthzOperation& to) const {
    auto method = [](const model::TextMatch& text) { return header_is(":method", text); };
    return all({of_request(to.hosts, host_is), of_request(to.methods, method),
                of_request(to.paths, path_is), ports(to.ports, to.not_ports)});
  }

  Expr condition_of(const model::AuthzCondition& when) const {
    const std::string& key = when.key;
    if (key == "source.principal") return identities(when.values, principal_is);
    if (key == "source.namespace") return identities(when.values, namespace_is);
    if (key == "source.serviceAccount") return identities(when.values, service_account_is);
    if (key == "source.ip") return address(when.addresses, true);
    if (key == "remote.ip") return address(when.addresses, false);
    if (key == "destination.port") return port_condition(when.values);
    auto inside = [&](std::string_view prefix) {
      return key.starts_with(prefix) && key.ends_with(']') ? key.substr(prefix.size()) : "";
    };
    if (std::string name = inside("request.headers["); !name.empty()) {
      name.pop_back();
      return of_request(when.values,
                        [&](const model::TextMatch& text) { return header_is(name, text); });
    }
    if (key == "request.auth.principal") return of_request(when.values, request_principal_is);
    std::vector<std::string> path = bracketed(inside("request.auth.claims"));
    if (key == "request.auth.audiences") path = {"aud"};
    if (key == "request.auth.presenter") path = {"azp"};
    if (path.empty()) return unknown();  // destination.ip, connection.sni, keys of tomorrow
    return of_request(when.values,
                      [&](const model::TextMatch& text) { return claim_is(path, text); });
  }

  Expr port_condition(const model::Values& values) const {
    if (context_.port == 0) return unknown();
    const std::string port = std::to_string(context_.port);
    auto among = [&](const std::vector<model::TextMatch>& list) {
      return std::any_of(list.begin(), list.end(), [&](const model::TextMatch& one) {
        return one.kind == Kind::kPresent || one.value == port;
      });
    };
    return constant((values.any_of.empty() || among(values.any_of)) && !among(values.none_of));
  }

  bool deny_;
  const AuthzContext& context_;
};

Expr matches(const model::PlanPolicy& policy, const AuthzContext& context) {
  const Rules rules(policy.action == model::Action::kDeny, context);
  std::vector<Expr> out;
  for (const model::AuthzRule& one : policy.rules) out.push_back(rules.rule(one));
  return any(std::move(out));
}

void add(const std::string& name, Expr expr, rbac::RBAC& out) {
  if (expr.is == Expr::Is::kNever) return;
  rbac::Policy& policy = (*out.mutable_policies())[name];
  if (policy.permissions().empty()) policy.add_permissions()->set_any(true);
  if (expr.is == Expr::Is::kAlways) expr.principal.set_any(true);
  *policy.add_principals() = std::move(expr.principal);
}

bool has_allow(const model::PolicySet& set) {
  return std::any_of(set.policies.begin(), set.policies.end(), [](const model::PlanPolicy& one) {
    return one.action == model::Action::kAllow;
  });
}

bool has_unknown(const model::PlanAuthz& authz) {
  for (const model::PolicySet& set : authz.sets) {
    for (const model::PlanPolicy& one : set.policies) {
      if (one.action == model::Action::kCustom) return true;
    }
  }
  return false;
}

}  // namespace

Rbac make_rbac(const model::PlanAuthz& authz, const AuthzContext& context) {
  Rbac out;
  if (authz.closed || has_unknown(authz)) {
    out.allow.emplace().set_action(rbac::RBAC::ALLOW);
    return out;
  }
  rbac::RBAC deny, allow;
  deny.set_action(rbac::RBAC::DENY);
  allow.set_action(rbac::RBAC::ALLOW);
  std::vector<const model::PolicySet*> must;
  std::vector<const model::PlanPolicy*> denies;  // one policy may be in several sets
  for (const model::PolicySet& set : authz.sets) {
    for (const model::PlanPolicy& one : set.policies) {
      auto same = [&](const model::PlanPolicy* other) { return *other == one; };
      if (one.action != model::Action::kDeny || std::ranges::any_of(denies, same)) continue;
      denies.push_back(&one);
      add(one.name, matches(one, context), deny);
    }
    if (has_allow(set)) must.push_back(&set);
  }
  if (!deny.policies().empty()) out.deny = std::move(deny);
  if (must.empty()) return out;
  std::vector<Expr> every;
  for (const model::PolicySet* set : must) {
    std::vector<Expr> some;
    for (const model::PlanPolicy& one : set->policies) {
      if (one.action != model::Action::kAllow) continue;
      Expr expr = matches(one, context);
      if (must.size() == 1) {
        add(one.name, std::move(expr), allow);
      } else {
        some.push_back(std::move(expr));
      }
    }
    every.push_back(any(std::move(some)));
  }
  if (must.size() > 1) add("all-of", all(std::move(every)), allow);
  out.allow = std::move(allow);
  return out;
}

}  // namespace weft::controlplane::envoy
