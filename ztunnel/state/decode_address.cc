#include <fmt/format.h>

#include <algorithm>

#include "mesh/labels.h"
#include "weft/extension.pb.h"
#include "weft/workload.pb.h"
#include "ztunnel/state/decode.h"

namespace weft::state {
namespace {

namespace pb = istio::workload;

Parsed<std::uint16_t> decode_port(std::uint32_t port, std::string_view field) {
  if (port > 65535) return problem(fmt::format("{}: {} is not a port", field, port));
  return static_cast<std::uint16_t>(port);
}

Parsed<IpAddress> decode_ip(std::string_view bytes, std::string_view field) {
  const auto ip = IpAddress::from_bytes(
      {reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()});
  if (!ip) return problem(fmt::format("{}: an address has {} bytes, not 4 or 16", field, bytes.size()));
  return *ip;
}

Parsed<mesh::NetworkAddress> decode_network_address(const pb::NetworkAddress& in, std::string_view field) {
  auto ip = decode_ip(in.address(), field);
  if (!ip) return problem(ip.error().text);
  mesh::NetworkAddress out{.network = in.network(), .ip = *ip, .length = std::nullopt};
  if (in.has_length()) {
    const unsigned bits = in.address().size() == 4 ? 32 : 128;
    if (in.length() > bits) return problem(fmt::format("{}: prefix length {} of {} bits", field, in.length(), bits));
    if (in.length() < bits) out.length = static_cast<std::uint8_t>(in.length());
  }
  return out;
}

Parsed<mesh::GatewayAddress> decode_gateway(const pb::GatewayAddress& in, std::string_view field) {
  mesh::GatewayAddress out;
  switch (in.destination_case()) {
    case pb::GatewayAddress::kHostname:
      if (in.hostname().hostname().empty()) return problem(fmt::format("{}: empty hostname", field));
      out.destination = mesh::NamespacedHostname{in.hostname().namespace_(), in.hostname().hostname()};
      break;
    case pb::GatewayAddress::kAddress: {
      auto address = decode_network_address(in.address(), field);
      if (!address) return problem(address.error().text);
      out.destination = *std::move(address);
      break;
    }
    case pb::GatewayAddress::DESTINATION_NOT_SET:
      return problem(fmt::format("{}: no destination", field));
  }
  auto port = decode_port(in.hbone_mtls_port(), field);
  if (!port) return problem(port.error().text);
  if (*port != 0) out.hbone_mtls_port = *port;
  return out;
}

mesh::AppProtocol decode_app_protocol(pb::AppProtocol in) {
  switch (in) {
    case pb::HTTP11: return mesh::AppProtocol::kHttp11;
    case pb::HTTP2: return mesh::AppProtocol::kHttp2;
    case pb::GRPC: return mesh::AppProtocol::kGrpc;
    case pb::TCP: return mesh::AppProtocol::kTcp;
    case pb::TLS: return mesh::AppProtocol::kTls;
    default: return mesh::AppProtocol::kUnknown;  // informational: a newer protocol is no reason to refuse
  }
}

Parsed<mesh::Port> decode_service_port(const pb::Port& in, std::string_view field) {
  auto service_port = decode_port(in.service_port(), field);
  if (!service_port) return problem(service_port.error().text);
  auto target_port = decode_port(in.target_port(), field);
  if (!target_port) return problem(target_port.error().text);
  return mesh::Port{*service_port, *target_port, decode_app_protocol(in.app_protocol())};
}

std::string or_default(const std::string& value, const char* fallback) {
  return value.empty() ? fallback : value;
}

const char* decode_workload_type(pb::WorkloadType in) {
  switch (in) {
    case pb::DEPLOYMENT: return "deployment";
    case pb::CRONJOB: return "cronjob";
    case pb::JOB: return "job";
    default: return "pod";
  }
}

Parsed<void> decode_enums(const pb::Workload& in, mesh::Workload& out) {
  switch (in.tunnel_protocol()) {
    case pb::NONE: out.tunnel_protocol = mesh::TunnelProtocol::kNone; break;
    case pb::HBONE: out.tunnel_protocol = mesh::TunnelProtocol::kHbone; break;
    default:
      return problem(fmt::format("tunnel_protocol: {} is not supported", static_cast<int>(in.tunnel_protocol())));
  }
  switch (in.status()) {
    case pb::HEALTHY: out.healthy = true; break;
    case pb::UNHEALTHY: out.healthy = false; break;
    default: return problem(fmt::format("status: unknown value {}", static_cast<int>(in.status())));
  }
  switch (in.network_mode()) {
    case pb::STANDARD: out.host_network = false; break;
    case pb::HOST_NETWORK: out.host_network = true; break;
    default: return problem(fmt::format("network_mode: unknown value {}", static_cast<int>(in.network_mode())));
  }
  out.workload_type = decode_workload_type(in.workload_type());
  return {};
}

Parsed<void> decode_references(const pb::Workload& in, mesh::Workload& out) {
  if (in.has_waypoint()) {
    auto waypoint = decode_gateway(in.waypoint(), "waypoint");
    if (!waypoint) return problem(waypoint.error().text);
    out.waypoint = *std::move(waypoint);
  }
  if (in.has_network_gateway()) {
    auto gateway = decode_gateway(in.network_gateway(), "network_gateway");
    if (!gateway) return problem(gateway.error().text);
    out.network_gateway = *std::move(gateway);
  }
  if (in.has_application_tunnel()) {
    auto port = decode_port(in.application_tunnel().port(), "application_tunnel.port");
    if (!port) return problem(port.error().text);
    const auto protocol = in.application_tunnel().protocol();
    if (protocol != pb::ApplicationTunnel::NONE && protocol != pb::ApplicationTunnel::PROXY) {
      return problem(fmt::format("application_tunnel.protocol: unknown value {}", static_cast<int>(protocol)));
    }
    out.application_tunnel = mesh::ApplicationTunnel{protocol == pb::ApplicationTunnel::PROXY, *port};
  }
  for (const auto& [key, ports] : in.services()) {
    const auto slash = key.find('/');
    if (slash == std::string::npos || slash + 1 == key.size()) {
      return problem(fmt::format("services: \"{}\" is not namespace/hostname", key));
    }
    auto& list = out.services[key];
    for (const auto& entry : ports.ports()) {
      auto port = decode_service_port(entry, "services.ports");
      if (!port) return problem(port.error().text);
      list.push_back(*port);
    }
  }
  return {};
}

Parsed<mesh::WorkloadPtr> decode_workload(const pb::Workload& in) {
  if (in.uid().empty()) return problem("uid: empty");
  auto out = std::make_shared<mesh::Workload>();
  out->uid = in.uid();
  out->name = in.name();
  out->ns = in.namespace_();
  for (const auto& bytes : in.addresses()) {
    auto ip = decode_ip(bytes, "addresses");
    if (!ip) return problem(ip.error().text);
    out->addresses.push_back(*ip);
  }
  out->network = in.network();
  out->trust_domain = or_default(in.trust_domain(), "cluster.local");
  out->service_account = or_default(in.service_account(), "default");
  out->cluster_id = or_default(in.cluster_id(), "Kubernetes");
  out->node = in.node();
  out->canonical_name = in.canonical_name();
  out->canonical_revision = in.canonical_revision();
  out->workload_name = in.workload_name();
  out->native_tunnel = in.native_tunnel();
  out->hostname = in.hostname();
  out->authorization_policies.assign(in.authorization_policies().begin(), in.authorization_policies().end());
  out->locality = {in.locality().region(), in.locality().zone(), in.locality().subzone()};
  if (in.has_capacity()) out->capacity = in.capacity().value();
  if (auto enums = decode_enums(in, *out); !enums) return problem(enums.error().text);
  if (auto references = decode_references(in, *out); !references) return problem(references.error().text);
  return out;
}

Parsed<mesh::LoadBalancing> decode_load_balancing(const pb::LoadBalancing& in) {
  mesh::LoadBalancing out;
  for (const auto scope : in.routing_preference()) {
    if (scope == pb::LoadBalancing::UNSPECIFIED_SCOPE) continue;
    if (scope < pb::LoadBalancing::REGION || scope > pb::LoadBalancing::NETWORK) {
      return problem(fmt::format("load_balancing.routing_preference: unknown value {}", scope));
    }
    out.preference.push_back(static_cast<mesh::Scope>(scope - 1));
  }
  switch (in.mode()) {
    case pb::LoadBalancing::UNSPECIFIED_MODE: out.mode = mesh::BalanceMode::kStandard; break;
    case pb::LoadBalancing::STRICT: out.mode = mesh::BalanceMode::kStrict; break;
    case pb::LoadBalancing::FAILOVER: out.mode = mesh::BalanceMode::kFailover; break;
    case pb::LoadBalancing::PASSTHROUGH: out.mode = mesh::BalanceMode::kPassthrough; break;
    default: return problem(fmt::format("load_balancing.mode: unknown value {}", static_cast<int>(in.mode())));
  }
  switch (in.health_policy()) {
    case pb::LoadBalancing::ONLY_HEALTHY: out.allow_unhealthy = false; break;
    case pb::LoadBalancing::ALLOW_ALL: out.allow_unhealthy = true; break;
    default:
      return problem(
          fmt::format("load_balancing.health_policy: unknown value {}", static_cast<int>(in.health_policy())));
  }
  return out;
}

mesh::IpFamilies decode_families(pb::IPFamilies in) {
  switch (in) {
    case pb::IPV4_ONLY: return mesh::IpFamilies::kV4Only;
    case pb::IPV6_ONLY: return mesh::IpFamilies::kV6Only;
    case pb::DUAL: return mesh::IpFamilies::kDual;
    default: return mesh::IpFamilies::kAutomatic;
  }
}

// Extensions of other makers are theirs; one of ours that cannot be read is not guessed at.
Parsed<void> decode_extensions(const pb::Service& in, mesh::Service& out) {
  for (const auto& extension : in.extensions()) {
    if (extension.name() != mesh::kWaypointPortsExtension) continue;
    weft::WaypointPorts ports;
    if (out.waypoint_ports) return problem(fmt::format("extensions: {} is there twice", extension.name()));
    if (!extension.config().UnpackTo(&ports)) {
      return problem(fmt::format("extensions: {} is not a {}", extension.name(), ports.GetTypeName()));
    }
    auto& list = out.waypoint_ports.emplace();
    for (const auto entry : ports.ports()) {
      auto port = decode_port(entry, extension.name());
      if (!port) return problem(port.error().text);
      if (*port == 0) return problem(fmt::format("{}: 0 is not a port", extension.name()));
      list.push_back(*port);
    }
    std::ranges::sort(list);
    list.erase(std::ranges::unique(list).begin(), list.end());
  }
  return {};
}

Parsed<void> decode_waypoints(const pb::Service& in, mesh::Service& out) {
  if (in.has_waypoint()) {
    auto waypoint = decode_gateway(in.waypoint(), "waypoint");
    if (!waypoint) return problem(waypoint.error().text);
    out.waypoint = *std::move(waypoint);
  }
  for (const auto& entry : in.weighted_waypoints()) {
    auto destination = decode_gateway(entry.destination(), "weighted_waypoints");
    if (!destination) return problem(destination.error().text);
    out.weighted_waypoints.push_back({*std::move(destination), entry.weight()});
  }
  return decode_extensions(in, out);
}

Parsed<mesh::ServicePtr> decode_service(const pb::Service& in) {
  if (in.hostname().empty()) return problem("hostname: empty");
  auto out = std::make_shared<mesh::Service>();
  out->name = in.name();
  out->ns = in.namespace_();
  out->hostname = in.hostname();
  for (const auto& vip : in.addresses()) {
    auto address = decode_network_address(vip, "addresses");
    if (!address) return problem(address.error().text);
    out->addresses.push_back(*std::move(address));
  }
  for (const auto& entry : in.ports()) {
    auto port = decode_service_port(entry, "ports");
    if (!port) return problem(port.error().text);
    out->ports.push_back(*port);
  }
  out->subject_alt_names.assign(in.subject_alt_names().begin(), in.subject_alt_names().end());
  if (auto waypoints = decode_waypoints(in, *out); !waypoints) return problem(waypoints.error().text);
  auto balancing = decode_load_balancing(in.load_balancing());
  if (!balancing) return problem(balancing.error().text);
  out->load_balancing = *std::move(balancing);
  out->ip_families = decode_families(in.ip_families());
  out->canonical = in.canonical();
  switch (in.visibility()) {
    case pb::PUBLIC: out->namespace_private = false; break;
    case pb::NAMESPACE: out->namespace_private = true; break;
    default: return problem(fmt::format("visibility: unknown value {}", static_cast<int>(in.visibility())));
  }
  return out;
}

}  // namespace

Parsed<DecodedAddress> decode_address(std::string_view name, std::string_view bytes) {
  pb::Address in;
  if (!in.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return problem("not an istio.workload.Address");
  switch (in.type_case()) {
    case pb::Address::kWorkload: {
      auto workload = decode_workload(in.workload());
      if (!workload) return problem(workload.error().text);
      if (!name.empty() && name != (*workload)->uid) {
        return problem(fmt::format("the resource's name is not its uid \"{}\"", (*workload)->uid));
      }
      return DecodedAddress(*std::move(workload));
    }
    case pb::Address::kService: {
      auto service = decode_service(in.service());
      if (!service) return problem(service.error().text);
      if (!name.empty() && name != (*service)->key()) {
        return problem(fmt::format("the resource's name is not its key \"{}\"", (*service)->key()));
      }
      return DecodedAddress(*std::move(service));
    }
    case pb::Address::TYPE_NOT_SET: break;
  }
  return problem("neither a workload nor a service");
}

}  // namespace weft::state
