// Directory: who has which address, for the telemetry collector. Filled from what World gives. Any
// thread.
#pragma once

#include <map>
#include <mutex>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "controlplane/telemetry/collector.h"
#include "controlplane/translate/world.h"

namespace weft::controlplane {

class Directory : public telemetry::Directory {
 public:
  void take(const translate::Changes& changes);
  std::optional<telemetry::Workload> by_address(const IpAddress& ip) const override;
  std::optional<telemetry::Service> service_at(const SocketAddress& vip) const override;
  std::optional<telemetry::Service> service_by_host(const std::string& host) const override;

 private:
  void take_services(const translate::Changes& changes);

  mutable std::mutex mutex_;
  std::unordered_map<IpAddress, std::pair<std::string, telemetry::Workload>> by_ip_;  // uid, what
  std::map<std::string, std::vector<IpAddress>> by_uid_;
  std::set<std::string> gateways_;                         // "ns/name" of those that we deploy
  std::map<std::string, telemetry::Service> services_;     // by "ns/host"
  std::map<std::string, std::vector<IpAddress>> vips_of_;  // by "ns/host"
  std::unordered_map<IpAddress, std::string> by_vip_;      // → "ns/host"
  std::map<std::string, std::set<std::string>> by_host_;   // → "ns/host"
};

}  // namespace weft::controlplane
