// Snapshot: one immutable picture of the mesh as a node knows it, with the indices that a connection asks.
// Built by ztunnel/state from decoded xDS; shared by all loops as shared_ptr<const Snapshot>. Pure: no I/O, no clock.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "mesh/policy.h"
#include "mesh/workload.h"

namespace weft::mesh {

using WorkloadPtr = std::shared_ptr<const Workload>;
using ServicePtr = std::shared_ptr<const Service>;
using PolicyPtr = std::shared_ptr<const Policy>;

// The raw material of a snapshot; the state room edits one of these and calls Snapshot::build.
struct World {
  std::unordered_map<std::string, WorkloadPtr> workloads;  // by uid
  std::unordered_map<std::string, ServicePtr> services;    // by "ns/hostname"
  std::unordered_map<std::string, PolicyPtr> policies;     // by "ns/name"
  std::string root_namespace_key;                          // reserved; GLOBAL policies are found by their scope
};

class Snapshot {
 public:
  static std::shared_ptr<const Snapshot> build(World world, std::uint64_t generation, std::string network);

  std::uint64_t generation() const { return generation_; }
  const World& world() const { return world_; }
  const std::string& network() const { return network_; }

  // By address. On several workloads with one IP, the one whose uid has "//Pod/" wins, then HBONE, then uid order.
  // hostNetwork workloads are not found by address.
  WorkloadPtr workload_by_ip(const IpAddress& ip) const;
  WorkloadPtr workload_by_uid(std::string_view uid) const;
  // The local pod: (name, namespace, service account) on `node` (any node when empty).
  WorkloadPtr local_workload(std::string_view name, std::string_view ns, std::string_view service_account,
                             std::string_view node) const;
  // VIP → service: exact address first, then CIDR VIPs (same namespace as the client > longest prefix > canonical).
  ServicePtr service_by_vip(const IpAddress& vip, std::string_view client_ns) const;
  ServicePtr service_by_key(std::string_view ns_hostname) const;
  // By hostname alone: the client's namespace, then canonical, then key order; respects namespace_private.
  ServicePtr service_by_hostname(std::string_view hostname, std::string_view client_ns) const;
  // Workloads that list this service, sorted by uid. Empty vector when none.
  const std::vector<WorkloadPtr>& endpoints(std::string_view service_key) const;

  // The policies that apply to `workload`: its namespace's, the global ones, and those it names. A name that is not known is
  // returned in `unknown` (the caller fails closed).
  std::vector<const Policy*> policies_for(const Workload& workload, std::string& unknown) const;

 private:
  World world_;
  std::uint64_t generation_ = 0;
  std::string network_;
  std::unordered_map<IpAddress, WorkloadPtr> by_ip_;
  std::unordered_multimap<IpAddress, ServicePtr> by_vip_;
  std::vector<std::pair<Cidr, ServicePtr>> by_cidr_vip_;
  std::unordered_multimap<std::string, ServicePtr> by_hostname_;
  std::unordered_map<std::string, std::vector<WorkloadPtr>> endpoints_;
  std::unordered_multimap<std::string, WorkloadPtr> by_name_;  // "ns/name"
  std::vector<PolicyPtr> global_policies_;
  std::unordered_map<std::string, std::vector<PolicyPtr>> namespace_policies_;
};

// Judges a connection to `destination` under this snapshot.
Verdict authorize(const Snapshot& snapshot, const Workload& destination, const ConnectionAttributes& connection);

}  // namespace weft::mesh
