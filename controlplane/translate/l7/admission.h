// Admissions: which waypoints an L4 policy may let through, because they enforce it themselves.
// Pure bookkeeping of what each Envoy may be enforcing at this moment: the version of a service
// that it acknowledged last, and those it was given since. A waypoint is let through a policy only
// when no such version can reach a pod under the policy without it. One owner, one thread. Source:
// mesh-apis facts §2.1.4 ("Weft upgrade rule").
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "controlplane/translate/outputs.h"

namespace weft::controlplane::translate::l7 {

class Admissions {
 public:
  // What a service's configuration enforces: policies ("ns/name") with a hash of their content, and
  // the hosts whose pods its requests can reach.
  struct Version {
    std::map<std::string, std::uint64_t> policies;
    std::set<std::string> reach;
    bool operator==(const Version&) const = default;
  };

  // The plan that is given to the Envoy now, by host.
  void given(const std::string& plan_id, std::map<std::string, Version> services);
  void gone(const std::string& plan_id) { plans_.erase(plan_id); }
  // REQUIRES: `progress` is about the last given().
  void served(const std::string& plan_id, const Progress& progress,
              const std::function<std::vector<std::string>(const std::string& host)>& ports_of);

  // Plan ids that `policy` may let through. `covers(host)`: it is on pods of that host.
  std::vector<std::string> admitted(
      const std::string& policy, std::uint64_t hash,
      const std::function<bool(const std::string& host)>& covers) const;
  // Every service was acknowledged or refused at least once since the Envoy connected first.
  bool is_known(const std::string& plan_id) const;

 private:
  struct Service {
    Version current;
    std::vector<Version> possible;  // `current` among them
    Progress::State state = Progress::State::kPending;
  };
  struct Of {
    std::map<std::string, Service> services;
    std::map<std::string, Service> leaving;  // not in the plan; the Envoy may still have them
    bool known = false, connected = false;
  };
  bool blocks(const Of& of, const Service& service, const std::string& policy, std::uint64_t hash,
              const std::function<bool(const std::string&)>& covers) const;
  std::map<std::string, Of> plans_;
};

}  // namespace weft::controlplane::translate::l7
