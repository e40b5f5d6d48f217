// Statuses: what became of an L7 object, in its API's own convention. Pure, from what the planner
// knows.
#pragma once

#include <optional>
#include <set>
#include <string>

#include "controlplane/translate/l7/planner.h"
#include "controlplane/translate/outputs.h"

namespace weft::controlplane::translate::l7 {

struct StatusInputs {
  const Facts& facts;
  const Objects& objects;
  const Planner& planner;
};

// How far a service's L7 is in force.
struct Enforcement {
  enum class State : std::uint8_t { kEnforced, kProvisioning, kDegraded, kOptedOut };
  State state = State::kEnforced;
  std::string text;  // "waypoint shop/weft-waypoint"; else why not and what that means
};
std::optional<Enforcement> enforcement_of(const StatusInputs& in, const std::string& host);

// Of an object that the planner holds (routes, rules, gateways …); nothing for kinds without one.
// `hosts`: services whose records name the object.
std::optional<ObjectStatus> status_of(const StatusInputs& in, const source::ObjectKey& key,
                                      const std::set<std::string>& hosts);
// The waypoint's part of an AuthorizationPolicy's conditions, beside those of its front end.
void add_policy_conditions(const StatusInputs& in, const model::AuthzPolicy& policy,
                           const std::set<std::string>& hosts, ObjectStatus& out);
// Of a Service that a waypoint serves or should; nothing for others.
std::optional<ObjectStatus> status_of_service(const StatusInputs& in, const ServiceRecord& record);

}  // namespace weft::controlplane::translate::l7
