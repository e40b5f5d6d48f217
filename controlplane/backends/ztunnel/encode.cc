#include "controlplane/backends/ztunnel/encode.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <array>
#include <cstdio>

#include "mesh/labels.h"
#include "source/object.h"
#include "weft/authorization.pb.h"
#include "weft/extension.pb.h"
#include "weft/workload.pb.h"

namespace weft::controlplane::ztunnel {
namespace {

namespace wire = ::istio::workload;
namespace authz = ::istio::security;

std::string octets(const IpAddress& ip) {
  return {reinterpret_cast<const char*>(ip.bytes().data()), ip.bytes().size()};
}

void encode(const mesh::NetworkAddress& address, wire::NetworkAddress& out) {
  out.set_network(address.network);
  out.set_address(octets(address.ip));
  if (address.length) out.set_length(*address.length);
}

void encode(const mesh::GatewayAddress& gateway, wire::GatewayAddress& out) {
  if (const auto* name = std::get_if<mesh::NamespacedHostname>(&gateway.destination)) {
    out.mutable_hostname()->set_namespace_(name->ns);
    out.mutable_hostname()->set_hostname(name->hostname);
  } else {
    encode(std::get<mesh::NetworkAddress>(gateway.destination), *out.mutable_address());
  }
  out.set_hbone_mtls_port(gateway.hbone_mtls_port);
}

void encode(const mesh::Port& port, wire::Port& out) {
  out.set_service_port(port.service_port);
  out.set_target_port(port.target_port);
  switch (port.app_protocol) {
    case mesh::AppProtocol::kUnknown:
      out.set_app_protocol(wire::UNKNOWN);
      break;
    case mesh::AppProtocol::kHttp11:
      out.set_app_protocol(wire::HTTP11);
      break;
    case mesh::AppProtocol::kHttp2:
      out.set_app_protocol(wire::HTTP2);
      break;
    case mesh::AppProtocol::kGrpc:
      out.set_app_protocol(wire::GRPC);
      break;
    case mesh::AppProtocol::kTcp:
      out.set_app_protocol(wire::TCP);
      break;
    case mesh::AppProtocol::kTls:
      out.set_app_protocol(wire::TLS);
      break;
  }
}

wire::WorkloadType workload_type(const std::string& type) {
  if (type == "deployment") return wire::DEPLOYMENT;
  if (type == "cronjob") return wire::CRONJOB;
  if (type == "job") return wire::JOB;
  return wire::POD;
}

void encode(const mesh::LoadBalancing& balancing, wire::LoadBalancing& out) {
  for (const mesh::Scope scope : balancing.preference) {
    switch (scope) {
      case mesh::Scope::kRegion:
        out.add_routing_preference(wire::LoadBalancing::REGION);
        break;
      case mesh::Scope::kZone:
        out.add_routing_preference(wire::LoadBalancing::ZONE);
        break;
      case mesh::Scope::kSubzone:
        out.add_routing_preference(wire::LoadBalancing::SUBZONE);
        break;
      case mesh::Scope::kNode:
        out.add_routing_preference(wire::LoadBalancing::NODE);
        break;
      case mesh::Scope::kCluster:
        out.add_routing_preference(wire::LoadBalancing::CLUSTER);
        break;
      case mesh::Scope::kNetwork:
        out.add_routing_preference(wire::LoadBalancing::NETWORK);
        break;
    }
  }
  switch (balancing.mode) {
    case mesh::BalanceMode::kStandard:
      out.set_mode(wire::LoadBalancing::UNSPECIFIED_MODE);
      break;
    case mesh::BalanceMode::kStrict:
      out.set_mode(wire::LoadBalancing::STRICT);
      break;
    case mesh::BalanceMode::kFailover:
      out.set_mode(wire::LoadBalancing::FAILOVER);
      break;
    case mesh::BalanceMode::kPassthrough:
      out.set_mode(wire::LoadBalancing::PASSTHROUGH);
      break;
  }
  if (balancing.allow_unhealthy) out.set_health_policy(wire::LoadBalancing::ALLOW_ALL);
}

wire::IPFamilies ip_families(mesh::IpFamilies families) {
  switch (families) {
    case mesh::IpFamilies::kAutomatic:
      return wire::AUTOMATIC;
    case mesh::IpFamilies::kV4Only:
      return wire::IPV4_ONLY;
    case mesh::IpFamilies::kV6Only:
      return wire::IPV6_ONLY;
    case mesh::IpFamilies::kDual:
      return wire::DUAL;
  }
  return wire::AUTOMATIC;
}

void encode(const mesh::StringMatch& match, authz::StringMatch& out) {
  switch (match.kind) {
    case mesh::StringMatch::Kind::kExact:
      out.set_exact(match.value);
      break;
    case mesh::StringMatch::Kind::kPrefix:
      out.set_prefix(match.value);
      break;
    case mesh::StringMatch::Kind::kSuffix:
      out.set_suffix(match.value);
      break;
    case mesh::StringMatch::Kind::kPresence:
      out.mutable_presence();
      break;
  }
}
void encode(const Cidr& block, authz::Address& out) {
  out.set_address(octets(block.base));
  out.set_length(block.length);
}
void encode(const mesh::ServiceAccountMatch& match, authz::ServiceAccountMatch& out) {
  out.set_namespace_(match.ns);
  out.set_serviceaccount(match.service_account);
}

void encode(const mesh::Match& match, authz::Match& out) {
  for (const auto& one : match.namespaces) encode(one, *out.add_namespaces());
  for (const auto& one : match.not_namespaces) encode(one, *out.add_not_namespaces());
  for (const auto& one : match.principals) encode(one, *out.add_principals());
  for (const auto& one : match.not_principals) encode(one, *out.add_not_principals());
  for (const auto& one : match.source_ips) encode(one, *out.add_source_ips());
  for (const auto& one : match.not_source_ips) encode(one, *out.add_not_source_ips());
  for (const auto& one : match.destination_ips) encode(one, *out.add_destination_ips());
  for (const auto& one : match.not_destination_ips) encode(one, *out.add_not_destination_ips());
  for (const auto& one : match.destination_ports) out.add_destination_ports(one);
  for (const auto& one : match.not_destination_ports) out.add_not_destination_ports(one);
  for (const auto& one : match.service_accounts) encode(one, *out.add_service_accounts());
  for (const auto& one : match.not_service_accounts) encode(one, *out.add_not_service_accounts());
}

// Maps in key order: equal content, equal bytes, equal version.
template <class Message>
xds::ResourcePtr finish(const char* type, const Message& message, xds::Resource resource) {
  resource.type = type;
  {
    google::protobuf::io::StringOutputStream raw(&resource.body);
    google::protobuf::io::CodedOutputStream coded(&raw);
    coded.SetSerializationDeterministic(true);
    message.SerializeToCodedStream(&coded);
  }
  std::array<char, 17> text{};
  std::snprintf(text.data(), text.size(), "%016llx",
                static_cast<unsigned long long>(source::path_hash(resource.body)));
  resource.version = text.data();
  return std::make_shared<const xds::Resource>(std::move(resource));
}

std::string alias(const std::string& network, const IpAddress& ip) {
  return network + "/" + ip.str();
}

}  // namespace

void encode(const mesh::Workload& workload, wire::Address& address) {
  wire::Workload& out = *address.mutable_workload();
  out.set_uid(workload.uid);
  out.set_name(workload.name);
  out.set_namespace_(workload.ns);
  for (const IpAddress& ip : workload.addresses) out.add_addresses(octets(ip));
  out.set_network(workload.network);
  out.set_tunnel_protocol(workload.tunnel_protocol == mesh::TunnelProtocol::kHbone ? wire::HBONE
                                                                                   : wire::NONE);
  out.set_trust_domain(workload.trust_domain);
  out.set_service_account(workload.service_account);
  if (workload.waypoint) encode(*workload.waypoint, *out.mutable_waypoint());
  if (workload.network_gateway) encode(*workload.network_gateway, *out.mutable_network_gateway());
  out.set_node(workload.node);
  out.set_canonical_name(workload.canonical_name);
  out.set_canonical_revision(workload.canonical_revision);
  out.set_workload_type(workload_type(workload.workload_type));
  out.set_workload_name(workload.workload_name);
  out.set_native_tunnel(workload.native_tunnel);
  for (const std::string& policy : workload.authorization_policies)
    out.add_authorization_policies(policy);
  out.set_status(workload.healthy ? wire::HEALTHY : wire::UNHEALTHY);
  out.set_cluster_id(workload.cluster_id);
  out.set_hostname(workload.hostname);
  for (const auto& [key, ports] : workload.services) {
    wire::PortList& list = (*out.mutable_services())[key];
    for (const mesh::Port& port : ports) encode(port, *list.add_ports());
  }
  if (workload.application_tunnel) {
    out.mutable_application_tunnel()->set_protocol(workload.application_tunnel->proxy_protocol
                                                       ? wire::ApplicationTunnel::PROXY
                                                       : wire::ApplicationTunnel::NONE);
    out.mutable_application_tunnel()->set_port(workload.application_tunnel->port);
  }
  const mesh::Locality& locality = workload.locality;
  if (!locality.region.empty() || !locality.zone.empty() || !locality.subzone.empty()) {
    out.mutable_locality()->set_region(locality.region);
    out.mutable_locality()->set_zone(locality.zone);
    out.mutable_locality()->set_subzone(locality.subzone);
  }
  out.set_network_mode(workload.host_network ? wire::HOST_NETWORK : wire::STANDARD);
  if (workload.capacity != 1) out.mutable_capacity()->set_value(workload.capacity);
}

void encode(const mesh::Service& service, wire::Address& address) {
  wire::Service& out = *address.mutable_service();
  out.set_name(service.name);
  out.set_namespace_(service.ns);
  out.set_hostname(service.hostname);
  for (const mesh::NetworkAddress& vip : service.addresses) encode(vip, *out.add_addresses());
  for (const mesh::Port& port : service.ports) encode(port, *out.add_ports());
  for (const std::string& name : service.subject_alt_names) out.add_subject_alt_names(name);
  if (service.waypoint) encode(*service.waypoint, *out.mutable_waypoint());
  for (const mesh::WeightedWaypoint& weighted : service.weighted_waypoints) {
    wire::WeightedWaypoint& entry = *out.add_weighted_waypoints();
    encode(weighted.destination, *entry.mutable_destination());
    entry.set_weight(weighted.weight);
  }
  if (service.waypoint_ports) {
    ::weft::WaypointPorts ports;
    for (const std::uint16_t port : *service.waypoint_ports) ports.add_ports(port);
    wire::Extension& extension = *out.add_extensions();
    extension.set_name(std::string(mesh::kWaypointPortsExtension));
    extension.mutable_config()->PackFrom(ports);
  }
  const mesh::LoadBalancing& balancing = service.load_balancing;
  if (balancing.mode != mesh::BalanceMode::kStandard || balancing.allow_unhealthy)
    encode(balancing, *out.mutable_load_balancing());
  out.set_ip_families(ip_families(service.ip_families));
  out.set_canonical(service.canonical);
  out.set_visibility(service.namespace_private ? wire::NAMESPACE : wire::PUBLIC);
}

void encode(const mesh::Policy& policy, authz::Authorization& out) {
  out.set_name(policy.name);
  out.set_namespace_(policy.ns);
  switch (policy.scope) {
    case mesh::PolicyScope::kGlobal:
      out.set_scope(authz::GLOBAL);
      break;
    case mesh::PolicyScope::kNamespace:
      out.set_scope(authz::NAMESPACE);
      break;
    case mesh::PolicyScope::kWorkloadSelector:
      out.set_scope(authz::WORKLOAD_SELECTOR);
      break;
  }
  out.set_action(policy.action == mesh::PolicyAction::kAllow ? authz::ALLOW : authz::DENY);
  for (const mesh::Rule& rule : policy.rules) {
    authz::Rule& wire_rule = *out.add_rules();
    for (const mesh::Clause& clause : rule.clauses) {
      authz::Clause& wire_clause = *wire_rule.add_clauses();
      for (const mesh::Match& match : clause.matches) encode(match, *wire_clause.add_matches());
    }
  }
  out.set_dry_run(policy.dry_run);
}

xds::ResourcePtr make_resource(const mesh::Workload& workload) {
  wire::Address address;
  encode(workload, address);
  xds::Resource resource{.name = workload.uid};
  if (!workload.host_network) {
    for (const IpAddress& ip : workload.addresses)
      resource.aliases.push_back(alias(workload.network, ip));
  }
  if (!workload.node.empty()) resource.groups.push_back("node:" + workload.node);
  for (const auto& [key, ports] : workload.services) resource.groups.push_back("service:" + key);
  return finish(kAddressType, address, std::move(resource));
}

xds::ResourcePtr make_resource(const mesh::Service& service) {
  wire::Address address;
  encode(service, address);
  xds::Resource resource{.name = service.key()};
  for (const mesh::NetworkAddress& vip : service.addresses) {
    resource.aliases.push_back(alias(vip.network, vip.ip) +
                               (vip.length ? "/" + std::to_string(*vip.length) : ""));
  }
  return finish(kAddressType, address, std::move(resource));
}

xds::ResourcePtr make_resource(const mesh::Policy& policy) {
  authz::Authorization message;
  encode(policy, message);
  return finish(kAuthorizationType, message, {.name = policy.key()});
}

xds::Update make_update(const translate::Changes& changes) {
  xds::Update update;
  for (const mesh::Policy& policy : changes.policies)
    update.upserts.push_back(make_resource(policy));
  for (const mesh::Service& service : changes.services)
    update.upserts.push_back(make_resource(service));
  for (const mesh::Workload& workload : changes.workloads)
    update.upserts.push_back(make_resource(workload));
  for (const std::string& name : changes.removed_workloads)
    update.removes.push_back({kAddressType, name});
  for (const std::string& name : changes.removed_services)
    update.removes.push_back({kAddressType, name});
  for (const std::string& name : changes.removed_policies)
    update.removes.push_back({kAuthorizationType, name});
  return update;
}

}  // namespace weft::controlplane::ztunnel
