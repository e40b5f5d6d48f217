#include "controlplane/translate/world.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "base/assert.h"
#include "controlplane/frontends/istio/authorization.h"
#include "controlplane/frontends/istio/peer_authentication.h"
#include "controlplane/translate/mtls.h"

namespace weft::controlplane::translate {
namespace {

constexpr std::string_view kSecurity = "security.istio.io";

// Groups whose objects a user expects to do something here.
bool is_mesh_group(const std::string& group) {
  constexpr std::array<std::string_view, 5> kGroups = {"istio.io", "gateway.networking.k8s.io", "linkerd.io", "smi-spec.io",
                                                       "consul.hashicorp.com"};
  return std::any_of(kGroups.begin(), kGroups.end(), [&](std::string_view suffix) { return group.ends_with(suffix); });
}

// A member of a two-level map, or null.
template <class Map>
auto* find(Map& map, const std::string& ns, const std::string& name) {
  using Value = std::remove_reference_t<decltype((map.begin()->second.begin()->second))>;
  const auto outer = map.find(ns);
  if (outer == map.end()) return static_cast<Value*>(nullptr);
  const auto inner = outer->second.find(name);
  return inner == outer->second.end() ? nullptr : &inner->second;
}

template <class Map>
void remove(Map& map, const std::string& ns, const std::string& name) {
  const auto outer = map.find(ns);
  if (outer == map.end()) return;
  outer->second.erase(name);
  if (outer->second.empty()) map.erase(outer);
}

template <class Map>
const auto& in_namespace(const Map& map, const std::string& ns) {
  static const typename Map::mapped_type kNone;
  const auto found = map.find(ns);
  return found == map.end() ? kNone : found->second;
}

}  // namespace

World::World(Options options) : options_(std::move(options)) { WEFT_ASSERT(!options_.root_namespaces.empty()); }

bool World::is_root(const std::string& ns) const {
  return std::find(options_.root_namespaces.begin(), options_.root_namespaces.end(), ns) != options_.root_namespaces.end();
}

void World::touch_namespace(const std::string& ns, bool is_policy) {
  if (is_policy && is_root(ns)) dirty_everything_ = true;
  dirty_namespaces_.insert(ns);
}

Changes World::apply(const source::Batch& batch) {
  placements_.clear();
  for (const source::ObjectKey& key : batch.deletes) erase(key);
  for (const source::ObjectPtr& object : batch.upserts) put(*object);
  if (dirty_everything_) {
    for (const auto& [ns, pods] : pods_) dirty_namespaces_.insert(ns);
  }
  Changes out;
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
  if (key.kind == "Namespace") {
    if (auto decoded = source::decode_namespace(object)) namespaces_[object.name] = std::move(*decoded);
    touch_namespace(object.name);
  } else if (key.kind == "Node") {
    // A node reports its status all the time; its pods only care for its labels.
    const auto known = nodes_.find(object.name);
    dirty_everything_ = dirty_everything_ || known == nodes_.end() || known->second.labels != object.labels;
    if (auto decoded = source::decode_node(object)) nodes_[object.name] = std::move(*decoded);
  } else if (key.kind == "Pod") {
    if (auto decoded = source::decode_pod(object)) pods_[ns][object.name] = std::move(*decoded);
    dirty_pods_.insert({ns, object.name});
  } else if (key.kind == "Service") {
    if (auto decoded = source::decode_service(object)) services_[ns][object.name] = std::move(*decoded);
    dirty_service_namespaces_.insert(ns);
    touch_namespace(ns);
  } else if (key.kind == "EndpointSlice.discovery.k8s.io") {
    if (auto decoded = source::decode_endpoint_slice(object)) slices_[ns][object.name] = std::move(*decoded);
    touch_namespace(ns);
  } else if (key.kind == "AuthorizationPolicy.security.istio.io") {
    if (auto decoded = istio::decode_authorization_policy(object, is_root(ns))) {
      statuses_[key] = {key, object.origin, decoded->conditions};
      authz_[ns][object.name] = std::move(*decoded);
    }
    dirty_policies_ = true;
    touch_namespace(ns, true);
  } else if (key.kind == "PeerAuthentication.security.istio.io") {
    if (auto decoded = istio::decode_peer_authentication(object)) {
      statuses_[key] = {key, object.origin, {{"ZtunnelAccepted", true, "Accepted", "attached to ztunnel"}}};
      authn_[ns][object.name] = std::move(*decoded);
    }
    dirty_policies_ = true;
    touch_namespace(ns, true);
  } else if (is_mesh_group(object.group())) {
    statuses_[key] = {key, object.origin, {{"Accepted", false, "UnsupportedKind", "this build does not act on " + key.kind}}};
  }
}

void World::erase(const source::ObjectKey& key) {
  statuses_.erase(key);
  if (key.kind == "Namespace") {
    namespaces_.erase(key.name);
    touch_namespace(key.name);
  } else if (key.kind == "Node") {
    nodes_.erase(key.name);
    dirty_everything_ = true;
  } else if (key.kind == "Pod") {
    remove(pods_, key.ns, key.name);
    dirty_pods_.insert({key.ns, key.name});
  } else if (key.kind == "Service") {
    remove(services_, key.ns, key.name);
    dirty_service_namespaces_.insert(key.ns);
    touch_namespace(key.ns);
  } else if (key.kind == "EndpointSlice.discovery.k8s.io") {
    remove(slices_, key.ns, key.name);
    touch_namespace(key.ns);
  } else if (key.kind == "AuthorizationPolicy.security.istio.io") {
    remove(authz_, key.ns, key.name);
    dirty_policies_ = true;
    touch_namespace(key.ns, true);
  } else if (key.kind == "PeerAuthentication.security.istio.io") {
    remove(authn_, key.ns, key.name);
    dirty_policies_ = true;
    touch_namespace(key.ns, true);
  }
}

std::vector<const model::PeerAuthn*> World::peer_authns_for(const std::string& ns) const {
  std::vector<const model::PeerAuthn*> out;
  for (const auto& [name, authn] : in_namespace(authn_, ns)) out.push_back(&authn);
  for (const std::string& root : options_.root_namespaces) {
    if (root == ns) continue;
    for (const auto& [name, authn] : in_namespace(authn_, root)) out.push_back(&authn);
  }
  return out;
}

void World::translate_policies(Changes& out) {
  std::map<std::string, mesh::PolicyAction> now;
  auto add = [&](const mesh::Policy& policy) {
    now[policy.key()] = policy.action;
    out.policies.push_back(policy);
  };
  for (const auto& [ns, policies] : authz_) {
    for (const auto& [name, policy] : policies) {
      if (policy.l4) add(*policy.l4);
    }
  }
  if (!authn_.empty()) add(static_strict(options_.root_namespaces.front()));
  for (const auto& [ns, authns] : authn_) {
    const auto all = peer_authns_for(ns);
    for (const auto& [name, authn] : authns) {
      if (authn.selector.empty()) continue;
      const auto policy = port_policy(authn, effective_mtls({&authn}, {}, ns, authn.selector).strict ||
                                                 (authn.mode == model::MtlsMode::kUnset && effective_mtls(all, options_.root_namespaces, ns, {}).strict));
      if (policy) add(*policy);
    }
  }
  for (const auto& [key, action] : sent_policies_) {
    if (!now.contains(key)) out.removed_policies.push_back(key);
  }
  sent_policies_ = std::move(now);
}

void World::translate_services(Changes& out) {
  for (const std::string& ns : dirty_service_namespaces_) {
    std::set<std::string> now;
    for (const auto& [name, service] : in_namespace(services_, ns)) {
      auto made = core::make_service(options_.naming, service);
      if (!made) continue;
      now.insert(made->key());
      out.services.push_back(std::move(*made));
    }
    for (const std::string& key : sent_services_[ns]) {
      if (!now.contains(key)) out.removed_services.push_back(key);
    }
    sent_services_[ns] = std::move(now);
  }
}

void World::translate_workloads(Changes& out) {
  for (const std::string& ns : dirty_namespaces_) {
    for (const auto& [name, pod] : in_namespace(pods_, ns)) dirty_pods_.insert({ns, name});
  }
  for (const auto& [ns, name] : dirty_pods_) dirty_namespaces_.insert(ns);
  auto pod = dirty_pods_.begin();  // ordered by namespace, as the set of namespaces is
  for (const std::string& ns : dirty_namespaces_) {
    const View view = view_of(ns);
    for (; pod != dirty_pods_.end() && pod->first == ns; ++pod) translate_pod(view, ns, pod->second, out);
    external_endpoints(view, ns, out);
  }
}

World::View World::view_of(const std::string& ns) const {
  View view;
  const auto found = namespaces_.find(ns);
  if (found != namespaces_.end()) view.ns = &found->second;
  std::map<std::string, std::vector<const source::EndpointSlice*>> slices;
  for (const auto& [name, slice] : in_namespace(slices_, ns)) slices[slice.service].push_back(&slice);
  for (const auto& [name, service] : in_namespace(services_, ns)) {
    if (service.type == "ExternalName") continue;
    view.services.push_back({&service, ns + "/" + core::service_hostname(options_.naming, service), std::move(slices[name])});
  }
  auto add_policies = [&](const std::string& from) {
    for (const auto& [name, policy] : in_namespace(authz_, from)) {
      const bool for_some = policy.targets.empty() ? !policy.selector.empty() : from == ns;
      if (policy.l4 && for_some) view.policies.push_back(&policy);
    }
  };
  add_policies(ns);
  for (const std::string& root : options_.root_namespaces) {
    if (root != ns) add_policies(root);
  }
  view.authns = peer_authns_for(ns);
  return view;
}

void World::translate_pod(const View& view, const std::string& ns, const std::string& name, Changes& out) {
  const source::Pod* pod = find(pods_, ns, name);
  const bool alive = pod != nullptr && !pod->finished();
  placements_.push_back({ns + "/" + name, alive ? pod->node_name : "", ns, alive ? pod->service_account : ""});
  std::optional<mesh::Workload> workload;
  if (pod != nullptr) {
    const auto of_node = nodes_.find(pod->node_name);
    workload = core::make_workload(options_.naming, *pod, view.ns, of_node == nodes_.end() ? nullptr : &of_node->second);
  }
  if (!workload) {
    if (const std::string* sent = find(sent_pods_, ns, name)) {
      out.removed_workloads.push_back(*sent);
      remove(sent_pods_, ns, name);
    }
    return;
  }
  add_services(view, *pod, *workload);
  add_policies(view, *pod, *workload);
  sent_pods_[ns][name] = workload->uid;
  out.workloads.push_back(std::move(*workload));
}

void World::add_services(const View& view, const source::Pod& pod, mesh::Workload& workload) const {
  auto is_this_pod = [&](const source::Endpoint& endpoint) {
    if (endpoint.target_kind == "Pod") return endpoint.target_name == pod.name;
    return std::any_of(endpoint.addresses.begin(), endpoint.addresses.end(),
                       [&](const IpAddress& ip) { return std::find(pod.ips.begin(), pod.ips.end(), ip) != pod.ips.end(); });
  };
  for (const View::OfService& one : view.services) {
    for (const source::EndpointSlice* slice : one.slices) {
      if (!std::any_of(slice->endpoints.begin(), slice->endpoints.end(), is_this_pod)) continue;
      workload.services[one.key] = core::ports_at(*one.service, *slice);
    }
    if (one.slices.empty() && source::selects(one.service->selector, pod.labels)) {
      workload.services[one.key] = core::ports_at(*one.service, pod);
    }
  }
}

bool World::is_target(const model::AuthzPolicy& policy, const mesh::Workload& workload) const {
  return std::any_of(policy.targets.begin(), policy.targets.end(), [&](const model::TargetRef& target) {
    if (target.kind != "Service" || !target.group.empty()) return false;
    const source::Service* service = find(services_, policy.ns, target.name);
    return service != nullptr && workload.services.contains(policy.ns + "/" + core::service_hostname(options_.naming, *service));
  });
}

void World::add_policies(const View& view, const source::Pod& pod, mesh::Workload& workload) const {
  for (const model::AuthzPolicy* policy : view.policies) {
    const bool applies = policy->targets.empty() ? source::selects(policy->selector, pod.labels) : is_target(*policy, workload);
    if (applies) workload.authorization_policies.push_back(policy->l4->key());
  }
  const Mtls mtls = effective_mtls(view.authns, options_.root_namespaces, pod.ns, pod.labels);
  const auto by_port = mtls.by_workload != nullptr ? port_policy(*mtls.by_workload, mtls.strict) : std::nullopt;
  if (by_port) workload.authorization_policies.push_back(by_port->key());
  if (mtls.strict && !by_port) {
    workload.authorization_policies.push_back(options_.root_namespaces.front() + "/" + kStaticStrictName);
  }
  std::sort(workload.authorization_policies.begin(), workload.authorization_policies.end());
}

void World::external_endpoints(const View& view, const std::string& ns, Changes& out) {
  std::map<std::string, mesh::Workload> now;
  std::set<IpAddress> pod_ips;
  auto is_pod = [&](const IpAddress& ip) {  // gathered when it is first asked
    if (pod_ips.empty()) {
      for (const auto& [name, pod] : in_namespace(pods_, ns)) pod_ips.insert(pod.ips.begin(), pod.ips.end());
    }
    return pod_ips.contains(ip);
  };
  for (const View::OfService& one : view.services) {
    for (const source::EndpointSlice* slice : one.slices) {
      for (const source::Endpoint& endpoint : slice->endpoints) {
        if (endpoint.target_kind == "Pod") continue;
        for (const IpAddress& ip : endpoint.addresses) {
          if (is_pod(ip)) continue;
          mesh::Workload workload = core::make_external_workload(options_.naming, *slice, endpoint, ip);
          workload.services[one.key] = core::ports_at(*one.service, *slice);
          now.insert_or_assign(workload.uid, std::move(workload));
        }
      }
    }
  }
  std::set<std::string>& sent = sent_external_[ns];
  for (const std::string& uid : sent) {
    if (!now.contains(uid)) out.removed_workloads.push_back(uid);
  }
  sent.clear();
  for (auto& [uid, workload] : now) {
    sent.insert(uid);
    out.workloads.push_back(std::move(workload));
  }
  if (sent.empty()) sent_external_.erase(ns);
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
        std::count_if(status.conditions.begin(), status.conditions.end(), [](const model::Condition& one) { return !one.status; }));
  }
  return count;
}

std::optional<Problem> admit(const source::Object& object) {
  if (object.group() == kSecurity && object.kind == "AuthorizationPolicy") {
    const auto decoded = istio::decode_authorization_policy(object, false);
    return decoded ? std::nullopt : std::optional(decoded.error());
  }
  if (object.group() == kSecurity && object.kind == "PeerAuthentication") {
    const auto decoded = istio::decode_peer_authentication(object);
    return decoded ? std::nullopt : std::optional(decoded.error());
  }
  return source::admit_core(object);
}

}  // namespace weft::controlplane::translate
