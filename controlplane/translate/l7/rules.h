// DestinationRules → the policy in force for one destination. Pure. Source: mesh-apis facts §2.1.2.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "controlplane/model/destinations.h"

namespace weft::controlplane::translate::l7 {

// All rules about a host, merged: the oldest gives the policy, the others only new subsets.
struct MergedRule {
  const model::Destination* oldest = nullptr;  // null: nobody says anything
  std::vector<const model::Subset*> subsets;
  std::vector<const model::Destination*> all;  // by age
  // "DestinationRule ns/name: subset v1 is already …": what lost.
  struct Loser {
    const model::Destination* rule;
    std::string text;
  };
  std::vector<Loser> losers;

  const model::Subset* subset(const std::string& name) const;
  // A port's policy replaces the rule's whole; a subset's is laid over that, block by block, its
  // own port's whole.
  model::TrafficPolicy policy(std::uint16_t port, const model::Subset* subset) const;
  // True when only a proxy that reads requests can do what it says on `port`.
  bool needs_l7(std::uint16_t port) const;
};

// `candidates`: every rule about the host. Those of the service's own namespace count; when it has
// none, those of the root namespaces, in their order.
MergedRule merge_rules(const std::vector<const model::Destination*>& candidates,
                       const std::string& service_ns, const std::vector<std::string>& roots);

// Oldest first; one without a timestamp counts as youngest; then by namespace and name.
bool older(const model::Provenance& a, const model::Provenance& b);

}  // namespace weft::controlplane::translate::l7
