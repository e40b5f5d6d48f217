// The deployments of waypoints and gateways in an API server: what is wanted is applied, what
// carries our label and is not wanted goes, what is not ours is left alone. One owner, one thread.
#pragma once

#include <functional>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "source/kube/client.h"

namespace weft::controlplane::deploy {

// A write must have ended before another may lead: kLeaseLife - kRenewMost.
inline constexpr std::chrono::milliseconds kCallMost{4000};

// "/api/v1" + "/namespaces/NS" + "/services" + "/NAME"; an empty part is left out.
std::string api_path(const std::string& api_version, const std::string& plural,
                     const std::string& ns, const std::string& name);
// What follows it for an apply.
std::string apply_query();

class KubeObjects {
 public:
  // REQUIRES: `client` outlives it.
  KubeObjects(source::kube::Client& client, std::function<bool()> may_write)
      : client_(client), may_write_(std::move(may_write)) {}

  // All that should be there. False: not all of it is, write() again later.
  bool write(const std::vector<nlohmann::json>& all);

 private:
  bool put(const nlohmann::json& object);
  bool prune(const std::vector<nlohmann::json>& all);
  bool complain(const std::string& about, const source::kube::Reply& reply);  // false

  source::kube::Client& client_;
  const std::function<bool()> may_write_;
  std::map<std::string, std::string> complaints_;  // said once
};

}  // namespace weft::controlplane::deploy
