#include "controlplane/translate/world.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "controlplane/frontends/admit.h"
#include "controlplane/frontends/istio/authorization.h"
#include "controlplane/frontends/istio/peer_authentication.h"
#include "controlplane/frontends/unsupported.h"
#include "controlplane/translate/by_name.h"
#include "controlplane/translate/mtls.h"
#include "source/fields.h"

namespace weft::controlplane::translate {
namespace {

// A route's status is by its parents: Services, and Gateways, whose they may be.
std::vector<ParentStatus> parents_of(const source::Object& object,
                                     const std::vector<model::Condition>& conditions) {
  std::vector<ParentStatus> out;
  source::Reader reader(object);
  for (const source::Field& ref : reader.root()["spec"]["parentRefs"].list()) {
    ParentStatus one{.group = ref["group"].string("gateway.networking.k8s.io"),
                     .kind = ref["kind"].string("Gateway"),
                     .ns = ref["namespace"].string(object.ns),
                     .name = ref["name"].string(),
                     .section = ref["sectionName"].string(),
                     .conditions = conditions};
    if (one.kind != "Service" && one.kind != "Gateway") continue;
    if (ref["port"].present()) one.port = ref["port"].port();
    out.push_back(std::move(one));
  }
  return out;
}

}  // namespace

World::World(Options options)
    : facts_(std::move(options)), objects_(facts_.options.naming.cluster_domain) {
  WEFT_ASSERT(!facts_.options.root_namespaces.empty());
}

void World::touch_namespace(const std::string& ns, bool is_policy) {
  if (is_policy && facts_.is_root(ns)) dirty_everything_ = true;
  dirty_namespaces_.insert(ns);
}

Changes World::apply(const source::Batch& batch) {
  placements_.clear();
  for (const source::ObjectKey& key : batch.deletes) erase(key);
  for (const source::ObjectPtr& object : batch.upserts) put(*object);
  Changes out;
  take(planner_.turn(), out);
  if (dirty_everything_) {
    for (const auto& [ns, pods] : facts_.pods) dirty_namespaces_.insert(ns);
  }
  if (dirty_policies_) translate_policies(out);
  translate_services(out);
  translate_workloads(out);
  dirty_policies_ = dirty_everything_ = false;
  dirty_namespaces_.clear();
  dirty_service_namespaces_.clear();
  dirty_pods_.clear();
  return out;
}

void World::put(const source::Object& object) {
  const source::ObjectKey key = object.key();
  const std::string& ns = object.ns;
  const auto set = [&](ObjectStatus now) {
    ObjectStatus& held = statuses_[key];
    if (held != now) told_.erase(key);
    held = std::move(now);
    dirty_statuses_.insert(key);
  };
  if (key.kind == "Namespace") {
    if (auto decoded = source::decode_namespace(object))
      facts_.namespaces[object.name] = std::move(*decoded);
    planner_.touch_namespace(object.name);
    touch_namespace(object.name);
  } else if (key.kind == "Node") {
    // A node reports its status all the time; its pods only care for its labels.
    const auto known = facts_.nodes.find(object.name);
    dirty_everything_ =
        dirty_everything_ || known == facts_.nodes.end() || known->second.labels != object.labels;
    if (auto decoded = source::decode_node(object)) facts_.nodes[object.name] = std::move(*decoded);
  } else if (key.kind == "Pod") {
    put_pod(object);
  } else if (key.kind == "Service") {
    if (auto decoded = source::decode_service(object))
      facts_.services[ns][object.name] = std::move(*decoded);
    dirty_service_namespaces_.insert(ns);
    planner_.touch_service(object.name + "." + ns + ".svc." + facts_.options.naming.cluster_domain);
    planner_.touch_readiness();
    touch_namespace(ns);
  } else if (key.kind == "EndpointSlice.discovery.k8s.io") {
    if (auto decoded = source::decode_endpoint_slice(object))
      facts_.slices[ns][object.name] = std::move(*decoded);
    planner_.touch_namespace(ns);
    touch_namespace(ns);
  } else if (key.kind == "AuthorizationPolicy.security.istio.io") {
    put_authorization(object);
  } else if (key.kind == "PeerAuthentication.security.istio.io") {
    put_peer_authn(object);
  } else if (const l7::Touched touched = objects_.put(object, facts_.is_root(ns)); touched.known) {
    planner_.touch(touched);
    if (key.kind != "Secret") dirty_statuses_.insert(key);
  } else if (const std::string text = unsupported_kind(object); !text.empty()) {
    ObjectStatus status{.key = key,
                        .origin = object.origin,
                        .conditions = {{"Accepted", false, "UnsupportedKind", text}},
                        .generation = l7::generation_of(object)};
    if (key.kind.ends_with("Route.gateway.networking.k8s.io"))
      status.parents = parents_of(object, status.conditions);
    set(std::move(status));
  }
}

void World::touch_pod(const source::Pod* pod) {
  if (pod == nullptr) return;
  for (const std::string& host : facts_.services_of(*pod)) planner_.touch_service(host);
  planner_.touch_labels();
  if (pod->labels.contains("weft.dev/waypoint") || pod->labels.contains("weft.dev/gateway"))
    planner_.touch_readiness();
}

void World::put_pod(const source::Object& object) {
  auto decoded = source::decode_pod(object);
  dirty_pods_.insert({object.ns, object.name});
  if (!decoded) return;
  auto seen = [](const source::Pod& pod) {
    std::vector<std::tuple<std::string, std::uint16_t, std::string>> ports;
    for (const source::ContainerPort& one : pod.ports)
      ports.emplace_back(one.name, one.port, one.protocol);
    return std::tuple(pod.uid, pod.labels, pod.ips, pod.service_account, pod.node_name, pod.ready,
                      pod.deleting, pod.finished(), std::move(ports));
  };
  const source::Pod* before = find(facts_.pods, object.ns, object.name);
  const bool same = before != nullptr && seen(*before) == seen(*decoded);
  if (!same) touch_pod(before);
  const source::Pod& now = facts_.pods[object.ns][object.name] = std::move(*decoded);
  if (!same) touch_pod(&now);
}

void World::put_peer_authn(const source::Object& object) {
  if (auto decoded = istio::decode_peer_authentication(object)) {
    const source::ObjectKey key = object.key();
    ObjectStatus& status = statuses_[key];
    if (status.generation != l7::generation_of(object) || status.origin != object.origin)
      told_.erase(key);  // the same conditions of another generation are told again
    status.key = key;
    status.origin = object.origin;
    status.generation = l7::generation_of(object);
    facts_.authn[object.ns][object.name] = std::move(*decoded);
  }
  touch_peer_authns(object.ns);
}

// Who decides may be another one now, for all of one scope.
void World::touch_peer_authns(const std::string& ns) {
  for (const model::PeerAuthn* one : peer_authns_for(ns))
    dirty_statuses_.insert({"PeerAuthentication.security.istio.io", one->ns, one->name});
  dirty_policies_ = true;
  touch_namespace(ns, true);
}

void World::put_authorization(const source::Object& object) {
  auto decoded = istio::decode_authorization_policy(object, facts_.is_root(object.ns));
  if (!decoded) return;
  const source::ObjectKey key = object.key();
  const std::uint64_t hash = l7::content_hash(object);
  const std::uint64_t* before = find(facts_.authz_hashes, object.ns, object.name);
  const std::int64_t generation = l7::generation_of(object);
  ObjectStatus& status = statuses_[key];
  status.key = key;
  status.origin = object.origin;
  if (before != nullptr && *before == hash && status.generation == generation) return;
  status.generation = generation;
  status.conditions = decoded->conditions;
  told_.erase(key);  // the same conditions of another generation are told again
  facts_.authz_hashes[object.ns][object.name] = hash;
  facts_.authz[object.ns][object.name] = std::move(*decoded);
  dirty_policies_ = true;
  dirty_statuses_.insert(key);
  touch_namespace(object.ns, true);
  if (facts_.is_root(object.ns)) {
    planner_.touch_everything();
  } else {
    planner_.touch_namespace(object.ns);
  }
}

void World::erase(const source::ObjectKey& key) {
  if (statuses_.erase(key) != 0) dirty_statuses_.insert(key);
  if (const l7::Touched touched = objects_.erase(key, facts_.is_root(key.ns)); touched.known)
    planner_.touch(touched);
  if (key.kind == "Namespace") {
    facts_.namespaces.erase(key.name);
    planner_.touch_namespace(key.name);
    touch_namespace(key.name);
  } else if (key.kind == "Node") {
    facts_.nodes.erase(key.name);
    dirty_everything_ = true;
  } else if (key.kind == "Pod") {
    touch_pod(find(facts_.pods, key.ns, key.name));
    remove(facts_.pods, key.ns, key.name);
    dirty_pods_.insert({key.ns, key.name});
  } else if (key.kind == "Service") {
    remove(facts_.services, key.ns, key.name);
    planner_.touch_service(key.name + "." + key.ns + ".svc." +
                           facts_.options.naming.cluster_domain);
    planner_.touch_readiness();
    dirty_service_namespaces_.insert(key.ns);
    touch_namespace(key.ns);
  } else if (key.kind == "EndpointSlice.discovery.k8s.io") {
    remove(facts_.slices, key.ns, key.name);
    planner_.touch_namespace(key.ns);
    touch_namespace(key.ns);
  } else if (key.kind == "AuthorizationPolicy.security.istio.io") {
    remove(facts_.authz, key.ns, key.name);
    remove(facts_.authz_hashes, key.ns, key.name);
    if (facts_.is_root(key.ns)) {
      planner_.touch_everything();
    } else {
      planner_.touch_namespace(key.ns);
    }
    dirty_policies_ = true;
    touch_namespace(key.ns, true);
  } else if (key.kind == "PeerAuthentication.security.istio.io") {
    remove(facts_.authn, key.ns, key.name);
    touch_peer_authns(key.ns);
  }
}

std::vector<const model::PeerAuthn*> World::peer_authns_for(const std::string& ns) const {
  std::vector<const model::PeerAuthn*> out;
  for (const auto& [name, authn] : in_namespace(facts_.authn, ns)) out.push_back(&authn);
  for (const std::string& root : facts_.options.root_namespaces) {
    if (root == ns) continue;
    for (const auto& [name, authn] : in_namespace(facts_.authn, root)) out.push_back(&authn);
  }
  return out;
}

void World::translate_policies(Changes& out) {
  std::map<std::string, mesh::PolicyAction> now;
  auto add = [&](const mesh::Policy& policy) {
    now[policy.key()] = policy.action;
    out.policies.push_back(policy);
  };
  for (const auto& [ns, policies] : facts_.authz) {
    for (const auto& [name, policy] : policies) {
      if (!policy.l4) continue;
      now[policy.l4->key()] = policy.l4->action;
      out.policies.push_back(*policy.l4);
      admit_waypoints(out.policies.back());
    }
  }
  requests_policies(out, now);
  if (!facts_.authn.empty()) add(static_strict(facts_.options.root_namespaces.front()));
  for (const auto& [ns, authns] : facts_.authn) {
    const auto all = peer_authns_for(ns);
    for (const auto& [name, authn] : authns) {
      if (authn.selector.empty()) continue;
      const auto policy = port_policy(
          authn, effective_mtls({&authn}, {}, ns, authn.selector).strict ||
                     (authn.mode == model::MtlsMode::kUnset &&
                      effective_mtls(all, facts_.options.root_namespaces, ns, {}).strict));
      if (policy) add(*policy);
    }
  }
  for (const auto& [key, action] : sent_policies_) {
    if (!now.contains(key)) out.removed_policies.push_back(key);
  }
  sent_policies_ = std::move(now);
}

void World::served(const std::string& plan_id, const Progress& progress) {
  planner_.served(plan_id, progress);
}

void World::fetched(const std::string& jwks_uri, const Parsed<std::string>& jwks) {
  planner_.fetched(jwks_uri, jwks);
}

const ObjectStatus* World::status(const source::ObjectKey& key) const {
  const auto found = statuses_.find(key);
  return found == statuses_.end() ? nullptr : &found->second;
}

std::vector<ObjectStatus> World::statuses() const {
  std::vector<ObjectStatus> out;
  for (const auto& [key, status] : statuses_) out.push_back(status);
  return out;
}

std::size_t World::problems() const {
  std::size_t count = 0;
  for (const auto& [key, status] : statuses_) {
    count += static_cast<std::size_t>(
        std::count_if(status.conditions.begin(), status.conditions.end(),
                      [](const model::Condition& one) { return !one.status; }));
  }
  return count;
}

std::optional<Problem> admit(const source::Object& object) {
  auto refused = admit_mesh(object);
  return refused ? refused : source::admit_core(object);
}

}  // namespace weft::controlplane::translate
