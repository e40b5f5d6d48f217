#include "controlplane/translate/l7/status.h"

#include <algorithm>

#include "controlplane/translate/by_name.h"
#include "controlplane/translate/l7/gateway_plan.h"

namespace weft::controlplane::translate::l7 {
namespace {

using model::Condition;
using State = Enforcement::State;

constexpr const char* kEnforcedType = "WeftL7Enforced";
constexpr const char* kConflict = "Conflict";
constexpr std::size_t kNamesMax = 8;

std::string short_name(const ServiceRecord& record) { return record.ns + "/" + record.name; }

const char* reason_of(State state) {
  switch (state) {
    case State::kEnforced:
      return "Enforced";
    case State::kProvisioning:
      return "Provisioning";
    case State::kDegraded:
      return "Degraded";
    case State::kOptedOut:
      break;
  }
  return "OptedOut";
}

// Hosts where another object routes every port in this one's place, and who: message by host.
using Overruled = std::map<std::string, std::string>;

// One condition about all services that an object is about: the worst of them, each named.
std::optional<Condition> enforced_condition(const StatusInputs& in,
                                            const std::set<std::string>& hosts,
                                            const Overruled& overruled = {}) {
  std::optional<State> worst;
  std::string text;
  std::size_t names = 0;
  for (const std::string& host : hosts) {
    const auto one = enforcement_of(in, host);
    if (!one) continue;
    if (!worst || one->state > *worst) worst = one->state;
    if (++names > kNamesMax) continue;
    if (!text.empty()) text += "; ";
    const auto by = overruled.find(host);
    text += short_name(in.planner.records().at(host)) + ": " +
            (by == overruled.end() ? one->text : by->second);
  }
  if (!worst) return std::nullopt;
  if (names > kNamesMax) text += "; and " + std::to_string(names - kNamesMax) + " more services";
  if (*worst == State::kEnforced && !overruled.empty())
    return Condition{kEnforcedType, false, kConflict, text};
  return Condition{kEnforcedType, *worst == State::kEnforced, reason_of(*worst), text};
}

void add_messages(const std::vector<std::string>& texts, bool error, const char* code,
                  ObjectStatus& out) {
  for (const std::string& text : texts) {
    const ObjectStatus::Message message{.error = error, .code = code, .text = text};
    if (std::find(out.messages.begin(), out.messages.end(), message) == out.messages.end())
      out.messages.push_back(message);
  }
}

template <class X>
ObjectStatus start(const Known<X>& known) {
  ObjectStatus out{.key = known.key, .origin = known.origin, .generation = known.generation};
  add_messages(known.decoded.unsupported, true, "", out);
  add_messages(known.decoded.warnings, false, "", out);
  return out;
}

std::string join(const std::vector<std::string>& texts) {
  std::string out;
  for (const std::string& text : texts) out += (out.empty() ? "" : "; ") + text;
  return out;
}

// Istio's: Reconciled, and what its analyzers would say as messages.
template <class X>
ObjectStatus istio_status(const StatusInputs& in, const Known<X>& known,
                          const std::set<std::string>& hosts) {
  ObjectStatus out = start(known);
  Overruled overruled;
  std::vector<std::string> conflicts;
  for (const std::string& host : hosts) {
    const auto record = in.planner.records().find(host);
    if (record == in.planner.records().end()) continue;
    if (const auto found = record->second.verdicts.find(known.key);
        found != record->second.verdicts.end()) {
      bool in_force = false;
      for (const ObjectVerdict& verdict : found->second) {
        in_force = in_force || verdict.accepted;
        if (verdict.reason == kConflict) {
          overruled[host] = verdict.message;
          if (std::find(conflicts.begin(), conflicts.end(), verdict.message) == conflicts.end())
            conflicts.push_back(verdict.message);
        }
        if (!verdict.accepted) add_messages({verdict.message}, true, "IST0109", out);
        add_messages(verdict.unresolved, true, "IST0101", out);
        add_messages(verdict.warnings, false, "IST0130", out);
      }
      if (in_force) overruled.erase(host);
    }
    if (const auto found = record->second.complaints.find(known.key);
        found != record->second.complaints.end())
      add_messages(found->second, false, "", out);
    if (const auto found = record->second.broken.find(known.key);
        found != record->second.broken.end())
      add_messages(found->second, true, "IST0101", out);
  }
  Condition reconciled{"Reconciled", true, "Reconciled", "translated"};
  std::vector<std::string> errors;
  for (const ObjectStatus::Message& one : out.messages) {
    if (one.error) errors.push_back(one.text);
  }
  if (!errors.empty()) reconciled = {"Reconciled", false, "PartiallyInvalid", join(errors)};
  out.conditions.push_back(std::move(reconciled));
  if (!conflicts.empty())
    out.conditions.push_back({kConflict, true, "TakesPrecedence", join(conflicts)});
  if (auto condition = enforced_condition(in, hosts, overruled))
    out.conditions.push_back(*condition);
  return out;
}

Condition refs_condition(const std::vector<std::string>& unresolved) {
  if (unresolved.empty()) return {"ResolvedRefs", true, "ResolvedRefs", "all references resolved"};
  const std::string& first = unresolved.front();
  const std::size_t colon = first.find(':');
  const bool word = colon != std::string::npos && first.find(' ') > colon;
  return {"ResolvedRefs", false, word ? first.substr(0, colon) : "BackendNotFound",
          join(unresolved)};
}

ParentStatus service_parent(const StatusInputs& in, const Known<model::RouteTable>& known,
                            const model::RouteTable& table) {
  const std::string& host = table.service.hostname;
  ParentStatus out{
      .kind = "Service", .ns = table.service.ns, .name = host.substr(0, host.find('.'))};
  if (table.service.port != 0) out.port = table.service.port;
  Condition accepted{"Accepted", true, "Accepted", "routes the requests of this service"};
  std::vector<std::string> unresolved =
      unresolved_of(in.facts, in.objects, table, table.service.port);
  const auto record = in.planner.records().find(host);
  const source::Service* service = in.facts.service(host);
  if (service == nullptr || record == in.planner.records().end()) {
    accepted = {"Accepted", false, "NoMatchingParent", "there is no such Service"};
  } else if (service->type == "ExternalName" || service->headless) {
    accepted = {"Accepted", false, "UnsupportedValue",
                "a Service without a cluster IP cannot be a parent"};
  } else {
    const auto found = record->second.verdicts.find(known.key);
    bool any = false, taken = false;
    std::string reason = "NoMatchingParent", message = "no port of the Service is HTTP";
    for (const ObjectVerdict& verdict :
         found == record->second.verdicts.end() ? std::vector<ObjectVerdict>{} : found->second) {
      if (verdict.table_port != table.service.port) continue;
      any = true;
      taken = taken || verdict.accepted;
      if (!verdict.accepted) reason = verdict.reason, message = verdict.message;
      for (const std::string& text : verdict.unresolved) {
        if (std::find(unresolved.begin(), unresolved.end(), text) == unresolved.end())
          unresolved.push_back(text);
      }
    }
    if (!any || !taken) accepted = {"Accepted", false, reason, message};
  }
  for (const Condition& one : known.decoded.conditions) {
    if (one.type == "Accepted" && !one.status && accepted.status) accepted = one;
  }
  out.conditions = {accepted, refs_condition(unresolved)};
  if (accepted.status) {
    if (auto condition = enforced_condition(in, {host})) out.conditions.push_back(*condition);
  }
  return out;
}

ObjectStatus route_status(const StatusInputs& in, const Known<model::RouteTable>& known) {
  ObjectStatus out = start(known);
  for (const model::RouteTable& table : known.decoded.values) {
    ParentStatus parent =
        table.gateway.empty() ? service_parent(in, known, table) : gateway_parent(in, known, table);
    const bool again =
        std::any_of(out.parents.begin(), out.parents.end(), [&](const ParentStatus& one) {
          return one.kind == parent.kind && one.ns == parent.ns && one.name == parent.name &&
                 one.port == parent.port && one.section == parent.section;
        });
    if (!again) out.parents.push_back(std::move(parent));
  }
  return out;
}

ObjectStatus waypoint_status(const StatusInputs& in, const Known<model::Gateway>& known,
                             const model::Gateway& gateway) {
  ObjectStatus out = start(known);
  const Planner::Waypoint* waypoint =
      in.planner.waypoint("waypoint~" + gateway.ns + "/" + gateway.name);
  const bool ready = waypoint != nullptr && waypoint->ready;
  const source::Service* service = find(in.facts.services, gateway.ns, gateway.name);
  if (service != nullptr) {
    for (const IpAddress& ip : service->cluster_ips) out.addresses.push_back(ip.str());
  }
  out.conditions = {{"Accepted", true, "Accepted", "a waypoint"},
                    ready ? Condition{"Programmed", true, "Programmed", "the waypoint is ready"}
                          : Condition{"Programmed", false, "Pending", "its pods are not ready"}};
  std::uint32_t attached = 0;
  if (waypoint != nullptr) attached = static_cast<std::uint32_t>(waypoint->hosts.size());
  for (const model::Listener& listener : gateway.listeners) {
    ListenerStatus one{.name = listener.name, .attached_routes = attached};
    one.conditions = {{"Accepted", true, "Accepted", ""},
                      {"Programmed", ready, ready ? "Programmed" : "Pending", ""},
                      {"ResolvedRefs", true, "ResolvedRefs", ""},
                      {"Conflicted", false, "NoConflicts", ""}};
    out.listeners.push_back(std::move(one));
  }
  return out;
}

ObjectStatus class_status(const Known<model::GatewayClass>& known) {
  ObjectStatus out = start(known);
  out.conditions = {{"Accepted", true, "Accepted", "handled by Weft"}};
  out.features = {"GRPCRoute",
                  "Gateway",
                  "HTTPRoute",
                  "HTTPRouteBackendRequestHeaderModification",
                  "HTTPRouteBackendTimeout",
                  "HTTPRouteHostRewrite",
                  "HTTPRouteMethodMatching",
                  "HTTPRouteParentRefPort",
                  "HTTPRoutePathRedirect",
                  "HTTPRoutePathRewrite",
                  "HTTPRoutePortRedirect",
                  "HTTPRouteQueryParamMatching",
                  "HTTPRouteRequestMirror",
                  "HTTPRouteRequestMultipleMirrors",
                  "HTTPRouteRequestPercentageMirror",
                  "HTTPRouteRequestTimeout",
                  "HTTPRouteResponseHeaderModification",
                  "HTTPRouteSchemeRedirect",
                  "Mesh",
                  "MeshClusterIPMatching",
                  "MeshConsumerRoute",
                  "ReferenceGrant"};
  return out;
}

bool is_ours(const model::GatewayClass& one) {
  return one.controller.starts_with("weft.dev/") || one.name == "weft" || one.name == "istio" ||
         one.name == "weft-waypoint" || one.name == "istio-waypoint";
}

// A condition that is true shows nothing wrong in the decoder's words either.
template <class X>
ObjectStatus plain_status(const Known<X>& known) {
  ObjectStatus out = start(known);
  out.conditions = known.decoded.conditions;
  if (out.conditions.empty()) out.conditions = {{"Accepted", true, "Accepted", "read"}};
  return out;
}

template <class X>
const Known<X>* known_as(const ByKey<X>& map, const source::ObjectKey& key) {
  const auto found = map.find(key);
  return found == map.end() ? nullptr : &found->second;
}

ObjectStatus authn_status(const StatusInputs& in, const Known<model::RequestAuthn>& known,
                          const std::set<std::string>& hosts) {
  ObjectStatus out = istio_status(in, known, hosts);
  std::vector<std::string> problems;
  for (const std::string& host : hosts) {
    const auto record = in.planner.records().find(host);
    if (record == in.planner.records().end()) continue;
    for (const std::string& text : record->second.jwt_problems) {
      if (std::find(problems.begin(), problems.end(), text) == problems.end())
        problems.push_back(text);
    }
  }
  if (!problems.empty())
    out.conditions.push_back({"JwksResolved", false, "NoKeys",
                              join(problems) + ". Until then no token of theirs is accepted"});
  return out;
}

// What the front end could not do is a condition of whoever has conditions, not a message alone.
void name_unsupported(const std::vector<std::string>& unsupported, ObjectStatus& out) {
  if (unsupported.empty()) return;
  const Condition partial{"PartiallyInvalid", true, "UnsupportedValue",
                          "not supported yet: " + join(unsupported)};
  auto add = [&](std::vector<Condition>& conditions) {
    const bool named = std::any_of(conditions.begin(), conditions.end(), [&](const Condition& one) {
      return one.message.find(join(unsupported)) != std::string::npos;
    });
    if (!conditions.empty() && !named) conditions.push_back(partial);
  };
  add(out.conditions);
  for (ParentStatus& parent : out.parents) add(parent.conditions);
}

template <class X>
ObjectStatus named(const Known<X>& known, ObjectStatus out) {
  name_unsupported(known.decoded.unsupported, out);
  return out;
}

}  // namespace

std::optional<Enforcement> enforcement_of(const StatusInputs& in, const std::string& host) {
  const auto found = in.planner.records().find(host);
  if (found == in.planner.records().end()) return std::nullopt;
  const ServiceRecord& record = found->second;
  if (!record.wanted && record.missing.empty()) return std::nullopt;
  const std::string meanwhile = record.has_policy ? "; until then its policy fails closed"
                                                  : "; until then requests go straight to its pods";
  if (!record.opted_out.empty())
    return Enforcement{
        State::kOptedOut,
        record.opted_out + (record.has_policy ? ": L7 rules are not enforced, L4 fails closed"
                                              : ": routes are not in force")};
  if (!record.missing.empty()) return Enforcement{State::kDegraded, record.missing + meanwhile};
  if (!record.unservable.empty())
    return Enforcement{State::kDegraded,
                       record.unservable + (record.has_policy ? "; its policy fails closed" : "")};
  const std::string name = "waypoint " + record.waypoint_ns + "/" + record.waypoint_name;
  const Planner::Waypoint* waypoint = in.planner.waypoint(record.plan_id());
  const auto progress = in.planner.progress_of(host);
  if (progress && progress->state == Progress::State::kRejected)
    return Enforcement{State::kDegraded,
                       name + " refused it: " + progress->text +
                           (progress->served ? "; the last good version is in force" : meanwhile)};
  if (waypoint == nullptr || !waypoint->ready)
    return Enforcement{State::kProvisioning, name + " is not ready" + meanwhile};
  if (in.planner.waypoint_of(host) == nullptr)
    return Enforcement{State::kProvisioning, name + " has not taken it yet" + meanwhile};
  return Enforcement{State::kEnforced, name};
}

std::optional<ObjectStatus> status_of(const StatusInputs& in, const source::ObjectKey& key,
                                      const std::set<std::string>& hosts) {
  if (const auto* known = known_as(in.objects.routes(), key)) {
    if (key.kind.ends_with("gateway.networking.k8s.io"))
      return named(*known, route_status(in, *known));
    ObjectStatus out = istio_status(in, *known, hosts);
    add_gateway_messages(in, *known, out);
    return named(*known, std::move(out));
  }
  if (const auto* known = known_as(in.objects.destinations(), key))
    return istio_status(in, *known, hosts);
  if (const auto* known = known_as(in.objects.authns(), key))
    return authn_status(in, *known, hosts);
  if (const auto* known = known_as(in.objects.gateways(), key)) {
    if (known->decoded.values.empty()) return plain_status(*known);
    const model::Gateway& gateway = known->decoded.values.front();
    if (gateway.kind == model::Gateway::Kind::kWaypoint)
      return named(*known, waypoint_status(in, *known, gateway));
    return named(*known, ingress_status(in, *known, gateway, start(*known)));
  }
  if (const auto* known = known_as(in.objects.classes(), key)) {
    if (known->decoded.values.empty() || !is_ours(known->decoded.values.front()))
      return std::nullopt;
    return named(*known, class_status(*known));
  }
  if (const auto* known = known_as(in.objects.grants(), key)) return plain_status(*known);
  if (const auto* known = known_as(in.objects.externals(), key)) return plain_status(*known);
  if (const auto* known = known_as(in.objects.telemetry(), key)) return plain_status(*known);
  return std::nullopt;
}

void add_policy_conditions(const StatusInputs& in, const model::AuthzPolicy& policy,
                           const std::set<std::string>& hosts, ObjectStatus& out) {
  const bool l7 = !policy.l7_fields.empty() || policy.action == model::Action::kAudit;
  const auto condition = enforced_condition(in, hosts);
  if (!condition) {
    if (l7)
      out.conditions.push_back({kEnforcedType, false, "Degraded",
                                "no service has pods that it selects: nothing to put a waypoint "
                                "before; ztunnel fails closed"});
    return;
  }
  const bool waypoint = condition->status || condition->reason == "Provisioning";
  out.conditions.push_back(
      {"WaypointAccepted", waypoint, waypoint ? "Accepted" : "Invalid", condition->message});
  if (!l7) return;
  out.conditions.push_back(*condition);
  if (!condition->status) return;
  for (Condition& one : out.conditions) {
    if (one.type == "ZtunnelAccepted" && policy.action != model::Action::kCustom)
      one = {"ZtunnelAccepted", true, "Accepted",
             "attached to ztunnel; what only L7 can judge is for the waypoint"};
  }
}

std::optional<ObjectStatus> status_of_service(const StatusInputs& in, const ServiceRecord& record) {
  if (!record.wanted && !record.bound) return std::nullopt;
  ObjectStatus out{.key = {"Service", record.ns, record.name}};
  if (!record.missing.empty()) {
    out.conditions.push_back(
        {"istio.io/WaypointBound", false, "istio.io/WaypointMissing", record.missing});
  } else if (record.served()) {
    const bool bound = in.planner.waypoint_of(record.hostname) != nullptr;
    out.conditions.push_back(
        {"istio.io/WaypointBound", bound, bound ? "WaypointAccepted" : "Provisioning",
         (bound ? "Successfully attached to waypoint " : "waiting for waypoint ") +
             record.waypoint_ns + "/" + record.waypoint_name});
  }
  if (auto condition = enforced_condition(in, {record.hostname}))
    out.conditions.push_back(*condition);
  return out;
}

}  // namespace weft::controlplane::translate::l7
