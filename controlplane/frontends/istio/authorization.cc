#include "controlplane/frontends/istio/authorization.h"

#include <algorithm>
#include <array>

#include "controlplane/frontends/istio/authorization_rules.h"
#include "controlplane/frontends/istio/common.h"
#include "source/fields.h"

namespace weft::controlplane::istio {
namespace {

using mesh::Match;
using source::Field;

// One element of from, to or when, as far as L4 can judge it.
struct Element {
  Match match;
  bool l7 = false;  // it has fields that L4 cannot judge
};

std::vector<std::string> texts(const Field& field) {
  for (const Field& one : field.list()) {
    if (one.string().empty()) one.refuse("must not be empty");
  }
  return field.strings();
}

std::vector<mesh::StringMatch> patterns(const Field& field, bool is_principal = false) {
  std::vector<mesh::StringMatch> out;
  for (std::string text : texts(field)) {
    constexpr std::string_view kScheme = "spiffe://";
    if (is_principal && text.starts_with(kScheme)) text.erase(0, kScheme.size());
    out.push_back(mesh::StringMatch::parse(text));
  }
  return out;
}

std::vector<Cidr> blocks(const Field& field) {
  std::vector<Cidr> out;
  for (const Field& one : field.list()) {
    const auto block = Cidr::parse(one.string());
    if (!block) one.refuse("must be an IP address or a CIDR block");
    if (block) out.push_back(*block);
  }
  return out;
}

std::vector<std::uint16_t> ports(const Field& field) {
  std::vector<std::uint16_t> out;
  for (const Field& one : field.list()) out.push_back(one.port_text());
  return out;
}

// "ns/sa", or "sa" in the policy's own namespace.
std::vector<mesh::ServiceAccountMatch> accounts(const Field& field, const std::string& own_ns) {
  std::vector<mesh::ServiceAccountMatch> out;
  for (const Field& one : field.list()) {
    const std::string text = one.string();
    const std::size_t slash = text.find('/');
    const std::string ns = slash == std::string::npos ? own_ns : text.substr(0, slash);
    const std::string name = slash == std::string::npos ? text : text.substr(slash + 1);
    if (ns.empty() || name.empty() || name.find('/') != std::string::npos ||
        text.find('*') != std::string::npos) {
      one.refuse("must be NAMESPACE/SERVICEACCOUNT or SERVICEACCOUNT, without wildcards");
    }
    out.push_back({ns, name});
  }
  return out;
}

class Decoder {
 public:
  Decoder(const source::Object& object, model::AuthzPolicy& out) : object_(object), out_(out) {}

  mesh::Rule rule(const Field& field, bool& l7) {
    field.only({"from", "to", "when"});
    mesh::Rule rule;
    add(rule, field["to"], l7, [this](const Field& one) { return operation(one); });
    add(rule, field["from"], l7, [this](const Field& one) { return source(one); });
    for (const Field& one : field["when"].list()) {
      const Element element = condition(one);
      l7 = l7 || element.l7;
      if (!element.match.is_empty()) rule.clauses.push_back({{element.match}});
    }
    return rule;
  }

 private:
  // One clause for the whole list, unless an element matches everything as far as L4 can see: then
  // the clause always holds.
  template <class Decode>
  void add(mesh::Rule& rule, const Field& list, bool& l7, Decode decode) {
    mesh::Clause clause;
    bool everything = false;
    for (const Field& one : list.list()) {
      const Element element = decode(one);
      l7 = l7 || element.l7;
      everything = everything || element.match.is_empty();
      clause.matches.push_back(element.match);
    }
    if (!everything && !clause.matches.empty()) rule.clauses.push_back(std::move(clause));
  }

  bool note_l7(const Field& parent, std::initializer_list<std::string_view> names) {
    bool any = false;
    for (const std::string_view name : names) {
      const Field field = parent[name];
      if (texts(field).empty()) continue;
      out_.l7_fields.push_back(field.path());
      any = true;
    }
    return any;
  }

