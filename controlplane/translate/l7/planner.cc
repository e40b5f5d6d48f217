#include "controlplane/translate/l7/planner.h"

#include <algorithm>
#include <utility>

#include "controlplane/jwks/keys.h"
#include "controlplane/translate/by_name.h"
#include "controlplane/translate/l7/clusters.h"

namespace weft::controlplane::translate::l7 {

using source::ObjectKey;

Planner::Planner(const Facts& facts, const Objects& objects)
    : facts_(facts),
      objects_(objects),
      lookup_([this](const model::JwtRule& rule) { return keys_for(rule); }) {}

void Planner::touch(const Touched& touched) {
  everything_ = everything_ || touched.everything;
  gateways_ = gateways_ || touched.gateways;
  dirty_.insert(touched.hosts.begin(), touched.hosts.end());
  dirty_namespaces_.insert(touched.namespaces.begin(), touched.namespaces.end());
  authns_ = authns_ || touched.everything || !touched.namespaces.empty();
}

void Planner::served(const std::string& plan_id, const Progress& progress) {
  const auto found = waypoints_.find(plan_id);
  if (found == waypoints_.end()) return;
  Waypoint& waypoint = found->second;
  waypoint.progress = progress;
  admissions_.served(plan_id, progress, [&](const std::string& host) {
    std::vector<std::string> ports;
    for (const model::PlanService& one : waypoint.plan.services) {
      if (one.key.hostname == host) ports.push_back(host + ":" + std::to_string(one.key.port));
    }
    return ports;
  });
  progress_ = true;
}

void Planner::fetched(const std::string& address, const Parsed<std::string>& answer) {
  Parsed<std::string> usable = answer ? jwks::usable_keys(*answer) : answer;
  fetched_.insert_or_assign(address, std::move(usable));
  for (const auto& [host, record] : records_) {
    if (!record.authns.empty()) dirty_.insert(host);
  }
}

Parsed<std::string> Planner::keys_for(const model::JwtRule& rule) const {
  const std::string address = jwks_address(rule);
  if (address.empty()) return jwks::usable_keys(rule.jwks);
  const auto found = fetched_.find(address);
  return found == fetched_.end() ? problem("its key set is not fetched yet") : found->second;
}

std::optional<Clock::time_point> Planner::deadline() const {
  std::optional<Clock::time_point> out;
  auto add = [&](Clock::time_point due) {
    if (!out || due < *out) out = due;
  };
  for (const auto& [host, one] : lingering_) add(one.until);
  for (const auto& [id, waypoint] : waypoints_) {
    if (!waypoint.unused_since) continue;
    if (!waypoint.plan.draining) add(*waypoint.unused_since + kDrainsAfter);
    add(*waypoint.unused_since + kWaypointLingers);
  }
  return out;
}

bool Planner::drains(const Waypoint& waypoint) const {
  return waypoint.unused_since && *waypoint.unused_since + kDrainsAfter <= now_;
}

// It lingered long enough: connections that were there are closed by now.
bool Planner::is_over(const Lingering& one) const {
  if (one.until <= now_) return true;
  const auto at = waypoints_.find(one.plan_id);
  if (at == waypoints_.end()) return false;
  const auto& since = at->second.unused_since;
  return since && *since + kWaypointLingers <= now_;
}

bool Planner::is_ready(const std::string& ns, const std::string& name, const char* key) const {
  if (find(facts_.services, ns, name) == nullptr) return false;
  const auto& pods = in_namespace(facts_.pods, ns);
  return std::any_of(pods.begin(), pods.end(), [&](const auto& entry) {
    const auto label = entry.second.labels.find(key);
    return label != entry.second.labels.end() && label->second == name && entry.second.ready &&
           !entry.second.deleting && !entry.second.finished();
  });
}

void Planner::expand_dirty() {
  if (labels_) dirty_.insert(by_labels_.begin(), by_labels_.end());
  auto add_namespace = [&](const std::string& ns) {
    for (const auto& [name, service] : in_namespace(facts_.services, ns))
      dirty_.insert(facts_.hostname(service));
  };
  if (everything_) {
    for (const auto& [ns, services] : facts_.services) add_namespace(ns);
    for (const auto& [host, record] : records_) dirty_.insert(host);
    clusters_.clear();
  }
  for (const std::string& ns : dirty_namespaces_) add_namespace(ns);
  for (const auto& [id, waypoint] : waypoints_) {
    if (drains(waypoint) != waypoint.plan.draining) dirty_plans_.insert(id);
  }
  // An expired one is looked at again, and found to be over.
  for (const auto& [host, one] : lingering_) {
    if (is_over(one)) dirty_.insert(host);
  }
  std::set<std::string> dependents;
  for (const std::string& host : dirty_) {
    const auto found = reached_by_.find(host);
    if (found != reached_by_.end()) dependents.insert(found->second.begin(), found->second.end());
    std::erase_if(clusters_, [&](const auto& entry) {
      return entry.first.size() > host.size() && entry.first.ends_with(host) &&
             entry.first[entry.first.size() - host.size() - 1] == '|';
    });
  }
  dirty_.merge(dependents);
}

// Where a host is served from now on; what it leaves lingers there.
void Planner::settle(const std::string& host, const ServiceRecord* before) {
  const auto now = records_.find(host);
  const std::string id = now == records_.end() ? "" : now->second.plan_id();
  const std::string old = before == nullptr ? "" : before->plan_id();
  if (!old.empty()) dirty_plans_.insert(old);
  if (!id.empty()) dirty_plans_.insert(id);
  const auto lingering = lingering_.find(host);
  if (lingering != lingering_.end()) {
    dirty_plans_.insert(lingering->second.plan_id);
    const source::Service* service = facts_.service(host);
    if (lingering->second.plan_id == id || service == nullptr || is_over(lingering->second)) {
      lingering_.erase(lingering);
    } else {
      const Waypoint& waypoint = waypoints_[lingering->second.plan_id];
      const Keep keep{waypoint.ns, waypoint.name};
      lingering->second.record = plan_service({facts_, objects_, lookup_}, *service, &keep);
    }
  } else if (!old.empty() && old != id && facts_.service(host) != nullptr &&
             views_.contains(host)) {
    const Keep keep{before->waypoint_ns, before->waypoint_name};
    lingering_[host] = {old, now_ + kServiceLingers,
                        plan_service({facts_, objects_, lookup_}, *facts_.service(host), &keep)};
  }
}

void Planner::plan_dirty(Turn& out) {
  for (const std::string& host : dirty_) {
    std::optional<ServiceRecord> before;
    if (const auto found = records_.find(host); found != records_.end()) {
      before = std::move(found->second);
      for (const auto* list : {&before->reach, &before->mentions}) {
        for (const std::string& other : *list) {
          const auto reached = reached_by_.find(other);
          if (reached == reached_by_.end()) continue;
          reached->second.erase(host);
          if (reached->second.empty()) reached_by_.erase(reached);
        }
      }
      records_.erase(found);
    }
    by_labels_.erase(host);
    if (const source::Service* service = facts_.service(host)) {
      ServiceRecord record = plan_service({facts_, objects_, lookup_}, *service);
      for (const auto* list : {&record.reach, &record.mentions}) {
        for (const std::string& other : *list) {
          if (other != host) reached_by_[other].insert(host);
        }
      }
      if (record.by_labels) by_labels_.insert(host);
      records_.insert_or_assign(host, std::move(record));
    }
    settle(host, before ? &*before : nullptr);
    out.judged.insert(host);
  }
}

const model::PlanCluster& Planner::cluster(const std::string& name) const {
  const auto found = clusters_.find(name);
  if (found != clusters_.end()) return found->second;
  const auto key = ClusterKey::parse(name);
  return clusters_.emplace(name, make_cluster(facts_, objects_, key.value_or(ClusterKey{})))
      .first->second;
}

model::Plan Planner::make_plan(const Waypoint& waypoint) const {
  model::Plan plan{.kind = model::Plan::Kind::kWaypoint,
                   .ns = waypoint.ns,
                   .name = waypoint.name,
                   .id = "waypoint~" + waypoint.ns + "/" + waypoint.name,
                   .draining = drains(waypoint)};
  auto add = [&](const ServiceRecord& record, bool leaving) {
    for (const model::PlanService& port : record.ports) {
      plan.services.push_back(port);
      plan.services.back().leaving = leaving;
    }
    for (const std::string& name : record.clusters) plan.clusters.emplace(name, cluster(name));
  };
  for (const std::string& host : waypoint.hosts) {
    const bool leaving = waypoint.lingering.contains(host);
    add(leaving ? lingering_.at(host).record : records_.at(host), leaving);
  }
  secure(objects_, plan);
  return plan;
}

void Planner::assemble(Turn& out) {
  if (gateways_) {
    for (const auto& [key, known] : objects_.gateways()) {
      for (const model::Gateway& one : known.decoded.values) {
        if (one.kind == model::Gateway::Kind::kWaypoint)
          dirty_plans_.insert("waypoint~" + one.ns + "/" + one.name);
      }
    }
    for (const auto& [id, waypoint] : waypoints_) dirty_plans_.insert(id);
  }
  if (dirty_plans_.empty()) return;
  std::map<std::string, std::pair<std::set<std::string>, std::set<std::string>>> hosts;
  for (const auto& [host, record] : records_) {
    if (record.served()) hosts[record.plan_id()].first.insert(host);
  }
  for (const auto& [host, one] : lingering_) {
    hosts[one.plan_id].first.insert(host);
    hosts[one.plan_id].second.insert(host);
  }
  for (const std::string& id : dirty_plans_) {
    const std::size_t slash = id.find('/');
    const std::string ns = id.substr(9, slash - 9), name = id.substr(slash + 1);
    const bool by_hand = waypoint_gateway(objects_, ns, name) != nullptr;
    const auto wanted = hosts.find(id);
    if (!by_hand && wanted == hosts.end()) {
      if (waypoints_.erase(id) != 0) out.removed_plans.push_back(id);
      admissions_.gone(id);
      readiness_ = true;
      continue;
    }
    Waypoint& waypoint = waypoints_[id];
    const bool fresh = waypoint.name.empty();
    waypoint.ns = ns;
    waypoint.name = name;
    waypoint.by_hand = by_hand;
    waypoint.hosts = wanted == hosts.end() ? std::set<std::string>{} : wanted->second.first;
    waypoint.lingering = wanted == hosts.end() ? std::set<std::string>{} : wanted->second.second;
    const bool unused = !by_hand && waypoint.lingering.size() == waypoint.hosts.size();
    if (!unused) waypoint.unused_since.reset();
    if (unused && !waypoint.unused_since) waypoint.unused_since = now_;
    readiness_ = readiness_ || fresh;
    std::map<std::string, Admissions::Version> versions;
    for (const std::string& host : waypoint.hosts) {
      const ServiceRecord& record =
          waypoint.lingering.contains(host) ? lingering_.at(host).record : records_.at(host);
      Admissions::Version& version = versions[host];
      version.reach = record.reach;
      for (const std::string& policy : record.policies)
        version.policies[policy] = facts_.policy_hash(policy);
    }
    admissions_.given(id, std::move(versions));
    model::Plan plan = make_plan(waypoint);
    if (!fresh && plan == waypoint.plan) continue;
    waypoint.plan = plan;
    out.plans.push_back(std::move(plan));
  }
}

void Planner::plan_edge(Turn& out) {
  const bool any =
      std::any_of(objects_.gateways().begin(), objects_.gateways().end(), [](const auto& entry) {
        return std::any_of(
            entry.second.decoded.values.begin(), entry.second.decoded.values.end(),
            [](const model::Gateway& one) { return one.kind == model::Gateway::Kind::kIngress; });
      });
  if (!any && edge_.records.empty()) return;
  const Inputs inputs{facts_, objects_, lookup_};
  Gateways now =
      plan_gateways({.base = inputs,
                     .cluster = [this](const std::string& name) { return cluster(name); },
                     .record = [this](const std::string& host) -> const ServiceRecord* {
                       const auto found = records_.find(host);
                       return found == records_.end() ? nullptr : &found->second;
                     }});
  for (const auto& [id, plan] : now.plans) {
    const auto before = edge_.plans.find(id);
    if (before == edge_.plans.end() || before->second != plan) out.plans.push_back(plan);
  }
  for (const auto& [id, plan] : edge_.plans) {
    if (!now.plans.contains(id)) out.removed_plans.push_back(id);
  }
  edge_ = std::move(now);
  out.gateways_judged = true;
}

void Planner::judge_readiness() {
  for (auto& [id, waypoint] : waypoints_)
    waypoint.ready = is_ready(waypoint.ns, waypoint.name, "weft.dev/waypoint");
}

std::optional<Progress::One> Planner::progress_of(const std::string& host) const {
  const auto record = records_.find(host);
  if (record == records_.end() || !record->second.served()) return std::nullopt;
  const auto found = waypoints_.find(record->second.plan_id());
  if (found == waypoints_.end()) return std::nullopt;
  Progress::One out{.state = Progress::State::kAcked, .served = true, .text = ""};
  for (const model::PlanService& port : record->second.ports) {
    const auto one =
        found->second.progress.services.find(host + ":" + std::to_string(port.key.port));
    const Progress::One state =
        one == found->second.progress.services.end() ? Progress::One{} : one->second;
    out.served = out.served && (state.served || state.state == Progress::State::kAcked);
    if (state.state == Progress::State::kAcked) continue;
    if (out.state != Progress::State::kRejected) out = {state.state, out.served, state.text};
  }
  return out;
}

// A service goes to its waypoint once that is ready and serves it, and for as long as it is ready.
void Planner::update_views(Turn& out) {
  std::map<std::string, std::pair<std::string, WaypointView>> now;
  for (const auto& [host, record] : records_) {
    if (!record.served()) continue;
    const std::string id = record.plan_id();
    const auto found = waypoints_.find(id);
    if (found == waypoints_.end()) continue;
    const auto current = views_.find(host);
    if (found->second.ready) {
      const bool entered = current != views_.end() && current->second.first == id;
      const auto progress = progress_of(host);
      if (entered || (found->second.progress.connected && progress && progress->served)) {
        WaypointView view{found->second.ns, found->second.name, {}};
        for (const model::PlanService& port : record.ports) view.ports.push_back(port.key.port);
        std::sort(view.ports.begin(), view.ports.end());
        now[host] = {id, std::move(view)};
        continue;
      }
    }
    // Not there yet: the one that it leaves serves it still.
    const auto old = lingering_.find(host);
    if (current != views_.end() && old != lingering_.end() &&
        current->second.first == old->second.plan_id && waypoints_.contains(old->second.plan_id) &&
        waypoints_.at(old->second.plan_id).ready) {
      now[host] = current->second;
    }
  }
  for (const auto& [host, view] : views_) {
    const auto found = now.find(host);
    if (found == now.end() || found->second.second != view.second) out.services.insert(host);
  }
  for (const auto& [host, view] : now) {
    if (!views_.contains(host)) out.services.insert(host);
  }
  views_ = std::move(now);
  out.judged.insert(out.services.begin(), out.services.end());
}

void Planner::update_gateways(Turn& out) {
  std::vector<DesiredGateway> now;
  for (const auto& [id, waypoint] : waypoints_) {
    DesiredGateway one{.kind = model::Plan::Kind::kWaypoint,
                       .ns = waypoint.ns,
                       .name = waypoint.name,
                       .plan_id = id,
                       .automatic = !waypoint.by_hand,
                       .class_name = "weft-waypoint",
                       .ports = {15008}};
    if (waypoint.by_hand) {
      one.gateway = {"Gateway.gateway.networking.k8s.io", waypoint.ns, waypoint.name};
      one.class_name = waypoint_gateway(objects_, waypoint.ns, waypoint.name)->class_name;
      one.reason = "Gateway " + waypoint.ns + "/" + waypoint.name;
    } else if (!waypoint.hosts.empty()) {
      const auto record = records_.find(*waypoint.hosts.begin());
      if (record != records_.end() && !record->second.wanted_by.empty())
        one.reason = record->second.wanted_by.begin()->str();
    }
    now.push_back(std::move(one));
  }
  for (const auto& [id, gateway] : edge_.desired) now.push_back(gateway);
  if (now == desired_) return;
  desired_ = now;
  out.gateways = std::move(now);
}

void Planner::update_jwks(Turn& out) {
  std::set<std::string> now;
  for (const auto& [key, known] : objects_.authns()) {
    for (const model::RequestAuthn& authn : known.decoded.values) {
      for (const model::JwtRule& rule : authn.rules) now.insert(jwks_address(rule));
    }
  }
  now.erase("");
  std::vector<std::string> list(now.begin(), now.end());
  if (list == jwks_uris_) return;
  std::erase_if(fetched_, [&](const auto& entry) { return !now.contains(entry.first); });
  jwks_uris_ = list;
  out.jwks_uris = std::move(list);
}

Turn Planner::turn() {
  Turn out;
  const bool timer = deadline() && *deadline() <= now_;
  const bool any = everything_ || labels_ || readiness_ || gateways_ || progress_ || authns_ ||
                   timer || !dirty_.empty() || !dirty_namespaces_.empty();
  if (!any) return out;
  expand_dirty();
  if (authns_) update_jwks(out);
  plan_dirty(out);
  assemble(out);
  judge_readiness();
  plan_edge(out);
  update_views(out);
  update_gateways(out);
  // A waypoint's own progress and readiness are in the statuses of all that it serves.
  if (progress_ || readiness_) {
    for (const auto& [host, record] : records_) {
      if (record.served()) out.judged.insert(host);
    }
  }
  out.policies = progress_ || !out.plans.empty() || !out.removed_plans.empty() || !dirty_.empty();
  dirty_.clear();
  dirty_namespaces_.clear();
  dirty_plans_.clear();
  everything_ = labels_ = readiness_ = gateways_ = progress_ = authns_ = false;
  return out;
}

bool Planner::knows_keys() const {
  return std::all_of(jwks_uris_.begin(), jwks_uris_.end(),
                     [&](const std::string& address) { return fetched_.contains(address); });
}

bool Planner::settled() const {
  return std::all_of(waypoints_.begin(), waypoints_.end(), [&](const auto& entry) {
    return !entry.second.ready || admissions_.is_known(entry.first);
  });
}

const WaypointView* Planner::waypoint_of(const std::string& host) const {
  const auto found = views_.find(host);
  return found == views_.end() ? nullptr : &found->second.second;
}

std::vector<std::string> Planner::admitted(const std::string& policy) const {
  std::vector<std::string> out;
  const auto covers = [&](const std::string& host) {
    const auto record = records_.find(host);
    return record != records_.end() && record->second.own_policies.contains(policy);
  };
  for (const std::string& id : admissions_.admitted(policy, facts_.policy_hash(policy), covers)) {
    const auto found = waypoints_.find(id);
    if (found != waypoints_.end())
      out.push_back(principal_of(facts_, found->second.ns, found->second.name));
  }
  std::sort(out.begin(), out.end());
  return out;
}

const Planner::Waypoint* Planner::waypoint(const std::string& plan_id) const {
  const auto found = waypoints_.find(plan_id);
  return found == waypoints_.end() ? nullptr : &found->second;
}

}  // namespace weft::controlplane::translate::l7
