// Which authorization and authentication apply to the pods behind services, and what a waypoint
// must enforce for a request that can reach them. Pure.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "controlplane/model/plan.h"
#include "controlplane/translate/facts.h"
#include "controlplane/translate/l7/objects.h"

namespace weft::controlplane::translate::l7 {

using PolicyList = std::vector<const model::AuthzPolicy*>;  // by namespace and name

// Policies that judge connections to this pod: the mesh's, its namespace's, those that select it,
// and those that target a service it is behind (`services`: host names). AUDIT and dry-run ones
// included.
PolicyList policies_of(const Facts& facts, const source::Pod& pod,
                       const std::vector<std::string>& services);

// Policies whose targetRefs name this Service; `kind` Gateway: a Gateway of that name.
PolicyList policies_targeting(const Facts& facts, const std::string& ns, const std::string& name,
                              const std::string& kind);

// Collects what requests can reach, and gives what they must pass.
class Reach {
 public:
  explicit Reach(const Facts& facts) : facts_(facts) {}

  // Pods behind `service` that carry `labels` (all, when empty), ready or not.
  void add(const source::Service& service, const mesh::Labels& labels);
  // A set that holds besides the pods' own: the policies that target the parent.
  void also(PolicyList policies);

  model::PlanAuthz authz() const;
  std::set<std::string> policies() const;  // "ns/name" of all
  const std::set<std::string>& services() const { return services_; }
  const std::set<PolicyList>& sets() const { return sets_; }

 private:
  const Facts& facts_;
  std::set<std::string> services_;
  std::set<PolicyList> sets_;
};

// As a waypoint enforces it; CUSTOM denies what it matches, since nobody can be asked.
model::PlanPolicy plan_policy(const model::AuthzPolicy& policy);

// The key set that a rule's tokens are verified with: inline, or fetched; nothing: why not.
using JwksLookup = std::function<Parsed<std::string>(const model::JwtRule& rule)>;
// Rules of every RequestAuthentication that applies to a pod behind `service` or targets it, ready:
// jwks inline and valid. One without a valid key set admits no token.
struct ServiceAuthn {
  std::vector<model::JwtRule> rules;
  std::vector<source::ObjectKey> objects;
  std::vector<std::string> problems;  // "issuer: why"
};
ServiceAuthn authn_of(const Facts& facts, const Objects& objects, const source::Service& service,
                      const JwksLookup& lookup);

// Address to fetch for a rule: jwks_uri, or the issuer's OpenID discovery document; "" when inline.
std::string jwks_address(const model::JwtRule& rule);

}  // namespace weft::controlplane::translate::l7
