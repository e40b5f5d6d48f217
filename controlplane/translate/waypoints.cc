// World's third part: what the planner says, to ztunnel's terms.
#include <algorithm>
#include <optional>
#include <utility>

#include "controlplane/translate/by_name.h"
#include "controlplane/translate/l7/clusters.h"
#include "controlplane/translate/l7/status.h"
#include "controlplane/translate/mtls.h"
#include "controlplane/translate/world.h"

namespace weft::controlplane::translate {
namespace {

// `by`: an older PeerAuthentication of the same scope, or null.
model::Condition mtls_condition(const model::PeerAuthn* by) {
  if (by == nullptr) return {"ZtunnelAccepted", true, "Accepted", "attached to ztunnel"};
  return {"ZtunnelAccepted", false, "Conflict",
          "PeerAuthentication " + by->ns + "/" + by->name +
              " has the same scope and is older: it decides, and this one has no effect"};
}

}  // namespace

void World::take(l7::Turn turn, Changes& out) {
  out.plans = std::move(turn.plans);
  out.removed_plans = std::move(turn.removed_plans);
  out.gateways = std::move(turn.gateways);
  out.jwks_uris = std::move(turn.jwks_uris);
  for (const std::string& host : turn.services) {
    const source::Service* service = facts_.service(host);
    if (service != nullptr) dirty_service_namespaces_.insert(service->ns);
  }
  dirty_policies_ = dirty_policies_ || turn.policies;
  // L4's stand-ins for RequestAuthentication are named by the pods behind their services.
  for (const std::string& host : turn.judged) {
    const auto record = planner_.records().find(host);
    const bool now = record != planner_.records().end() && !record->second.authns.empty();
    if (now == guarded_.contains(host)) continue;
    if (now) guarded_.insert(host);
    if (!now) guarded_.erase(host);
    const std::size_t dot = host.find('.');
    touch_namespace(host.substr(dot + 1, host.find('.', dot + 1) - dot - 1));
  }
  if (turn.gateways_judged) {
    for (const auto& [key, known] : objects_.gateways()) dirty_statuses_.insert(key);
    for (const auto& [key, known] : objects_.routes()) {
      const bool edge =
          std::any_of(known.decoded.values.begin(), known.decoded.values.end(),
                      [](const model::RouteTable& one) { return !one.gateway.empty(); });
      if (edge) dirty_statuses_.insert(key);
    }
  }
  judge(turn.judged, out);
}

// Statuses of what changed, and of every object that names a service whose record changed.
void World::judge(const std::set<std::string>& hosts, Changes& out) {
  std::set<source::ObjectKey> keys = std::exchange(dirty_statuses_, {});
  for (const std::string& host : hosts) {
    std::set<source::ObjectKey>& named = named_by_[host];
    for (const source::ObjectKey& key : named) {
      keys.insert(key);
      hosts_of_[key].erase(host);
    }
    named.clear();
    const auto found = planner_.records().find(host);
    if (found == planner_.records().end()) {
      named_by_.erase(host);
      continue;
    }
    const l7::ServiceRecord& record = found->second;
    named = record.wanted_by;
    for (const auto& [key, verdicts] : record.verdicts) named.insert(key);
    for (const auto& [key, texts] : record.complaints) named.insert(key);
    for (const auto& [key, texts] : record.broken) named.insert(key);
    named.insert(record.authns.begin(), record.authns.end());
    for (const std::string& policy : record.policies) {
      const std::size_t slash = policy.find('/');
      named.insert({"AuthorizationPolicy.security.istio.io", policy.substr(0, slash),
                    policy.substr(slash + 1)});
    }
    named.insert({"Service", record.ns, record.name});
    for (const source::ObjectKey& key : named) {
      keys.insert(key);
      hosts_of_[key].insert(host);
    }
    if (record.bound || record.served())
      keys.insert({"Gateway.gateway.networking.k8s.io", record.waypoint_ns, record.waypoint_name});
  }
  for (const source::ObjectKey& key : keys) judge_object(key, out);
}

void World::judge_object(const source::ObjectKey& key, Changes& out) {
  const l7::StatusInputs in{facts_, objects_, planner_};
  static const std::set<std::string> kNone;
  const auto about = hosts_of_.find(key);
  if (about != hosts_of_.end() && about->second.empty()) hosts_of_.erase(about);
  const auto named = hosts_of_.find(key);
  const std::set<std::string>& hosts = named == hosts_of_.end() ? kNone : named->second;
  std::optional<ObjectStatus> now;
  if (key.kind == "AuthorizationPolicy.security.istio.io") {
    const model::AuthzPolicy* policy = find(facts_.authz, key.ns, key.name);
    const auto before = statuses_.find(key);
    if (policy != nullptr && before != statuses_.end()) {
      now = ObjectStatus{.key = key,
                         .origin = policy->from.origin,
                         .conditions = policy->conditions,
                         .generation = before->second.generation};
      l7::add_policy_conditions(in, *policy, hosts, *now);
    }
  } else if (key.kind == "PeerAuthentication.security.istio.io") {
    const model::PeerAuthn* one = find(facts_.authn, key.ns, key.name);
    const auto before = statuses_.find(key);
    if (one != nullptr && before != statuses_.end()) {
      now = before->second;
      now->conditions = {mtls_condition(
          overruled_by(peer_authns_for(key.ns), facts_.options.root_namespaces, *one))};
    }
  } else if (key.kind == "Service") {
    const auto record = planner_.records().find(key.name + "." + key.ns + ".svc." +
                                                facts_.options.naming.cluster_domain);
    if (record != planner_.records().end()) now = l7::status_of_service(in, record->second);
  } else if (key.kind == "Namespace") {
    return;
  } else {
    now = l7::status_of(in, key, hosts);
    if (!now && statuses_.contains(key)) now = statuses_.at(key);  // a kind without L7
  }
  const auto known = statuses_.find(key);
  if (!now) {
    if (known != statuses_.end()) statuses_.erase(known);
    if (told_.erase(key) != 0) out.statuses.push_back(key);
    return;
  }
  if (known != statuses_.end() && known->second == *now && told_.contains(key)) return;
  statuses_.insert_or_assign(key, std::move(*now));
  told_.insert(key);
  out.statuses.push_back(key);
}

// ALLOW also lets the waypoints through that enforce the whole of it, DENY leaves them to it.
void World::admit_waypoints(mesh::Policy& policy) const {
  mesh::Match waypoints;
  for (const std::string& principal : planner_.admitted(policy.key()))
    waypoints.principals.push_back({mesh::StringMatch::Kind::kExact, principal});
  if (waypoints.principals.empty()) return;
  if (policy.action == mesh::PolicyAction::kAllow) {
    policy.rules.push_back({{{{waypoints}}}});
    return;
  }
  std::swap(waypoints.principals, waypoints.not_principals);
  for (mesh::Rule& rule : policy.rules) rule.clauses.push_back({{waypoints}});
}

// Tokens can only be checked by a waypoint: nobody else may come to the HTTP ports of a service
// that has a RequestAuthentication.
void World::requests_policies(Changes& out, std::map<std::string, mesh::PolicyAction>& now) const {
  for (const std::string& host : guarded_) {
    const auto record = planner_.records().find(host);
    const source::Service* service = facts_.service(host);
    if (record == planner_.records().end() || service == nullptr) continue;
    mesh::Policy policy{.name = l7::requests_policy_name(service->name),
                        .ns = service->ns,
                        .scope = mesh::PolicyScope::kWorkloadSelector,
                        .action = mesh::PolicyAction::kDeny};
    mesh::Match match;
    for (const ServiceEndpoint& endpoint : facts_.endpoints(*service)) {
      for (const mesh::Port& port : endpoint.ports) {
        if (l7::is_http(port.app_protocol)) match.destination_ports.push_back(port.target_port);
      }
    }
    std::sort(match.destination_ports.begin(), match.destination_ports.end());
    const auto last = std::unique(match.destination_ports.begin(), match.destination_ports.end());
    match.destination_ports.erase(last, match.destination_ports.end());
    if (!match.destination_ports.empty()) policy.rules = {{{{{match}}}}};
    admit_waypoints(policy);
    now[policy.key()] = policy.action;
    out.policies.push_back(std::move(policy));
  }
}

void World::guard_requests(mesh::Workload& workload) const {
  for (const auto& [key, ports] : workload.services) {
    const std::string host = key.substr(key.find('/') + 1);
    if (!guarded_.contains(host)) continue;
    workload.authorization_policies.push_back(
        key.substr(0, key.find('/')) + "/" +
        l7::requests_policy_name(host.substr(0, host.find('.'))));
  }
}

void World::show_waypoint(mesh::Service& service) const {
  const l7::WaypointView* view = planner_.waypoint_of(service.hostname);
  if (view == nullptr) return;
  mesh::GatewayAddress address;
  address.destination = mesh::NamespacedHostname{
      view->ns, view->name + "." + view->ns + ".svc." + facts_.options.naming.cluster_domain};
  service.waypoint = address;
  service.waypoint_ports = view->ports;
}

}  // namespace weft::controlplane::translate
