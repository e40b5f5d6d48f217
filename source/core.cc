#include "source/core.h"

#include <algorithm>

#include "source/fields.h"

namespace weft::source {
namespace {

template <class T>
Parsed<T> finish(const Reader& reader, T value) {
  if (reader.problem()) return std::unexpected(*reader.problem());
  return value;
}

// "True" as a condition's status.
bool condition(const Field& conditions, std::string_view type) {
  bool is_true = false;
  for (const Field& one : conditions.list()) {
    if (one["type"].string() == type) is_true = one["status"].string() == "True";
  }
  return is_true;
}

std::string protocol(const Field& field) {
  const std::string name = field.string("TCP");
  if (name != "TCP" && name != "UDP" && name != "SCTP") field.refuse("must be TCP, UDP or SCTP");
  return name;
}

void add_unique(std::vector<IpAddress>& addresses, const IpAddress& address) {
  if (address.is_set() && std::find(addresses.begin(), addresses.end(), address) == addresses.end())
    addresses.push_back(address);
}

void decode_pod_status(const Field& status, Pod& pod) {
  for (const Field& one : status["podIPs"].list()) add_unique(pod.ips, one["ip"].ip());
  add_unique(pod.ips, status["podIP"].ip());
  pod.host_ip = status["hostIP"].string();
  pod.phase = status["phase"].string();
  pod.ready = condition(status["conditions"], "Ready");
}

void decode_containers(const Field& containers, Pod& pod) {
  for (const Field& container : containers.list()) {
    for (const Field& port : container["ports"].list()) {
      const std::uint16_t number = port["containerPort"].port();
      if (number == 0) port["containerPort"].refuse("is required");
      pod.ports.push_back({port["name"].string(), number, protocol(port["protocol"])});
    }
  }
}

ServicePort decode_service_port(const Field& field) {
  ServicePort port;
  port.name = field["name"].string();
  port.port = field["port"].port();
  if (port.port == 0) field["port"].refuse("is required");
  const Field target = field["targetPort"];
  if (target.is_string()) {
    port.target_name = target.string();
    if (port.target_name.empty()) target.refuse("must be a port or a port's name");
  } else {
    port.target_port = target.port(port.port);
  }
  port.protocol = protocol(field["protocol"]);
  port.app_protocol = field["appProtocol"].string();
  return port;
}

void decode_cluster_ips(const Field& spec, Service& service) {
  const Field all = spec["clusterIPs"];
  for (const Field& one : all.list()) {
    if (one.string() == "None") {
      service.headless = true;
    } else {
      add_unique(service.cluster_ips, one.ip());
    }
  }
  const Field single = spec["clusterIP"];
  if (single.string() == "None") {
    service.headless = true;
  } else if (!all.present()) {
    add_unique(service.cluster_ips, single.ip());
  }
  if (service.headless && !service.cluster_ips.empty())
    spec["clusterIP"].refuse("must not mix None and addresses");
}

Endpoint decode_endpoint(const Field& field) {
  Endpoint endpoint;
  for (const Field& one : field["addresses"].list()) add_unique(endpoint.addresses, one.ip());
  endpoint.ready = field["conditions"]["ready"].boolean(true);
  endpoint.terminating = field["conditions"]["terminating"].boolean();
  endpoint.hostname = field["hostname"].string();
  endpoint.node_name = field["nodeName"].string();
  endpoint.zone = field["zone"].string();
  endpoint.target_kind = field["targetRef"]["kind"].string();
  endpoint.target_ns = field["targetRef"]["namespace"].string();
  endpoint.target_name = field["targetRef"]["name"].string();
  return endpoint;
}

}  // namespace

Parsed<Namespace> decode_namespace(const Object& object) {
  Reader reader(object);
  const Field root = reader.root();
  Namespace out{.name = object.name, .labels = object.labels, .annotations = object.annotations};
  out.terminating = root["status"]["phase"].string() == "Terminating";
  return finish(reader, std::move(out));
}

Parsed<Pod> decode_pod(const Object& object) {
  Reader reader(object);
  const Field root = reader.root();
  const Field spec = root["spec"];
  Pod pod{.name = object.name,
          .ns = object.ns,
          .uid = object.uid,
          .labels = object.labels,
          .annotations = object.annotations};
  for (const Field& owner : root["metadata"]["ownerReferences"].list()) {
    pod.owners.push_back(
        {owner["kind"].string(), owner["name"].string(), owner["controller"].boolean()});
  }
  pod.deleting = !root["metadata"]["deletionTimestamp"].string().empty();
  pod.node_name = spec["nodeName"].string();
  pod.service_account = spec["serviceAccountName"].string(spec["serviceAccount"].string("default"));
  if (pod.service_account.empty()) pod.service_account = "default";
  pod.host_network = spec["hostNetwork"].boolean();
  pod.hostname = spec["hostname"].string();
  pod.subdomain = spec["subdomain"].string();
  decode_containers(spec["containers"], pod);
  decode_containers(spec["initContainers"], pod);
  decode_pod_status(root["status"], pod);
  return finish(reader, std::move(pod));
}

Parsed<Service> decode_service(const Object& object) {
  Reader reader(object);
  const Field root = reader.root();
  const Field spec = root["spec"];
  Service service{.name = object.name,
                  .ns = object.ns,
                  .labels = object.labels,
                  .annotations = object.annotations};
  service.type = spec["type"].string("ClusterIP");
  service.external_name = spec["externalName"].string();
  service.selector = spec["selector"].string_map();
  decode_cluster_ips(spec, service);
  for (const Field& port : spec["ports"].list()) service.ports.push_back(decode_service_port(port));
  service.publish_not_ready = spec["publishNotReadyAddresses"].boolean();
  service.internal_traffic_local = spec["internalTrafficPolicy"].string() == "Local";
  service.traffic_distribution = spec["trafficDistribution"].string();
  service.ip_families = spec["ipFamilies"].strings();
  service.ip_family_policy = spec["ipFamilyPolicy"].string();
  return finish(reader, std::move(service));
}

Parsed<ServiceAccount> decode_service_account(const Object& object) {
  return ServiceAccount{object.name, object.ns};
}

Parsed<EndpointSlice> decode_endpoint_slice(const Object& object) {
  Reader reader(object);
  const Field root = reader.root();
  EndpointSlice slice{.name = object.name, .ns = object.ns};
  const auto service = object.labels.find("kubernetes.io/service-name");
  if (service != object.labels.end()) slice.service = service->second;
  const Field type = root["addressType"];
  slice.address_type = type.string();
  if (slice.address_type != "IPv4" && slice.address_type != "IPv6" &&
      slice.address_type != "FQDN") {
    type.refuse("must be IPv4, IPv6 or FQDN");
  }
  if (slice.address_type != "FQDN") {
    for (const Field& one : root["endpoints"].list())
      slice.endpoints.push_back(decode_endpoint(one));
  }
  for (const Field& port : root["ports"].list()) {
    slice.ports.push_back({port["name"].string(), port["port"].port(), protocol(port["protocol"])});
  }
  return finish(reader, std::move(slice));
}

Parsed<Node> decode_node(const Object& object) {
  Reader reader(object);
  const Field root = reader.root();
  Node node{.name = object.name, .labels = object.labels};
  for (const Field& one : root["status"]["addresses"].list()) {
    if (const auto address = IpAddress::parse(one["address"].string()))
      add_unique(node.addresses, *address);
  }
  return finish(reader, std::move(node));
}

std::optional<Problem> admit_core(const Object& object) {
  auto judge = [](const auto& decoded) {
    return decoded ? std::nullopt : std::optional<Problem>(decoded.error());
  };
  const std::string group = object.group();
  if (group == "discovery.k8s.io" && object.kind == "EndpointSlice")
    return judge(decode_endpoint_slice(object));
  if (!group.empty()) return std::nullopt;
  if (object.kind == "Namespace") return judge(decode_namespace(object));
  if (object.kind == "Pod") return judge(decode_pod(object));
  if (object.kind == "Service") return judge(decode_service(object));
  if (object.kind == "Node") return judge(decode_node(object));
  return std::nullopt;
}

bool selects(const mesh::Labels& selector, const mesh::Labels& labels) {
  if (selector.empty()) return false;
  return std::all_of(selector.begin(), selector.end(), [&](const auto& pair) {
    const auto found = labels.find(pair.first);
    return found != labels.end() && found->second == pair.second;
  });
}

}  // namespace weft::source
