#include "controlplane/frontends/core/workloads.h"

#include <algorithm>
#include <array>
#include <initializer_list>
#include <string_view>

namespace weft::controlplane::core {
namespace {

std::string first_label(const mesh::Labels& labels, std::initializer_list<const char*> keys,
                        const std::string& otherwise) {
  for (const char* key : keys) {
    const auto found = labels.find(key);
    if (found != labels.end() && !found->second.empty()) return found->second;
  }
  return otherwise;
}

// The name that people know a pod's owner by: the Deployment behind a ReplicaSet, the CronJob
// behind a Job, else the controller, else the pod.
std::string owner_name(const source::Pod& pod) {
  for (const source::OwnerReference& owner : pod.owners) {
    if (!owner.controller) continue;
    const std::size_t dash = owner.name.rfind('-');
    if (dash == std::string::npos || dash == 0) return owner.name;
    const std::string suffix = owner.name.substr(dash + 1);
    const auto hash = pod.labels.find("pod-template-hash");
    if (owner.kind == "ReplicaSet" && hash != pod.labels.end() && hash->second == suffix)
      return owner.name.substr(0, dash);
    const bool digits =
        suffix.size() >= 8 && suffix.find_first_not_of("0123456789") == std::string::npos;
    if (owner.kind == "Job" && digits) return owner.name.substr(0, dash);
    return owner.name;
  }
  return pod.name;
}

mesh::AppProtocol app_protocol(const source::ServicePort& port) {
  using enum mesh::AppProtocol;
  static constexpr std::array<std::pair<std::string_view, mesh::AppProtocol>, 9> kWords = {
      {{"http", kHttp11},
       {"http2", kHttp2},
       {"kubernetes.io/h2c", kHttp2},
       {"grpc", kGrpc},
       {"grpc-web", kHttp11},
       {"tcp", kTcp},
       {"tls", kTls},
       {"https", kTls},
       {"kubernetes.io/wss", kTls}}};
  const std::string word =
      port.app_protocol.empty() ? port.name.substr(0, port.name.find('-')) : port.app_protocol;
  for (const auto& [name, protocol] : kWords) {
    if (word == name) return protocol;
  }
  return kUnknown;
}

mesh::LoadBalancing load_balancing(const source::Service& service) {
  using enum mesh::Scope;
  mesh::LoadBalancing out;
  const std::string wish =
      first_label(service.annotations, {"networking.istio.io/traffic-distribution"},
                  service.traffic_distribution);
  if (service.internal_traffic_local) {
    out.mode = mesh::BalanceMode::kStrict;
    out.preference = {kNode};
  } else if (wish == "PreferSameZone" || wish == "PreferClose") {
    out.mode = mesh::BalanceMode::kFailover;
    out.preference = {kNetwork, kRegion, kZone};
  } else if (wish == "PreferSameNode") {
    out.mode = mesh::BalanceMode::kFailover;
    out.preference = {kNetwork, kRegion, kZone, kSubzone, kNode};
  }
  out.allow_unhealthy = service.publish_not_ready;
  return out;
}

mesh::IpFamilies ip_families(const source::Service& service) {
  const bool v4 = std::find(service.ip_families.begin(), service.ip_families.end(), "IPv4") !=
                  service.ip_families.end();
  const bool v6 = std::find(service.ip_families.begin(), service.ip_families.end(), "IPv6") !=
                  service.ip_families.end();
  return v4 && v6 ? mesh::IpFamilies::kDual
         : v4     ? mesh::IpFamilies::kV4Only
         : v6     ? mesh::IpFamilies::kV6Only
                  : mesh::IpFamilies::kAutomatic;
}

mesh::Locality locality(const source::Node* node) {
  if (node == nullptr) return {};
  return {
      first_label(node->labels,
                  {"topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/region"},
                  ""),
      first_label(node->labels,
                  {"topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone"}, ""),
      first_label(node->labels, {"topology.istio.io/subzone"}, "")};
}

}  // namespace

std::string pod_uid(const Naming& naming, const std::string& ns, const std::string& name) {
  return naming.cluster_id + "//Pod/" + ns + "/" + name;
}

std::string service_hostname(const Naming& naming, const source::Service& service) {
  return service.name + "." + service.ns + ".svc." + naming.cluster_domain;
}

mesh::Enrollment enrollment(const source::Pod& pod, const source::Namespace* ns) {
  static const mesh::Labels kNone;
  return mesh::decide_enrollment({.pod_labels = pod.labels,
                                  .pod_annotations = pod.annotations,
                                  .namespace_labels = ns != nullptr ? ns->labels : kNone,
                                  .namespace_annotations = ns != nullptr ? ns->annotations : kNone,
                                  .host_network = pod.host_network});
}

std::optional<mesh::Workload> make_workload(const Naming& naming, const source::Pod& pod,
                                            const source::Namespace* ns, const source::Node* node) {
  if (pod.ips.empty() || pod.finished()) return std::nullopt;
  mesh::Workload out;
  out.uid = pod_uid(naming, pod.ns, pod.name);
  out.name = pod.name;
  out.ns = pod.ns;
  out.addresses = pod.ips;
  out.network = first_label(pod.labels, {"topology.istio.io/network"}, "");
  out.tunnel_protocol =
      enrollment(pod, ns).enrolled ? mesh::TunnelProtocol::kHbone : mesh::TunnelProtocol::kNone;
  out.trust_domain = naming.trust_domain;
  out.service_account = pod.service_account;
  out.node = pod.node_name;
  out.workload_type = "pod";
  out.workload_name = owner_name(pod);
  out.canonical_name =
      first_label(pod.labels, {"service.istio.io/canonical-name", "app.kubernetes.io/name", "app"},
                  out.workload_name);
  out.canonical_revision = first_label(
      pod.labels, {"service.istio.io/canonical-revision", "app.kubernetes.io/version", "version"},
      "latest");
  out.cluster_id = naming.cluster_id;
  out.healthy = pod.ready && !pod.deleting;
  out.host_network = pod.host_network;
  out.locality = locality(node);
  return out;
}

std::optional<mesh::Service> make_service(const Naming& naming, const source::Service& service) {
  if (service.type == "ExternalName") return std::nullopt;
  mesh::Service out;
  out.name = service.name;
  out.ns = service.ns;
  out.hostname = service_hostname(naming, service);
  for (const IpAddress& ip : service.cluster_ips)
    out.addresses.push_back({.network = "", .ip = ip, .length = std::nullopt});
  for (const source::ServicePort& port : service.ports) {
    if (port.protocol == "TCP")
      out.ports.push_back({port.port, port.target_port, app_protocol(port)});
  }
  out.load_balancing = load_balancing(service);
  out.ip_families = ip_families(service);
  out.canonical = true;
  return out;
}

std::vector<mesh::Port> ports_at(const source::Service& service, const source::Pod& pod) {
  std::vector<mesh::Port> out;
  for (const source::ServicePort& port : service.ports) {
    if (port.protocol != "TCP") continue;
    std::uint16_t target = port.target_port;
    for (const source::ContainerPort& container : pod.ports) {
      if (target == 0 && container.name == port.target_name && container.protocol == port.protocol)
        target = container.port;
    }
    if (target != 0) out.push_back({port.port, target, app_protocol(port)});
  }
  return out;
}

std::vector<mesh::Port> ports_at(const source::Service& service,
                                 const source::EndpointSlice& slice) {
  std::vector<mesh::Port> out;
  for (const source::ServicePort& port : service.ports) {
    if (port.protocol != "TCP") continue;
    const auto found =
        std::find_if(slice.ports.begin(), slice.ports.end(), [&](const source::EndpointPort& one) {
          return one.name == port.name && one.protocol == port.protocol;
        });
    if (found != slice.ports.end() && found->port != 0)
      out.push_back({port.port, found->port, app_protocol(port)});
  }
  return out;
}

mesh::Workload make_external_workload(const Naming& naming, const source::EndpointSlice& slice,
                                      const source::Endpoint& endpoint, const IpAddress& address) {
  mesh::Workload out;
  out.uid = naming.cluster_id + "/discovery.k8s.io/EndpointSlice/" + slice.ns + "/" + slice.name +
            "/" + address.str();
  out.name = slice.name + "-" + address.str();
  out.ns = slice.ns;
  out.addresses = {address};
  out.trust_domain = naming.trust_domain;
  out.node = endpoint.node_name;
  out.workload_name = slice.name;
  out.canonical_name = slice.service;
  out.canonical_revision = "latest";
  out.cluster_id = naming.cluster_id;
  out.healthy = endpoint.ready && !endpoint.terminating;
  out.locality.zone = endpoint.zone;
  return out;
}

}  // namespace weft::controlplane::core
