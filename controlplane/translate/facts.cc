#include "controlplane/translate/facts.h"

#include <algorithm>

#include "controlplane/translate/by_name.h"

namespace weft::controlplane::translate {
namespace {

bool has_ip(const source::Pod& pod, const std::vector<IpAddress>& addresses) {
  return std::any_of(addresses.begin(), addresses.end(), [&](const IpAddress& ip) {
    return std::find(pod.ips.begin(), pod.ips.end(), ip) != pod.ips.end();
  });
}

}  // namespace

bool Facts::is_root(const std::string& name) const {
  return std::find(options.root_namespaces.begin(), options.root_namespaces.end(), name) !=
         options.root_namespaces.end();
}

const source::Namespace* Facts::ns(const std::string& name) const {
  const auto found = namespaces.find(name);
  return found == namespaces.end() ? nullptr : &found->second;
}

std::uint64_t Facts::policy_hash(const std::string& key) const {
  const std::size_t slash = key.find('/');
  const auto* found = find(authz_hashes, key.substr(0, slash), key.substr(slash + 1));
  return found == nullptr ? 0 : *found;
}

const source::Service* Facts::service(const std::string& hostname) const {
  const std::string suffix = ".svc." + options.naming.cluster_domain;
  if (!hostname.ends_with(suffix)) return nullptr;
  const std::size_t dot = hostname.find('.');
  if (dot + suffix.size() >= hostname.size()) return nullptr;
  const std::string ns = hostname.substr(dot + 1, hostname.size() - suffix.size() - dot - 1);
  return find(services, ns, hostname.substr(0, dot));
}

std::string Facts::hostname(const source::Service& service) const {
  return core::service_hostname(options.naming, service);
}

std::vector<ServiceEndpoint> Facts::endpoints(const source::Service& service) const {
  std::vector<ServiceEndpoint> out;
  bool sliced = false;
  const auto& all_pods = in_namespace(pods, service.ns);
  for (const auto& [name, slice] : in_namespace(slices, service.ns)) {
    if (slice.service != service.name) continue;
    sliced = true;
    const std::vector<mesh::Port> ports = core::ports_at(service, slice);
    for (const source::Endpoint& one : slice.endpoints) {
      ServiceEndpoint endpoint{.ips = one.addresses,
                               .usable = one.ready && !one.terminating,
                               .node = one.node_name,
                               .zone = one.zone,
                               .ports = ports};
      for (const auto& [pod_name, pod] : all_pods) {
        const bool same =
            one.target_kind == "Pod" ? one.target_name == pod_name : has_ip(pod, one.addresses);
        if (same) endpoint.pod = &pod;
      }
      if (endpoint.pod != nullptr && endpoint.pod->finished()) continue;
      out.push_back(std::move(endpoint));
    }
  }
  if (sliced) return out;
  for (const auto& [name, pod] : all_pods) {
    if (pod.finished() || pod.ips.empty() || !source::selects(service.selector, pod.labels))
      continue;
    out.push_back({.pod = &pod,
                   .ips = pod.ips,
                   .usable = !pod.deleting && (pod.ready || service.publish_not_ready),
                   .node = pod.node_name,
                   .zone = "",
                   .ports = core::ports_at(service, pod)});
  }
  return out;
}

std::vector<std::string> Facts::services_of(const source::Pod& pod) const {
  std::vector<std::string> out;
  for (const auto& [name, service] : in_namespace(services, pod.ns)) {
    bool behind = source::selects(service.selector, pod.labels);
    for (const auto& [slice_name, slice] : in_namespace(slices, pod.ns)) {
      if (behind || slice.service != name) continue;
      behind = std::any_of(slice.endpoints.begin(), slice.endpoints.end(),
                           [&](const source::Endpoint& one) {
                             return one.target_kind == "Pod" ? one.target_name == pod.name
                                                             : has_ip(pod, one.addresses);
                           });
    }
    if (behind) out.push_back(hostname(service));
  }
  return out;
}

bool Facts::selects(const model::AuthzPolicy& policy, const source::Pod& pod) const {
  if (!policy.targets.empty()) return false;
  if (policy.ns != pod.ns && !is_root(policy.ns)) return false;
  return policy.selector.empty() || source::selects(policy.selector, pod.labels);
}

}  // namespace weft::controlplane::translate
