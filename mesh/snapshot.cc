#include "mesh/snapshot.h"

#include <algorithm>
#include <tuple>

namespace weft::mesh {
namespace {

// On one IP: a Pod beats other kinds, HBONE beats none, then uid order. Smaller is better.
auto address_rank(const Workload& w) {
  return std::tuple(w.uid.find("//Pod/") == std::string::npos, w.tunnel_protocol != TunnelProtocol::kHbone,
                    std::string_view(w.uid));
}

bool visible(const Service& service, std::string_view client_ns) {
  return !service.namespace_private || service.ns == client_ns;
}

// Among services that tie: the client's namespace, then canonical, then key order. Smaller is better.
auto service_rank(const Service& s, std::string_view client_ns) {
  return std::tuple(s.ns != client_ns, !s.canonical, std::string_view(s.ns), std::string_view(s.hostname));
}

}  // namespace

std::shared_ptr<const Snapshot> Snapshot::build(World world, std::uint64_t generation, std::string network) {
  auto snapshot = std::make_shared<Snapshot>();
  Snapshot& s = *snapshot;
  s.world_ = std::move(world);
  s.generation_ = generation;
  s.network_ = std::move(network);
  for (const auto& [uid, workload] : s.world_.workloads) {
    s.by_name_.emplace(workload->ns + "/" + workload->name, workload);
    for (const auto& [key, ports] : workload->services) s.endpoints_[key].push_back(workload);
    if (workload->host_network) continue;
    for (const auto& ip : workload->addresses) {
      auto [at, fresh] = s.by_ip_.try_emplace(ip, workload);
      if (!fresh && address_rank(*workload) < address_rank(*at->second)) at->second = workload;
    }
  }
  for (auto& [key, list] : s.endpoints_) {
    std::sort(list.begin(), list.end(), [](const auto& a, const auto& b) { return a->uid < b->uid; });
  }
  for (const auto& [key, service] : s.world_.services) {
    s.by_hostname_.emplace(service->hostname, service);
    for (const auto& address : service->addresses) {
      if (address.network != s.network_ && !address.network.empty()) continue;
      if (!address.length) {
        s.by_vip_.emplace(address.ip, service);
      } else if (const auto cidr = Cidr::of(address.ip, *address.length)) {
        s.by_cidr_vip_.emplace_back(*cidr, service);
      }
    }
  }
  for (const auto& [key, policy] : s.world_.policies) {
    if (policy->scope == PolicyScope::kGlobal) s.global_policies_.push_back(policy);
    if (policy->scope == PolicyScope::kNamespace) s.namespace_policies_[policy->ns].push_back(policy);
  }
  const auto by_key = [](const PolicyPtr& a, const PolicyPtr& b) { return a->key() < b->key(); };
  std::sort(s.global_policies_.begin(), s.global_policies_.end(), by_key);
  for (auto& [ns, list] : s.namespace_policies_) std::sort(list.begin(), list.end(), by_key);
  return snapshot;
}

WorkloadPtr Snapshot::workload_by_ip(const IpAddress& ip) const {
  const auto at = by_ip_.find(ip);
  return at == by_ip_.end() ? nullptr : at->second;
}

WorkloadPtr Snapshot::workload_by_uid(std::string_view uid) const {
  const auto at = world_.workloads.find(std::string(uid));
  return at == world_.workloads.end() ? nullptr : at->second;
}

WorkloadPtr Snapshot::local_workload(std::string_view name, std::string_view ns, std::string_view service_account,
                                     std::string_view node) const {
  const auto [from, to] = by_name_.equal_range(std::string(ns) + "/" + std::string(name));
  WorkloadPtr best;
  for (auto at = from; at != to; ++at) {
    const Workload& w = *at->second;
    if (w.service_account != service_account || (!node.empty() && w.node != node)) continue;
    if (!best || address_rank(w) < address_rank(*best)) best = at->second;
  }
  return best;
}

ServicePtr Snapshot::service_by_vip(const IpAddress& vip, std::string_view client_ns) const {
  ServicePtr best;
  const auto [from, to] = by_vip_.equal_range(vip);
  for (auto at = from; at != to; ++at) {
    if (!visible(*at->second, client_ns)) continue;
    if (!best || service_rank(*at->second, client_ns) < service_rank(*best, client_ns)) best = at->second;
  }
  if (best) return best;
  const auto rank = [&](const Cidr& cidr, const Service& s) {
    return std::tuple(s.ns != client_ns, 128 - cidr.length, !s.canonical, std::string_view(s.ns), std::string_view(s.hostname));
  };
  const Cidr* best_cidr = nullptr;
  for (const auto& [cidr, service] : by_cidr_vip_) {
    if (!cidr.contains(vip) || !visible(*service, client_ns)) continue;
    if (best && !(rank(cidr, *service) < rank(*best_cidr, *best))) continue;
    best = service;
    best_cidr = &cidr;
  }
  return best;
}

ServicePtr Snapshot::service_by_key(std::string_view ns_hostname) const {
  const auto at = world_.services.find(std::string(ns_hostname));
  return at == world_.services.end() ? nullptr : at->second;
}

ServicePtr Snapshot::service_by_hostname(std::string_view hostname, std::string_view client_ns) const {
  ServicePtr best;
  const auto [from, to] = by_hostname_.equal_range(std::string(hostname));
  for (auto at = from; at != to; ++at) {
    if (!visible(*at->second, client_ns)) continue;
    if (!best || service_rank(*at->second, client_ns) < service_rank(*best, client_ns)) best = at->second;
  }
  return best;
}

const std::vector<WorkloadPtr>& Snapshot::endpoints(std::string_view service_key) const {
  static const std::vector<WorkloadPtr> kNone;
  const auto at = endpoints_.find(std::string(service_key));
  return at == endpoints_.end() ? kNone : at->second;
}

std::vector<const Policy*> Snapshot::policies_for(const Workload& workload, std::string& unknown) const {
  std::vector<const Policy*> out;
  for (const auto& policy : global_policies_) out.push_back(policy.get());
  if (const auto at = namespace_policies_.find(workload.ns); at != namespace_policies_.end()) {
    for (const auto& policy : at->second) out.push_back(policy.get());
  }
  for (const auto& key : workload.authorization_policies) {
    const auto at = world_.policies.find(key);
    if (at == world_.policies.end()) {
      unknown = key;
    } else if (at->second->scope == PolicyScope::kWorkloadSelector) {
      out.push_back(at->second.get());
    }
  }
  return out;
}

Verdict authorize(const Snapshot& snapshot, const Workload& destination, const ConnectionAttributes& connection) {
  std::string unknown;
  const auto policies = snapshot.policies_for(destination, unknown);
  return authorize(policies, unknown, connection);
}

}  // namespace weft::mesh
