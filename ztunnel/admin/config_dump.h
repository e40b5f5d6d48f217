// The config dump: the snapshot and the certificates as JSON with Istio's camelCase keys, as `istioctl ztunnel-config` reads it.
// Source: ambient-protocol facts §7.3, §9.3. Keys and tokens never appear.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/clock.h"
#include "mesh/snapshot.h"

namespace weft::admin {

struct DumpedCertificate {
  std::string pem, serial;
  WallClock::time_point not_before, not_after;
};
struct DumpedIdentity {
  std::string identity;
  std::string state;  // "Available", "Initializing", "Unavailable: …"
  std::vector<DumpedCertificate> chain, roots;
};
struct DumpedPod {
  std::string uid, name, ns, service_account;
  std::string state;  // "Up", "Pending: …"
  std::size_t connections = 0;
};

struct DumpInput {
  const mesh::Snapshot& snapshot;
  std::vector<DumpedIdentity> certificates;
  std::vector<DumpedPod> pods;
  std::map<std::string, std::string> config;
  std::string version;
};

std::string config_dump(const DumpInput& input);

}  // namespace weft::admin
