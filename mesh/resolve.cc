#include "mesh/resolve.h"

#include <algorithm>

namespace weft::mesh {
namespace {

constexpr std::uint16_t kInPodPorts[] = {15001, 15006, 15008, 15053};

bool same(Scope scope, const Snapshot& snapshot, const Workload& source, const Workload& endpoint) {
  switch (scope) {
    case Scope::kRegion: return source.locality.region == endpoint.locality.region;
    case Scope::kZone: return source.locality.zone == endpoint.locality.zone;
    case Scope::kSubzone: return source.locality.subzone == endpoint.locality.subzone;
    case Scope::kNode: return source.node == endpoint.node;
    case Scope::kCluster: return source.cluster_id == endpoint.cluster_id;
    case Scope::kNetwork: return source.network == endpoint.network;
  }
  return false;
}

// How many leading preferences match, stopping at the first that does not.
std::size_t rank_of(const Snapshot& snapshot, const LoadBalancing& lb, const Workload& source, const Workload& endpoint) {
  std::size_t rank = 0;
  while (rank < lb.preference.size() && same(lb.preference[rank], snapshot, source, endpoint)) ++rank;
  return rank;
}

// The port of `service_port` at this endpoint; 0 when it has none.
std::uint16_t target_port(const Service& service, const Workload& endpoint, std::uint16_t service_port) {
  const auto at = endpoint.services.find(service.key());
  if (at != endpoint.services.end()) {
    for (const auto& port : at->second) {
      if (port.service_port == service_port && port.target_port != 0) return port.target_port;
    }
  }
  for (const auto& port : service.ports) {
    if (port.service_port == service_port) return port.target_port;
  }
  return 0;
}

IpAddress pick_address(const Service& service, const Workload& endpoint, bool prefer_v6) {
  IpAddress fallback;
  for (const auto& ip : endpoint.addresses) {
    if (service.ip_families == IpFamilies::kV4Only && !ip.is_v4()) continue;
    if (service.ip_families == IpFamilies::kV6Only && !ip.is_v6()) continue;
    if (ip.is_v6() == prefer_v6) return ip;
    if (!fallback.is_set()) fallback = ip;
  }
  return fallback;
}

struct Candidate {
  Endpoint endpoint;
  std::size_t rank;
};

std::vector<Candidate> candidates(const Snapshot& snapshot, const Service& service, std::uint16_t service_port,
                                  const Workload& source, bool prefer_v6, const std::vector<std::string>& exclude) {
  const LoadBalancing& lb = service.load_balancing;
  std::vector<Candidate> out;
  for (const auto& workload : snapshot.endpoints(service.key())) {
    if ((!workload->healthy && !lb.allow_unhealthy) || workload->capacity == 0) continue;
    if (std::find(exclude.begin(), exclude.end(), workload->uid) != exclude.end()) continue;
    const auto port = target_port(service, *workload, service_port);
    const auto ip = pick_address(service, *workload, prefer_v6);
    if (port == 0 || !ip.is_set()) continue;
    const auto rank = rank_of(snapshot, lb, source, *workload);
    if (lb.mode == BalanceMode::kStrict && rank != lb.preference.size()) continue;
    out.push_back({{workload, {ip, port}}, rank});
  }
  if (lb.mode != BalanceMode::kFailover || out.empty()) return out;
  const auto best = std::max_element(out.begin(), out.end(), [](auto& a, auto& b) { return a.rank < b.rank; })->rank;
  std::erase_if(out, [&](const Candidate& c) { return c.rank != best; });
  return out;
}

// The workload or service behind a GatewayAddress, as one dialable workload with its accepted names.
struct Gateway {
  Endpoint endpoint;
  std::vector<Identity> expected;
};

Result<Gateway> find_gateway(const Snapshot& snapshot, const Workload& source, const GatewayAddress& address, bool prefer_v6,
                             const Random& random) {
  ServicePtr service;
  WorkloadPtr workload;
  if (const auto* name = std::get_if<NamespacedHostname>(&address.destination)) {
    service = snapshot.service_by_key(name->key());
  } else {
    const auto& ip = std::get<NetworkAddress>(address.destination).ip;
    workload = snapshot.workload_by_ip(ip);
    if (!workload) service = snapshot.service_by_vip(ip, source.ns);
  }
  Gateway out;
  if (service) {
    const auto endpoint = choose_endpoint(snapshot, *service, address.hbone_mtls_port, source, prefer_v6, {}, random);
    if (!endpoint) return fail(Code::kUnreachable, "unknown waypoint");
    out.endpoint = *endpoint;
    for (const auto& name : service->subject_alt_names) {
      if (auto id = Identity::parse(name)) out.expected.push_back(*id);
    }
  } else if (workload && !workload->addresses.empty()) {
    out.endpoint = {workload, {workload->addresses.front(), address.hbone_mtls_port}};
  } else {
    return fail(Code::kUnreachable, "unknown waypoint");
  }
  out.expected.push_back(out.endpoint.workload->identity());
  return out;
}

Result<Route> to_waypoint(const Snapshot& snapshot, const Workload& source, const GatewayAddress& address,
                          const SocketAddress& original, ServicePtr service, const Random& random) {
  auto gateway = find_gateway(snapshot, source, address, original.ip.is_v6(), random);
  if (!gateway) return std::unexpected(gateway.error());
  Route route;
  route.kind = Route::Kind::kHbone;
  route.address = original;
  route.tunnel = gateway->endpoint.address;
  route.authority = original.str();
  route.expected = std::move(gateway->expected);
  route.workload = gateway->endpoint.workload;
  route.service = std::move(service);
  route.service_port = original.port;
  route.via_waypoint = true;
  return route;
}

Result<Route> to_endpoint(const Workload& source, Endpoint endpoint, ServicePtr service, std::uint16_t service_port) {
  const Workload& workload = *endpoint.workload;
  if (workload.network != source.network) return fail(Code::kUnsupported, "destination is on another network");
  Route route;
  route.address = endpoint.address;
  route.service_port = service_port;
  if (workload.tunnel_protocol == TunnelProtocol::kHbone) {
    route.kind = Route::Kind::kHbone;
    route.tunnel = {endpoint.address.ip, 15008};
    route.authority = endpoint.address.str();
    route.expected.push_back(workload.identity());
    if (service) {
      for (const auto& name : service->subject_alt_names) {
        if (auto id = Identity::parse(name)) route.expected.push_back(*id);
      }
    }
  }
  route.workload = std::move(endpoint.workload);
  route.service = std::move(service);
  return route;
}

Route passthrough(const SocketAddress& original) {
  Route route;
  route.address = original;
  return route;
}

// The source proves to be that waypoint by identity and address: its own traffic to a pod goes direct.
bool is_waypoint(const Workload& source, const Gateway& gateway) {
  const auto& at = *gateway.endpoint.workload;
  return source.identity() == at.identity() && source.addresses == at.addresses;
}

}  // namespace

bool is_in_pod_port(std::uint16_t port) {
  return std::find(std::begin(kInPodPorts), std::end(kInPodPorts), port) != std::end(kInPodPorts);
}

std::optional<Endpoint> choose_endpoint(const Snapshot& snapshot, const Service& service, std::uint16_t service_port,
                                        const Workload& source, bool prefer_v6, const std::vector<std::string>& exclude,
                                        const Random& random) {
  const auto usable = candidates(snapshot, service, service_port, source, prefer_v6, exclude);
  std::uint64_t total = 0;
  for (const auto& candidate : usable) total += candidate.endpoint.workload->capacity;
  if (total == 0) return std::nullopt;
  std::uint64_t pick = random(total);
  for (const auto& candidate : usable) {
    const std::uint64_t weight = candidate.endpoint.workload->capacity;
    if (pick < weight) return candidate.endpoint;
    pick -= weight;
  }
  return std::nullopt;
}

Result<Route> resolve(const Snapshot& snapshot, const Workload& source, const SocketAddress& original, const Random& random) {
  if (original.ip.is_loopback() && is_in_pod_port(original.port)) return fail(Code::kDenied, "self call");
  const bool v6 = original.ip.is_v6();
  // An exact pod IP beats a VIP: a pod is one host, a VIP may be a range around it.
  if (const auto workload = snapshot.workload_by_ip(original.ip)) {
    if (workload->waypoint) {
      auto gateway = find_gateway(snapshot, source, *workload->waypoint, v6, random);
      const bool from_waypoint = gateway && is_waypoint(source, *gateway);
      if (!from_waypoint) return to_waypoint(snapshot, source, *workload->waypoint, original, nullptr, random);
    }
    return to_endpoint(source, {workload, original}, nullptr, original.port);
  }
  auto service = snapshot.service_by_vip(original.ip, source.ns);
  if (!service) return passthrough(original);
  if (service->waypoint) return to_waypoint(snapshot, source, *service->waypoint, original, service, random);
  auto endpoint = choose_endpoint(snapshot, *service, original.port, source, v6, {}, random);
  if (endpoint) return to_endpoint(source, std::move(*endpoint), service, original.port);
  if (service->load_balancing.mode == BalanceMode::kPassthrough) return passthrough(original);
  return fail(Code::kUnreachable, "no healthy upstream");
}

}  // namespace weft::mesh
