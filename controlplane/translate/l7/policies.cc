#include "controlplane/translate/l7/policies.h"

#include <algorithm>

#include "controlplane/jwks/keys.h"
#include "controlplane/translate/by_name.h"

namespace weft::controlplane::translate::l7 {
namespace {

bool decides(const model::AuthzPolicy& policy) {
  return policy.action == model::Action::kAudit || (policy.l4 && !policy.l4->dry_run);
}

bool targets(const Facts& facts, const model::AuthzPolicy& policy, const std::string& ns,
             const std::vector<std::string>& services) {
  if (policy.ns != ns) return false;
  return std::any_of(
      policy.targets.begin(), policy.targets.end(), [&](const model::TargetRef& target) {
        if (target.kind != "Service" || !target.group.empty()) return false;
        const source::Service* service = find(facts.services, ns, target.name);
        return service != nullptr && std::find(services.begin(), services.end(),
                                               facts.hostname(*service)) != services.end();
      });
}

void sort_policies(PolicyList& list) {
  std::sort(list.begin(), list.end(), [](const auto* a, const auto* b) {
    return std::pair(a->ns, a->name) < std::pair(b->ns, b->name);
  });
}

template <class Each>
void each_candidate(const Facts& facts, const std::string& ns, Each each) {
  std::vector<std::string> from = facts.options.root_namespaces;
  if (!facts.is_root(ns)) from.push_back(ns);
  for (const std::string& one : from) {
    for (const auto& [name, policy] : in_namespace(facts.authz, one)) each(policy);
  }
}

}  // namespace

PolicyList policies_of(const Facts& facts, const source::Pod& pod,
                       const std::vector<std::string>& services) {
  PolicyList out;
  each_candidate(facts, pod.ns, [&](const model::AuthzPolicy& policy) {
    if (!decides(policy)) return;
    if (facts.selects(policy, pod) || targets(facts, policy, pod.ns, services))
      out.push_back(&policy);
  });
  sort_policies(out);
  return out;
}

PolicyList policies_targeting(const Facts& facts, const std::string& ns, const std::string& name,
                              const std::string& kind) {
  PolicyList out;
  for (const auto& [policy_name, policy] : in_namespace(facts.authz, ns)) {
    if (!decides(policy)) continue;
    const bool hit = std::any_of(
        policy.targets.begin(), policy.targets.end(), [&](const model::TargetRef& target) {
          return target.kind == kind && target.name == name &&
                 target.group == (kind == "Service" ? "" : "gateway.networking.k8s.io");
        });
    if (hit) out.push_back(&policy);
  }
  return out;
}

void Reach::add(const source::Service& service, const mesh::Labels& labels) {
  services_.insert(facts_.hostname(service));
  // Pods with the same labels and services have the same policies.
  std::map<std::pair<mesh::Labels, std::vector<std::string>>, bool> seen;
  for (const ServiceEndpoint& endpoint : facts_.endpoints(service)) {
    if (endpoint.pod == nullptr) continue;
    if (!labels.empty() && !source::selects(labels, endpoint.pod->labels)) continue;
    auto behind = facts_.services_of(*endpoint.pod);
    if (!seen.try_emplace({endpoint.pod->labels, behind}, true).second) continue;
    PolicyList list = policies_of(facts_, *endpoint.pod, behind);
    if (!list.empty()) sets_.insert(std::move(list));
  }
}

void Reach::also(PolicyList policies) {
  if (policies.empty()) return;
  sort_policies(policies);
  sets_.insert(std::move(policies));
}

model::PlanPolicy plan_policy(const model::AuthzPolicy& policy) {
  model::PlanPolicy out{
      .name = policy.ns + "/" + policy.name, .action = policy.action, .rules = policy.rules};
  if (out.action == model::Action::kCustom) out.action = model::Action::kDeny;
  return out;
}

model::PlanAuthz Reach::authz() const {
  // By name, so that equal worlds make equal plans.
  std::map<std::vector<std::string>, model::PolicySet> sets;
  bool closed = false;
  for (const PolicyList& list : sets_) {
    std::vector<std::string> names;
    model::PolicySet set;
    for (const model::AuthzPolicy* policy : list) {
      names.push_back(policy->ns + "/" + policy->name);
      set.policies.push_back(plan_policy(*policy));
      // L4 has rules that the whole does not: it was not read, and must not vanish.
      closed = closed || (policy->l4 && !policy->l4->rules.empty() && policy->rules.empty());
    }
    sets.emplace(std::move(names), std::move(set));
  }
  model::PlanAuthz out;
  out.closed = closed;
  for (auto& [names, set] : sets) out.sets.push_back(std::move(set));
  return out;
}

std::set<std::string> Reach::policies() const {
  std::set<std::string> out;
  for (const PolicyList& list : sets_) {
    for (const model::AuthzPolicy* policy : list) out.insert(policy->ns + "/" + policy->name);
  }
  return out;
}

ServiceAuthn authn_of(const Facts& facts, const Objects& objects, const source::Service& service,
                      const JwksLookup& lookup) {
  ServiceAuthn out;
  const auto endpoints = facts.endpoints(service);
  auto applies = [&](const model::RequestAuthn& one) {
    if (one.ns != service.ns && !facts.is_root(one.ns)) return false;
    if (!one.targets.empty()) {
      return one.ns == service.ns &&
             std::any_of(one.targets.begin(), one.targets.end(), [&](const auto& target) {
               return target.kind == "Service" && target.group.empty() &&
                      target.name == service.name;
             });
    }
    if (one.selector.empty()) return true;
    return std::any_of(endpoints.begin(), endpoints.end(), [&](const ServiceEndpoint& endpoint) {
      return endpoint.pod != nullptr && source::selects(one.selector, endpoint.pod->labels);
    });
  };
  for (const auto& [key, known] : objects.authns()) {
    for (const model::RequestAuthn& one : known.decoded.values) {
      if (!applies(one)) continue;
      out.objects.push_back(key);
      for (model::JwtRule rule : one.rules) {
        auto keys = lookup(rule);
        if (!keys) out.problems.push_back(rule.issuer + ": " + keys.error().text);
        rule.jwks = keys ? *keys : jwks::nobodys_keys();
        rule.jwks_uri.clear();
        if (std::find(out.rules.begin(), out.rules.end(), rule) == out.rules.end())
          out.rules.push_back(std::move(rule));
      }
    }
  }
  return out;
}

}  // namespace weft::controlplane::translate::l7