  Element source(const Field& from) {
    from.only({"source"});
    const Field field = from["source"];
    field.only({"principals", "notPrincipals", "requestPrincipals", "notRequestPrincipals",
                "namespaces", "notNamespaces", "serviceAccounts", "notServiceAccounts", "ipBlocks",
                "notIpBlocks", "remoteIpBlocks", "notRemoteIpBlocks"});
    Element out;
    out.match.principals = patterns(field["principals"], true);
    out.match.not_principals = patterns(field["notPrincipals"], true);
    out.match.namespaces = patterns(field["namespaces"]);
    out.match.not_namespaces = patterns(field["notNamespaces"]);
    out.match.service_accounts = accounts(field["serviceAccounts"], object_.ns);
    out.match.not_service_accounts = accounts(field["notServiceAccounts"], object_.ns);
    out.match.source_ips = blocks(field["ipBlocks"]);
    out.match.not_source_ips = blocks(field["notIpBlocks"]);
    out.l7 = note_l7(field, {"requestPrincipals", "notRequestPrincipals", "remoteIpBlocks",
                             "notRemoteIpBlocks"});
    const bool by_account =
        !out.match.service_accounts.empty() || !out.match.not_service_accounts.empty();
    const bool by_name = !out.match.principals.empty() || !out.match.not_principals.empty() ||
                         !out.match.namespaces.empty() || !out.match.not_namespaces.empty();
    if (by_account && by_name)
      field["serviceAccounts"].refuse("cannot be set together with principals or namespaces");
    if (out.match.is_empty() && !out.l7) field.refuse("must have at least one field");
    return out;
  }

  Element operation(const Field& to) {
    to.only({"operation"});
    const Field field = to["operation"];
    field.only(
        {"hosts", "notHosts", "ports", "notPorts", "methods", "notMethods", "paths", "notPaths"});
    Element out;
    out.match.destination_ports = ports(field["ports"]);
    out.match.not_destination_ports = ports(field["notPorts"]);
    out.l7 = note_l7(field, {"hosts", "notHosts", "methods", "notMethods", "paths", "notPaths"});
    if (out.match.is_empty() && !out.l7) field.refuse("must have at least one field");
    return out;
  }

  Element condition(const Field& field) {
    field.only({"key", "values", "notValues"});
    const Field values = field["values"], not_values = field["notValues"];
    const std::string key = field["key"].string();
    Element out;
    Match& match = out.match;
    if (values.list().empty() && not_values.list().empty())
      field.refuse("needs values or notValues");
    if (key == "source.ip") {
      match.source_ips = blocks(values);
      match.not_source_ips = blocks(not_values);
    } else if (key == "source.namespace") {
      match.namespaces = patterns(values);
      match.not_namespaces = patterns(not_values);
    } else if (key == "source.principal") {
      match.principals = patterns(values, true);
      match.not_principals = patterns(not_values, true);
    } else if (key == "source.serviceAccount") {
      match.service_accounts = accounts(values, object_.ns);
      match.not_service_accounts = accounts(not_values, object_.ns);
    } else if (key == "destination.ip") {
      match.destination_ips = blocks(values);
      match.not_destination_ips = blocks(not_values);
    } else if (key == "destination.port") {
      match.destination_ports = ports(values);
      match.not_destination_ports = ports(not_values);
    } else if (is_l7_key(key)) {
      texts(values);
      texts(not_values);
      out_.l7_fields.push_back(field["key"].path() + " " + key);
      out.l7 = true;
    } else {
      field["key"].refuse("unknown attribute");
    }
    return out;
  }

  static bool is_l7_key(const std::string& key) {
    constexpr std::array<std::string_view, 5> kExact = {
        "remote.ip", "connection.sni", "request.auth.principal", "request.auth.audiences",
        "request.auth.presenter"};
    if (std::find(kExact.begin(), kExact.end(), key) != kExact.end()) return true;
    constexpr std::array<std::string_view, 3> kNamed = {"request.headers[", "request.auth.claims[",
                                                        "experimental."};
    return std::any_of(kNamed.begin(), kNamed.end(),
                       [&](std::string_view prefix) { return key.starts_with(prefix); });
  }

