// World's second half: services and pods to model, with what a namespace's pods share gathered
// once.
#include <algorithm>
#include <optional>
#include <utility>

#include "controlplane/translate/by_name.h"
#include "controlplane/translate/mtls.h"
#include "controlplane/translate/world.h"

namespace weft::controlplane::translate {

void World::translate_services(Changes& out) {
  for (const std::string& ns : dirty_service_namespaces_) {
    std::set<std::string> now;
    for (const auto& [name, service] : in_namespace(facts_.services, ns)) {
      auto made = core::make_service(facts_.options.naming, service);
      if (!made) continue;
      show_waypoint(*made);
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
    for (const auto& [name, pod] : in_namespace(facts_.pods, ns)) dirty_pods_.insert({ns, name});
  }
  for (const auto& [ns, name] : dirty_pods_) dirty_namespaces_.insert(ns);
  auto pod = dirty_pods_.begin();  // ordered by namespace, as the set of namespaces is
  for (const std::string& ns : dirty_namespaces_) {
    const View view = view_of(ns);
    for (; pod != dirty_pods_.end() && pod->first == ns; ++pod)
      translate_pod(view, ns, pod->second, out);
    external_endpoints(view, ns, out);
  }
}

World::View World::view_of(const std::string& ns) const {
  View view;
  const auto found = facts_.namespaces.find(ns);
  if (found != facts_.namespaces.end()) view.ns = &found->second;
  std::map<std::string, std::vector<const source::EndpointSlice*>> slices;
  for (const auto& [name, slice] : in_namespace(facts_.slices, ns))
    slices[slice.service].push_back(&slice);
  for (const auto& [name, service] : in_namespace(facts_.services, ns)) {
    if (service.type == "ExternalName") continue;
    view.services.push_back({&service,
                             ns + "/" + core::service_hostname(facts_.options.naming, service),
                             std::move(slices[name])});
  }
  auto add_policies = [&](const std::string& from) {
    for (const auto& [name, policy] : in_namespace(facts_.authz, from)) {
      const bool for_some = policy.targets.empty() ? !policy.selector.empty() : from == ns;
      if (policy.l4 && for_some) view.policies.push_back(&policy);
    }
  };
  add_policies(ns);
  for (const std::string& root : facts_.options.root_namespaces) {
    if (root != ns) add_policies(root);
  }
  view.authns = peer_authns_for(ns);
  return view;
}

void World::translate_pod(const View& view, const std::string& ns, const std::string& name,
                          Changes& out) {
  const source::Pod* pod = find(facts_.pods, ns, name);
  const bool alive = pod != nullptr && !pod->finished();
  placements_.push_back({ns + "/" + name, alive ? pod->node_name : "", ns,
                         alive ? pod->service_account : "", alive ? pod->uid : ""});
  std::optional<mesh::Workload> workload;
  if (pod != nullptr) {
    const auto of_node = facts_.nodes.find(pod->node_name);
    workload = core::make_workload(facts_.options.naming, *pod, view.ns,
                                   of_node == facts_.nodes.end() ? nullptr : &of_node->second);
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
  // PROXY protocol to the Envoy in the pod: CONTRACT of a waypoint's bootstrap.
  if (pod->labels.contains("weft.dev/waypoint"))
    workload->application_tunnel = mesh::ApplicationTunnel{.proxy_protocol = true, .port = 15089};
  sent_pods_[ns][name] = workload->uid;
  out.workloads.push_back(std::move(*workload));
}

void World::add_services(const View& view, const source::Pod& pod, mesh::Workload& workload) const {
  auto is_this_pod = [&](const source::Endpoint& endpoint) {
    if (endpoint.target_kind == "Pod") return endpoint.target_name == pod.name;
    return std::any_of(endpoint.addresses.begin(), endpoint.addresses.end(),
                       [&](const IpAddress& ip) {
                         return std::find(pod.ips.begin(), pod.ips.end(), ip) != pod.ips.end();
                       });
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
  return std::any_of(
      policy.targets.begin(), policy.targets.end(), [&](const model::TargetRef& target) {
        if (target.kind != "Service" || !target.group.empty()) return false;
        const source::Service* service = find(facts_.services, policy.ns, target.name);
        return service != nullptr &&
               workload.services.contains(policy.ns + "/" +
                                          core::service_hostname(facts_.options.naming, *service));
      });
}

namespace {

// A pod that the control plane made for a gateway. Who comes to it comes from outside, in plain
// text or with TLS of his own; its Envoy has the policies that apply to it (l7/gateway_plan.cc).
bool is_edge(const source::Pod& pod) {
  const auto gateway = pod.labels.find("weft.dev/gateway");
  const auto manager = pod.labels.find("app.kubernetes.io/managed-by");
  return gateway != pod.labels.end() && gateway->second == pod.service_account &&
         manager != pod.labels.end() && manager->second == "weft-controlplane";
}

}  // namespace

void World::add_policies(const View& view, const source::Pod& pod, mesh::Workload& workload) const {
  if (is_edge(pod)) return;
  for (const model::AuthzPolicy* policy : view.policies) {
    const bool applies = policy->targets.empty() ? source::selects(policy->selector, pod.labels)
                                                 : is_target(*policy, workload);
    if (applies) workload.authorization_policies.push_back(policy->l4->key());
  }
  const Mtls mtls = effective_mtls(view.authns, facts_.options.root_namespaces, pod.ns, pod.labels);
  const auto by_port =
      mtls.by_workload != nullptr ? port_policy(*mtls.by_workload, mtls.strict) : std::nullopt;
  if (by_port) workload.authorization_policies.push_back(by_port->key());
  if (mtls.strict && !by_port) {
    workload.authorization_policies.push_back(facts_.options.root_namespaces.front() + "/" +
                                              kStaticStrictName);
  }
  guard_requests(workload);
  std::sort(workload.authorization_policies.begin(), workload.authorization_policies.end());
}

void World::external_endpoints(const View& view, const std::string& ns, Changes& out) {
  std::map<std::string, mesh::Workload> now;
  std::set<IpAddress> pod_ips;
  auto is_pod = [&](const IpAddress& ip) {  // gathered when it is first asked
    if (pod_ips.empty()) {
      for (const auto& [name, pod] : in_namespace(facts_.pods, ns))
        pod_ips.insert(pod.ips.begin(), pod.ips.end());
    }
    return pod_ips.contains(ip);
  };
  for (const View::OfService& one : view.services) {
    for (const source::EndpointSlice* slice : one.slices) {
      for (const source::Endpoint& endpoint : slice->endpoints) {
        if (endpoint.target_kind == "Pod") continue;
        for (const IpAddress& ip : endpoint.addresses) {
          if (is_pod(ip)) continue;
          mesh::Workload workload =
              core::make_external_workload(facts_.options.naming, *slice, endpoint, ip);
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

}  // namespace weft::controlplane::translate
