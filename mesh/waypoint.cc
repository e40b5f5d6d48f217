#include "mesh/waypoint.h"

#include <algorithm>

namespace weft::mesh {
namespace {

const Port* port_of(const Service& service, std::uint16_t service_port) {
  const auto at = std::ranges::find(service.ports, service_port, &Port::service_port);
  return at == service.ports.end() ? nullptr : &*at;
}

// The address by which a host name is known to the proxy: of the own network and v4 if there is one.
IpAddress vip_of(const Service& service, std::string_view network) {
  IpAddress best;
  for (const auto& address : service.addresses) {
    if (address.length || (!address.network.empty() && address.network != network)) continue;
    if (!best.is_set() || (best.is_v6() && address.ip.is_v4())) best = address.ip;
  }
  return best;
}

// Every service that has this port of the workload says that it is HTTP, and one does.
bool speaks_http(const Snapshot& snapshot, const Workload& workload, std::uint16_t target_port) {
  bool http = false;
  for (const auto& [key, own_ports] : workload.services) {
    const auto service = snapshot.service_by_key(key);
    for (const auto& own : own_ports) {
      const auto* port = service ? port_of(*service, own.service_port) : nullptr;
      const auto target = own.target_port != 0 ? own.target_port : port ? port->target_port : 0;
      if (target != target_port) continue;
      if (!is_http(port ? port->app_protocol : own.app_protocol)) return false;
      http = true;
    }
  }
  return http;
}

Result<Transit> through(const Snapshot& snapshot, const Workload& self, ServicePtr service, std::uint16_t port, IpAddress vip) {
  if (!service->is_waypoint_port(port) || !is_waypoint_of(snapshot, self, *service)) {
    return fail(Code::kMalformed, "not a waypoint of that address");
  }
  if (!port_of(*service, port)) return fail(Code::kUnreachable, "port not in service");
  if (!vip.is_set()) return fail(Code::kUnreachable, "service has no address");
  return Transit{{vip, port}, std::move(service), nullptr};
}

}  // namespace

bool is_http(AppProtocol protocol) {
  return protocol == AppProtocol::kHttp11 || protocol == AppProtocol::kHttp2 || protocol == AppProtocol::kGrpc;
}

GatewayTarget gateway_target(const Snapshot& snapshot, std::string_view ns, const GatewayAddress& address) {
  if (const auto* name = std::get_if<NamespacedHostname>(&address.destination)) {
    return {snapshot.service_by_key(name->key()), nullptr};
  }
  const auto& ip = std::get<NetworkAddress>(address.destination).ip;
  if (auto workload = snapshot.workload_by_ip(ip)) return {nullptr, std::move(workload)};
  return {snapshot.service_by_vip(ip, ns), nullptr};
}

bool is_gateway(const Snapshot& snapshot, const Workload& workload, const GatewayAddress& address) {
  if (const auto* name = std::get_if<NamespacedHostname>(&address.destination)) {
    return workload.services.contains(name->key());
  }
  const auto& ip = std::get<NetworkAddress>(address.destination).ip;
  if (std::ranges::find(workload.addresses, ip) != workload.addresses.end()) return true;
  const auto target = gateway_target(snapshot, workload.ns, address);
  return target.service && workload.services.contains(target.service->key());
}

bool is_waypoint_of(const Snapshot& snapshot, const Workload& workload, const Service& service) {
  if (service.waypoint && is_gateway(snapshot, workload, *service.waypoint)) return true;
  return std::ranges::any_of(service.weighted_waypoints, [&](const WeightedWaypoint& weighted) {
    return is_gateway(snapshot, workload, weighted.destination);
  });
}

bool is_sandwiched(const Workload& workload) {
  return workload.application_tunnel && workload.application_tunnel->proxy_protocol;
}

bool is_claims_port(const Workload& workload, std::uint16_t port) {
  return is_sandwiched(workload) && (workload.application_tunnel->port == 0 || workload.application_tunnel->port == port);
}

Result<Transit> find_transit(const Snapshot& snapshot, const Workload& self, const IpAddress* ip, std::string_view host,
                             std::uint16_t port) {
  if (ip == nullptr) {
    auto service = snapshot.service_by_hostname(host, self.ns);
    if (!service) return fail(Code::kUnreachable, "unknown service");
    const IpAddress vip = vip_of(*service, snapshot.network());
    return through(snapshot, self, std::move(service), port, vip);
  }
  // As resolve() reads addresses: an exact pod IP beats a VIP.
  if (auto workload = snapshot.workload_by_ip(*ip)) {
    if (!workload->waypoint || workload->uid == self.uid || !is_gateway(snapshot, self, *workload->waypoint)) {
      return fail(Code::kMalformed, "not a waypoint of that address");
    }
    return Transit{{*ip, port}, nullptr, std::move(workload)};
  }
  auto service = snapshot.service_by_vip(*ip, self.ns);
  if (!service) return fail(Code::kMalformed, "not a waypoint of that address");
  return through(snapshot, self, std::move(service), port, *ip);
}

Verdict authorize_transit(const Snapshot& snapshot, const Transit& transit, ConnectionAttributes connection) {
  if (transit.workload) {
    const auto now = snapshot.workload_by_uid(transit.workload->uid);
    if (!now || speaks_http(snapshot, *now, transit.destination.port)) return {};
    connection.destination_ip = transit.destination.ip;
    connection.destination_port = transit.destination.port;
    return authorize(snapshot, *now, connection);
  }
  const auto now = snapshot.service_by_key(transit.service->key());
  const auto* port = now ? port_of(*now, transit.destination.port) : nullptr;
  if (port && is_http(port->app_protocol)) return {};
  Verdict last;
  for (const auto& endpoint : snapshot.endpoints(transit.service->key())) {
    connection.destination_port = 0;
    const auto own = endpoint->services.find(transit.service->key());
    if (own != endpoint->services.end()) {
      const auto at = std::ranges::find(own->second, transit.destination.port, &Port::service_port);
      if (at != own->second.end()) connection.destination_port = at->target_port;
    }
    if (connection.destination_port == 0 && port) connection.destination_port = port->target_port;
    if (connection.destination_port == 0) continue;  // it does not have that port: it cannot be reached
    for (const auto& ip : endpoint->addresses) {
      connection.destination_ip = ip;
      auto verdict = authorize(snapshot, *endpoint, connection);
      if (!verdict.allowed) return verdict;
      last = std::move(verdict);
    }
  }
  return last;
}

}  // namespace weft::mesh
