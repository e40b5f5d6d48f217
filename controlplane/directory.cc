#include "controlplane/directory.h"

namespace weft::controlplane {
namespace {

telemetry::Workload describe(const mesh::Workload& workload) {
  telemetry::Workload out;
  const auto set = [](std::string& field, const std::string& value) {
    if (!value.empty()) field = value;
  };
  set(out.workload, workload.workload_name.empty() ? workload.name : workload.workload_name);
  set(out.ns, workload.ns);
  set(out.app, workload.canonical_name);
  set(out.version, workload.canonical_revision);
  set(out.canonical_service, workload.canonical_name);
  set(out.canonical_revision, workload.canonical_revision);
  set(out.cluster, workload.cluster_id);
  if (workload.tunnel_protocol == mesh::TunnelProtocol::kHbone)
    out.principal = workload.identity().str();
  return out;
}

}  // namespace

void Directory::take(const translate::Changes& changes) {
  const std::scoped_lock lock(mutex_);
  const auto forget = [this](const std::string& uid) {
    const auto known = by_uid_.find(uid);
    if (known == by_uid_.end()) return;
    for (const IpAddress& ip : known->second) {
      const auto entry = by_ip_.find(ip);
      if (entry != by_ip_.end() && entry->second.first == uid) by_ip_.erase(entry);
    }
    by_uid_.erase(known);
  };
  for (const std::string& uid : changes.removed_workloads) forget(uid);
  for (const mesh::Workload& workload : changes.workloads) {
    forget(workload.uid);
    if (workload.host_network) continue;
    for (const IpAddress& ip : workload.addresses) by_ip_[ip] = {workload.uid, describe(workload)};
    by_uid_[workload.uid] = workload.addresses;
  }
}

std::optional<telemetry::Workload> Directory::by_address(const IpAddress& ip) const {
  const std::scoped_lock lock(mutex_);
  const auto found = by_ip_.find(ip);
  if (found == by_ip_.end()) return std::nullopt;
  return found->second.second;
}

}  // namespace weft::controlplane
