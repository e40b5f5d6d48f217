// Arrivals: pods whose set-up asks, before their first container runs, whether the mesh has them: the sandbox's kubelet, or a chained CNI
// plugin. The asker knows a pod's addresses and namespace before the pod's object tells them, so that capture need not wait for the
// object. Asking again is how one waits: nothing here is lost by a restart but what the asker says again. Pure: time is an argument.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "agent/discovery.h"
#include "base/clock.h"
#include "base/net.h"

namespace weft::agent {

struct Arrival {
  std::string uid;             // metadata.uid of the pod
  std::string netns;           // path of its namespace as the agent sees it; empty: found as any other's
  std::vector<IpAddress> ips;  // empty: the object's are waited for
};

class Arrivals {
 public:
  static constexpr std::size_t kMost = 1024;
  static constexpr auto kRemembered = std::chrono::minutes(10);  // after it was last asked for

  // True when this says something new: decide again. With kMost of them the one that was silent longest goes.
  bool note(Arrival arrival, Clock::time_point now);
  const Arrival* find(const std::string& uid) const;
  // The addresses to go by for a pod whose object has none.
  std::vector<IpAddress> ips_of(const std::string& uid) const;
  void forget_old(Clock::time_point now);
  std::size_t size() const { return known_.size(); }

 private:
  struct Known {
    Arrival arrival;
    Clock::time_point asked_at;
  };
  std::map<std::string, Known> known_;  // by UID
};

// Looks where the arrival says; believes it only if the namespace holds the pod's addresses.
class ArrivalFinder : public NetnsFinder {
 public:
  // `arrivals` outlives this.
  ArrivalFinder(const Arrivals& arrivals, std::unique_ptr<NetnsFinder> otherwise)
      : arrivals_(arrivals), otherwise_(std::move(otherwise)) {}
  Result<Netns> find(const DesiredPod& pod) override;

 private:
  const Arrivals& arrivals_;
  std::unique_ptr<NetnsFinder> otherwise_;
};

}  // namespace weft::agent
