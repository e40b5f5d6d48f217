// Directory: who has which address, for the telemetry collector. Filled from what World gives. Any
// thread.
#pragma once

#include <map>
#include <mutex>
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

 private:
  mutable std::mutex mutex_;
  std::unordered_map<IpAddress, std::pair<std::string, telemetry::Workload>> by_ip_;  // uid, what
  std::map<std::string, std::vector<IpAddress>> by_uid_;
};

}  // namespace weft::controlplane
