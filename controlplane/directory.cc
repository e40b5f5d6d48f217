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
  take_services(changes);
  if (changes.gateways) {
    gateways_.clear();
    for (const translate::DesiredGateway& one : *changes.gateways) {
      if (one.kind == model::Plan::Kind::kGateway) gateways_.insert(one.ns + "/" + one.name);
    }
  }
  for (const std::string& uid : changes.removed_workloads) forget(uid);
  for (const mesh::Workload& workload : changes.workloads) {
    forget(workload.uid);
    if (workload.host_network) continue;
    for (const IpAddress& ip : workload.addresses) by_ip_[ip] = {workload.uid, describe(workload)};
    by_uid_[workload.uid] = workload.addresses;
  }
}

void Directory::take_services(const translate::Changes& changes) {
  const auto forget = [this](const std::string& key) {
    const auto known = services_.find(key);
    if (known == services_.end()) return;
    for (const IpAddress& ip : vips_of_[key]) {
      const auto entry = by_vip_.find(ip);
      if (entry != by_vip_.end() && entry->second == key) by_vip_.erase(entry);
    }
    auto& keys = by_host_[known->second.host];
    keys.erase(key);
    if (keys.empty()) by_host_.erase(known->second.host);
    vips_of_.erase(key);
    services_.erase(known);
  };
  for (const std::string& key : changes.removed_services) forget(key);
  for (const mesh::Service& service : changes.services) {
    const std::string key = service.key();
    forget(key);
    services_[key] = {.host = service.hostname, .name = service.name, .ns = service.ns};
    by_host_[service.hostname].insert(key);
    for (const mesh::NetworkAddress& vip : service.addresses) {
      if (vip.length) continue;
      by_vip_[vip.ip] = key;
      vips_of_[key].push_back(vip.ip);
    }
  }
}

std::optional<telemetry::Service> Directory::service_at(const SocketAddress& vip) const {
  const std::scoped_lock lock(mutex_);
  const auto found = by_vip_.find(vip.ip);
  if (found == by_vip_.end()) return std::nullopt;
  return services_.at(found->second);
}

std::optional<telemetry::Service> Directory::service_by_host(const std::string& host) const {
  const std::scoped_lock lock(mutex_);
  const auto found = by_host_.find(host);
  if (found == by_host_.end()) return std::nullopt;
  return services_.at(*found->second.begin());
}

std::optional<telemetry::Workload> Directory::by_address(const IpAddress& ip) const {
  const std::scoped_lock lock(mutex_);
  const auto found = by_ip_.find(ip);
  if (found == by_ip_.end()) return std::nullopt;
  telemetry::Workload out = found->second.second;
  out.gateway = gateways_.contains(out.ns + "/" + out.workload);
  return out;
}

}  // namespace weft::controlplane
