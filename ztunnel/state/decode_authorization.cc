#include <fmt/format.h>

#include "weft/authorization.pb.h"
#include "ztunnel/state/decode.h"

namespace weft::state {
namespace {

namespace pb = istio::security;

// True when a message carries something this build has no field for.
template <class Message>
bool has_unknown(const Message& message) {
  return message.GetReflection()->GetUnknownFields(message).field_count() > 0;
}

template <class Field>
Parsed<void> decode_strings(const Field& in, std::vector<mesh::StringMatch>& out, const char* field, bool& unjudgeable) {
  using Kind = mesh::StringMatch::Kind;
  for (const auto& match : in) {
    if (has_unknown(match)) {  // a kind of a newer schema: the whole field says nothing certain any more
      unjudgeable = true;
      out.clear();
      return {};
    }
    switch (match.match_type_case()) {
      case pb::StringMatch::kExact: out.push_back({Kind::kExact, match.exact()}); break;
      case pb::StringMatch::kPrefix: out.push_back({Kind::kPrefix, match.prefix()}); break;
      case pb::StringMatch::kSuffix: out.push_back({Kind::kSuffix, match.suffix()}); break;
      case pb::StringMatch::kPresence: out.push_back({Kind::kPresence, ""}); break;
      case pb::StringMatch::MATCH_TYPE_NOT_SET: return problem(fmt::format("{}: a match of no kind", field));
    }
  }
  return {};
}

template <class Field>
Parsed<void> decode_cidrs(const Field& in, std::vector<Cidr>& out, const char* field) {
  for (const auto& address : in) {
    const auto& bytes = address.address();
    const auto ip =
        IpAddress::from_bytes({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()});
    if (!ip) return problem(fmt::format("{}: an address has {} bytes, not 4 or 16", field, bytes.size()));
    const auto cidr = Cidr::of(*ip, address.length());
    if (!cidr) return problem(fmt::format("{}: prefix length {} of {}", field, address.length(), ip->str()));
    out.push_back(*cidr);
  }
  return {};
}

template <class Field>
Parsed<void> decode_ports(const Field& in, std::vector<std::uint16_t>& out, const char* field) {
  for (const auto port : in) {
    if (port > 65535) return problem(fmt::format("{}: {} is not a port", field, port));
    out.push_back(static_cast<std::uint16_t>(port));
  }
  return {};
}

template <class Field>
void decode_accounts(const Field& in, std::vector<mesh::ServiceAccountMatch>& out) {
  for (const auto& account : in) out.push_back({account.namespace_(), account.serviceaccount()});
}

// `unjudgeable` is set when the match has content that L4 cannot judge.
Parsed<mesh::Match> decode_match(const pb::Match& in, bool& unjudgeable) {
  mesh::Match out;
  unjudgeable = has_unknown(in) || in.extensions_size() > 0;
  const Parsed<void> steps[] = {
      decode_strings(in.namespaces(), out.namespaces, "namespaces", unjudgeable),
      decode_strings(in.not_namespaces(), out.not_namespaces, "not_namespaces", unjudgeable),
      decode_strings(in.principals(), out.principals, "principals", unjudgeable),
      decode_strings(in.not_principals(), out.not_principals, "not_principals", unjudgeable),
      decode_cidrs(in.source_ips(), out.source_ips, "source_ips"),
      decode_cidrs(in.not_source_ips(), out.not_source_ips, "not_source_ips"),
      decode_cidrs(in.destination_ips(), out.destination_ips, "destination_ips"),
      decode_cidrs(in.not_destination_ips(), out.not_destination_ips, "not_destination_ips"),
      decode_ports(in.destination_ports(), out.destination_ports, "destination_ports"),
      decode_ports(in.not_destination_ports(), out.not_destination_ports, "not_destination_ports"),
  };
  for (const auto& step : steps) {
    if (!step) return problem(step.error().text);
  }
  decode_accounts(in.service_accounts(), out.service_accounts);
  decode_accounts(in.not_service_accounts(), out.not_service_accounts);
  return out;
}

enum class Fate { kKeep, kNever };

// ALLOW: a match with unjudgeable content never holds; when no match of a clause can hold, its rule never matches.
Fate close_allow(mesh::Clause& clause, const std::vector<bool>& unjudgeable) {
  std::vector<mesh::Match> kept;
  for (std::size_t i = 0; i < clause.matches.size(); ++i) {
    if (!unjudgeable[i]) kept.push_back(std::move(clause.matches[i]));
  }
  const bool lost_all = kept.empty() && !clause.matches.empty();
  clause.matches = std::move(kept);
  return lost_all ? Fate::kNever : Fate::kKeep;
}

// DENY: the known part decides; a match with nothing known always holds, and with it the clause.
void close_deny(mesh::Clause& clause, const std::vector<bool>& unjudgeable) {
  for (std::size_t i = 0; i < clause.matches.size(); ++i) {
    if (unjudgeable[i] && clause.matches[i].is_empty()) {
      clause.matches.clear();
      return;
    }
  }
}

Parsed<Fate> decode_rule(const pb::Rule& in, mesh::PolicyAction action, mesh::Rule& out) {
  Fate fate = Fate::kKeep;
  bool unjudgeable_rule = has_unknown(in);
  for (const auto& clause_in : in.clauses()) {
    mesh::Clause clause;
    std::vector<bool> unjudgeable;
    unjudgeable_rule |= has_unknown(clause_in);
    for (const auto& match_in : clause_in.matches()) {
      bool unjudgeable_match = false;
      auto match = decode_match(match_in, unjudgeable_match);
      if (!match) return problem(match.error().text);
      clause.matches.push_back(*std::move(match));
      unjudgeable.push_back(unjudgeable_match);
    }
    if (action == mesh::PolicyAction::kDeny) {
      close_deny(clause, unjudgeable);
    } else if (close_allow(clause, unjudgeable) == Fate::kNever) {
      fate = Fate::kNever;
    }
    out.clauses.push_back(std::move(clause));
  }
  if (unjudgeable_rule && action == mesh::PolicyAction::kAllow) fate = Fate::kNever;
  return fate;
}

Parsed<void> decode_head(const pb::Authorization& in, mesh::Policy& out) {
  if (in.name().empty()) return problem("name: empty");
  out.name = in.name();
  out.ns = in.namespace_();
  out.dry_run = in.dry_run();
  switch (in.scope()) {
    case pb::GLOBAL: out.scope = mesh::PolicyScope::kGlobal; break;
    case pb::NAMESPACE: out.scope = mesh::PolicyScope::kNamespace; break;
    case pb::WORKLOAD_SELECTOR: out.scope = mesh::PolicyScope::kWorkloadSelector; break;
    default: return problem(fmt::format("scope: unknown value {}", static_cast<int>(in.scope())));
  }
  switch (in.action()) {
    case pb::ALLOW: out.action = mesh::PolicyAction::kAllow; break;
    case pb::DENY: out.action = mesh::PolicyAction::kDeny; break;
    default: return problem(fmt::format("action: unknown value {}", static_cast<int>(in.action())));
  }
  return {};
}

}  // namespace

Parsed<mesh::PolicyPtr> decode_authorization(std::string_view name, std::string_view bytes) {
  pb::Authorization in;
  if (!in.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return problem("not an istio.security.Authorization");
  }
  auto out = std::make_shared<mesh::Policy>();
  if (auto head = decode_head(in, *out); !head) return problem(head.error().text);
  if (!name.empty() && name != out->key()) {
    return problem(fmt::format("the resource's name is not its key \"{}\"", out->key()));
  }
  const bool unjudgeable = has_unknown(in) || in.extensions_size() > 0;
  for (const auto& rule_in : in.rules()) {
    mesh::Rule rule;
    auto fate = decode_rule(rule_in, out->action, rule);
    if (!fate) return problem(fate.error().text);
    const bool never = *fate == Fate::kNever || (unjudgeable && out->action == mesh::PolicyAction::kAllow);
    if (!never) out->rules.push_back(std::move(rule));
  }
  return out;
}

}  // namespace weft::state
