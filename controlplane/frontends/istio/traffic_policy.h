// trafficPolicy of a DestinationRule, its subsets and ports.
#pragma once

#include <cstdint>
#include <map>

#include "controlplane/frontends/values.h"
#include "controlplane/model/destinations.h"
#include "source/fields.h"

namespace weft::controlplane::istio {

struct TrafficPolicies {
  model::TrafficPolicy all;
  std::map<std::uint16_t, model::TrafficPolicy> ports;
};
TrafficPolicies traffic_policies(const source::Field& field, read::Notes& notes);

}  // namespace weft::controlplane::istio
