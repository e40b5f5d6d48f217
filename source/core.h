// core v1 (and discovery v1) as small structs: the fields that the agent and the control plane look
// at, nothing more. decode_x() reads an Object of that kind; an error names file, line, field and
// value. Fields of no interest are ignored, as an API server has already judged them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/net.h"
#include "base/result.h"
#include "mesh/labels.h"
#include "source/object.h"

namespace weft::source {

struct Namespace {
  std::string name;
  mesh::Labels labels, annotations;
  bool terminating = false;
};

struct OwnerReference {
  std::string kind, name;
  bool controller = false;
};

struct ContainerPort {
  std::string name;
  std::uint16_t port = 0;
  std::string protocol = "TCP";
};

struct Pod {
  std::string name, ns, uid;
  mesh::Labels labels, annotations;
  std::vector<OwnerReference> owners;
  std::string node_name;
  std::string service_account = "default";
  bool host_network = false;
  std::string hostname, subdomain;
  std::vector<ContainerPort> ports;  // of all containers
  std::vector<IpAddress> ips;        // status.podIPs, else status.podIP
  std::string host_ip;
  std::string phase;      // Pending Running Succeeded Failed Unknown, or ""
  bool ready = false;     // condition Ready is True
  bool deleting = false;  // metadata.deletionTimestamp is set

  bool finished() const { return phase == "Succeeded" || phase == "Failed"; }
};

struct ServicePort {
  std::string name;
  std::uint16_t port = 0;
  std::uint16_t target_port = 0;  // 0: `target_name` decides
  std::string target_name;
  std::string protocol = "TCP";
  std::string app_protocol;
};

struct Service {
  std::string name, ns;
  mesh::Labels labels, annotations;
  std::string type = "ClusterIP";
  std::string external_name;
  mesh::Labels selector;
  std::vector<IpAddress> cluster_ips;  // empty: headless, or not yet allocated
  bool headless = false;               // clusterIP: None
  std::vector<ServicePort> ports;
  bool publish_not_ready = false;
  bool internal_traffic_local = false;  // internalTrafficPolicy: Local
  std::string traffic_distribution;     // PreferSameZone PreferClose PreferSameNode, or ""
  std::vector<std::string> ip_families;
  std::string ip_family_policy;
};

struct ServiceAccount {
  std::string name, ns;
};

struct Endpoint {
  std::vector<IpAddress> addresses;
  bool ready = true;  // absent means ready
  bool terminating = false;
  std::string hostname, node_name, zone;
  std::string target_kind, target_ns, target_name;
};
struct EndpointPort {
  std::string name;
  std::uint16_t port = 0;
  std::string protocol = "TCP";
};
struct EndpointSlice {
  std::string name, ns;
  std::string service;  // label kubernetes.io/service-name
  std::string address_type;
  std::vector<Endpoint> endpoints;
  std::vector<EndpointPort> ports;
};

struct Node {
  std::string name;
  mesh::Labels labels;
  std::vector<IpAddress> addresses;  // status.addresses that are addresses
};

Parsed<Namespace> decode_namespace(const Object& object);
Parsed<Pod> decode_pod(const Object& object);
Parsed<Service> decode_service(const Object& object);
Parsed<ServiceAccount> decode_service_account(const Object& object);
Parsed<EndpointSlice> decode_endpoint_slice(const Object& object);
Parsed<Node> decode_node(const Object& object);

// Decodes whatever core kind it is; nothing for kinds that core does not know. Fits
// FilesOptions::admit.
std::optional<Problem> admit_core(const Object& object);

// True when every pair of `selector` is in `labels`. An empty selector selects nothing, as a
// Service's.
bool selects(const mesh::Labels& selector, const mesh::Labels& labels);

}  // namespace weft::source