  const source::Object& object_;
  model::AuthzPolicy& out_;
};

model::Action action_of(const Field& field) {
  const std::string text = field.string("ALLOW");
  if (text == "ALLOW") return model::Action::kAllow;
  if (text == "DENY") return model::Action::kDeny;
  if (text == "AUDIT") return model::Action::kAudit;
  if (text == "CUSTOM") return model::Action::kCustom;
  field.refuse("must be ALLOW, DENY, AUDIT or CUSTOM");
  return model::Action::kDeny;
}

std::string join(const std::vector<std::string>& texts) {
  std::string out;
  for (const std::string& text : texts) out += (out.empty() ? "" : ", ") + text;
  return out;
}

// What an operator reads: what was accepted, and what is stricter than written until a waypoint
// judges L7.
model::Condition condition_of(const model::AuthzPolicy& policy, std::size_t dropped) {
  model::Condition out{
      .type = "ZtunnelAccepted", .reason = "Accepted", .message = "attached to ztunnel"};
  auto unsupported = [&](std::string message) {
    out.status = false;
    out.reason = "UnsupportedValue";
    out.message = std::move(message);
  };
  const bool all_services = std::all_of(
      policy.targets.begin(), policy.targets.end(),
      [](const model::TargetRef& one) { return one.kind == "Service" && one.group.empty(); });
  if (!policy.targets.empty())
    out.message = "no waypoint serves the target: enforced at the pods behind it";
  if (!all_services) {
    unsupported(
        "only a Service can be a target without a waypoint or gateway; other targets are not "
        "enforced");
  } else if (policy.action == model::Action::kAudit) {
    unsupported("AUDIT needs a waypoint; the policy decides nothing");
  } else if (policy.action == model::Action::kCustom) {
    unsupported(
        "CUSTOM needs a waypoint to ask its provider; until then everything that the rules match "
        "at L4 is denied");
  } else if (!policy.l7_fields.empty() && policy.action == model::Action::kAllow) {
    unsupported("only a waypoint can judge " + join(policy.l7_fields) + "; until then the " +
                std::to_string(dropped) + " ALLOW rule(s) that use them match nothing");
  } else if (!policy.l7_fields.empty()) {
    unsupported("only a waypoint can judge " + join(policy.l7_fields) +
                "; until then the rules deny everything that their other fields match");
  }
  return out;
}

}  // namespace

Parsed<model::AuthzPolicy> decode_authorization_policy(const source::Object& object, bool in_root) {
  source::Reader reader(object);
  const Field spec = reader.root()["spec"];
  spec.only({"selector", "targetRef", "targetRefs", "rules", "action", "provider"});
  model::AuthzPolicy out{.from = provenance(object), .ns = object.ns, .name = object.name};
  out.action = action_of(spec["action"]);
  out.selector = selector(spec["selector"]);
  read::Notes notes;
  out.targets = targets(spec, {"Service", "Gateway"}, notes);
  if (!out.targets.empty() && !out.selector.empty())
    spec["selector"].refuse("cannot be set together with targetRefs");
  spec["provider"].only({"name"});
  if (out.action == model::Action::kCustom && spec["provider"]["name"].string().empty())
    spec["provider"].refuse("is required for CUSTOM");
  if (out.action != model::Action::kCustom && spec["provider"].present())
    spec["provider"].refuse("is only for CUSTOM");

  mesh::Policy l4{.name = object.name, .ns = object.ns};
  l4.action =
      out.action == model::Action::kAllow ? mesh::PolicyAction::kAllow : mesh::PolicyAction::kDeny;
  const bool for_some = !out.selector.empty() || !out.targets.empty();
  l4.scope = for_some  ? mesh::PolicyScope::kWorkloadSelector
             : in_root ? mesh::PolicyScope::kGlobal
                       : mesh::PolicyScope::kNamespace;
  const auto dry_run = object.annotations.find("istio.io/dry-run");
  l4.dry_run = dry_run != object.annotations.end() && dry_run->second == "true";
  Decoder decoder(object, out);
  std::size_t dropped = 0;
  for (const Field& field : spec["rules"].list()) {
    bool l7 = false;
    mesh::Rule rule = decoder.rule(field, l7);
    if (l7 && out.action == model::Action::kAllow) {
      ++dropped;
    } else {
      l4.rules.push_back(std::move(rule));
    }
  }
  out.rules = authz_rules(spec["rules"], object.ns);
  if (out.action != model::Action::kAudit) out.l4 = std::move(l4);
  if (out.action == model::Action::kCustom)
    notes.beyond(spec["action"], "CUSTOM, which asks provider " +
                                     spec["provider"]["name"].string() +
                                     ": until then everything that the rules match is denied");
  if (out.action != model::Action::kAllow && spec["rules"].list().empty())
    notes.warn(spec["action"], "there are no rules, so the policy decides nothing");
  out.conditions.push_back(condition_of(out, dropped));
  if (!notes.unsupported.empty()) out.conditions.push_back(read::conditions(notes, false).back());
  out.unsupported = std::move(notes.unsupported);
  out.warnings = std::move(notes.warnings);
  if (reader.problem()) return std::unexpected(*reader.problem());
  return out;
}

}  // namespace weft::controlplane::istio
