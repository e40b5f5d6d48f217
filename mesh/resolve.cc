#include "mesh/resolve.h"

#include <algorithm>

#include "mesh/waypoint.h"

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

// `fallback_port`: of endpoints without the service port; 0: those are not usable.
std::vector<Candidate> candidates(const Snapshot& snapshot, const Service& service, std::uint16_t service_port,
                                  std::uint16_t fallback_port, const Workload& source, bool prefer_v6,
                                  const std::vector<std::string>& exclude) {
  const LoadBalancing& lb = service.load_balancing;
  std::vector<Candidate> out;
  for (const auto& workload : snapshot.endpoints(service.key())) {
    if ((!workload->healthy && !lb.allow_unhealthy) || workload->capacity == 0) continue;
    if (std::find(exclude.begin(), exclude.end(), workload->uid) != exclude.end()) continue;
    const auto known_port = target_port(service, *workload, service_port);
    const auto port = known_port != 0 ? known_port : fallback_port;
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

std::optional<Endpoint> choose(const std::vector<Candidate>& usable, const Random& random) {
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

// A workload behind a GatewayAddress, with its tunnel port and the names it may prove.
struct Gateway {
  Endpoint endpoint;
  std::vector<Identity> expected;
};

Result<Gateway> find_gateway(const Snapshot& snapshot, const Workload& source, const GatewayAddress& address, bool prefer_v6,
                             const Random& random, const std::vector<std::string>& tried) {
  const auto target = gateway_target(snapshot, source.ns, address);
  const auto port = address.hbone_mtls_port;
  Gateway out;
  if (target.service) {
    const auto endpoint = choose(candidates(snapshot, *target.service, port, port, source, prefer_v6, tried), random);
    if (!endpoint) return fail(Code::kUnreachable, kUnknownWaypoint);
    out.endpoint = *endpoint;
    for (const auto& name : target.service->subject_alt_names) {
      if (auto id = Identity::parse(name)) out.expected.push_back(*id);
    }
  } else if (target.workload && target.workload->healthy && std::ranges::find(tried, target.workload->uid) == tried.end()) {
    out.endpoint = {target.workload, {std::get<NetworkAddress>(address.destination).ip, port}};
  } else {
    return fail(Code::kUnreachable, kUnknownWaypoint);
  }
  out.expected.push_back(out.endpoint.workload->identity());
  return out;
}

Result<Route> to_waypoint(const Snapshot& snapshot, const Workload& source, const GatewayAddress& address,
                          const SocketAddress& original, ServicePtr service, const Random& random,
                          const std::vector<std::string>& tried) {
  auto gateway = find_gateway(snapshot, source, address, original.ip.is_v6(), random, tried);
  if (!gateway) return std::unexpected(gateway.error());
  if (gateway->endpoint.workload->network != source.network) {
    return fail(Code::kUnsupported, "waypoint is on another network");
  }
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

// The waypoint that this connection of `source` to the service passes, or null.
const GatewayAddress* waypoint_for(const Snapshot& snapshot, const Workload& source, const Service& service,
                                   std::uint16_t service_port, const Random& random) {
  if (!service.waypoint && service.weighted_waypoints.empty()) return nullptr;
  if (!service.is_waypoint_port(service_port) || is_waypoint_of(snapshot, source, service)) return nullptr;
  if (!service.weighted_waypoints.empty()) {
    std::uint64_t roll = random(100);
    for (const auto& weighted : service.weighted_waypoints) {
      if (roll < weighted.weight) return &weighted.destination;
      roll -= weighted.weight;
    }
  }
  return service.waypoint ? &*service.waypoint : nullptr;
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

}  // namespace

bool is_in_pod_port(std::uint16_t port) {
  return std::find(std::begin(kInPodPorts), std::end(kInPodPorts), port) != std::end(kInPodPorts);
}

std::optional<Endpoint> choose_endpoint(const Snapshot& snapshot, const Service& service, std::uint16_t service_port,
                                        const Workload& source, bool prefer_v6, const std::vector<std::string>& exclude,
                                        const Random& random) {
  return choose(candidates(snapshot, service, service_port, 0, source, prefer_v6, exclude), random);
}

Result<Route> resolve(const Snapshot& snapshot, const Workload& source, const SocketAddress& original, const Random& random,
                      const std::vector<std::string>& tried) {
  if (original.ip.is_loopback() && is_in_pod_port(original.port)) return fail(Code::kDenied, "self call");
  // An exact pod IP beats a VIP: a pod is one host, a VIP may be a range around it.
  if (const auto workload = snapshot.workload_by_ip(original.ip)) {
    const bool routed = is_sandwiched(source) || (workload->waypoint && is_gateway(snapshot, source, *workload->waypoint));
    if (workload->waypoint && !routed) {
      return to_waypoint(snapshot, source, *workload->waypoint, original, nullptr, random, tried);
    }
    return to_endpoint(source, {workload, original}, nullptr, original.port);
  }
  auto service = snapshot.service_by_vip(original.ip, source.ns);
  if (!service) return passthrough(original);
  if (const auto* waypoint = waypoint_for(snapshot, source, *service, original.port, random)) {
    return to_waypoint(snapshot, source, *waypoint, original, service, random, tried);
  }
  auto endpoint = choose_endpoint(snapshot, *service, original.port, source, original.ip.is_v6(), tried, random);
  if (endpoint) return to_endpoint(source, std::move(*endpoint), service, original.port);
  if (service->load_balancing.mode == BalanceMode::kPassthrough && tried.empty()) return passthrough(original);
  return fail(Code::kUnreachable, "no healthy upstream");
}

}  // namespace weft::mesh
