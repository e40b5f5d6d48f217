#include "controlplane/translate/l7/rules.h"

#include <algorithm>
#include <tuple>

namespace weft::controlplane::translate::l7 {
namespace {

bool says_something(const model::TrafficPolicy& policy) {
  const bool tls = policy.tls && policy.tls->mode != model::ClientTls::Mode::kIstioMutual &&
                   policy.tls->mode != model::ClientTls::Mode::kDisable;
  return policy.load_balancer || policy.pool || policy.outlier || policy.retry_budget || tls;
}

void lay_over(model::TrafficPolicy& base, const model::TrafficPolicy& over) {
  if (over.load_balancer) base.load_balancer = over.load_balancer;
  if (over.pool) base.pool = over.pool;
  if (over.outlier) base.outlier = over.outlier;
  if (over.tls) base.tls = over.tls;
  if (over.retry_budget) base.retry_budget = over.retry_budget;
}

}  // namespace

bool older(const model::Provenance& a, const model::Provenance& b) {
  auto rank = [](const model::Provenance& one) {
    return std::tuple(one.created.empty(), one.created, one.key.ns, one.key.name);
  };
  return rank(a) < rank(b);
}

const model::Subset* MergedRule::subset(const std::string& name) const {
  for (const model::Subset* one : subsets) {
    if (one->name == name) return one;
  }
  return nullptr;
}

model::TrafficPolicy MergedRule::policy(std::uint16_t port, const model::Subset* subset) const {
  model::TrafficPolicy out;
  if (oldest != nullptr) {
    const auto of_port = oldest->ports.find(port);
    out = of_port == oldest->ports.end() ? oldest->policy : of_port->second;
    out.retry_budget = oldest->policy.retry_budget;
  }
  if (subset == nullptr) return out;
  const auto of_port = subset->ports.find(port);
  if (of_port == subset->ports.end()) {
    if (subset->policy) lay_over(out, *subset->policy);
    return out;
  }
  const auto budget = subset->policy && subset->policy->retry_budget ? subset->policy->retry_budget
                                                                     : out.retry_budget;
  out = of_port->second;
  out.retry_budget = budget;
  return out;
}

bool MergedRule::needs_l7(std::uint16_t port) const {
  return oldest != nullptr && says_something(policy(port, nullptr));
}

MergedRule merge_rules(const std::vector<const model::Destination*>& candidates,
                       const std::string& service_ns, const std::vector<std::string>& roots) {
  MergedRule out;
  std::vector<std::string> order = {service_ns};
  order.insert(order.end(), roots.begin(), roots.end());
  for (const std::string& ns : order) {
    for (const model::Destination* one : candidates) {
      if (one->ns == ns) out.all.push_back(one);
    }
    if (!out.all.empty()) break;
  }
  if (out.all.empty()) return out;
  std::sort(out.all.begin(), out.all.end(),
            [](const auto* a, const auto* b) { return older(a->from, b->from); });
  out.oldest = out.all.front();
  for (const model::Destination* rule : out.all) {
    if (rule != out.oldest && (says_something(rule->policy) || !rule->ports.empty())) {
      out.losers.push_back({rule, "the traffic policy of " + out.oldest->ns + "/" +
                                      out.oldest->name + ", which is older, is in force"});
    }
    for (const model::Subset& subset : rule->subsets) {
      if (out.subset(subset.name) == nullptr) {
        out.subsets.push_back(&subset);
      } else {
        out.losers.push_back(
            {rule, "subset " + subset.name + " is already defined by an older rule for this host"});
      }
    }
  }
  return out;
}

}  // namespace weft::controlplane::translate::l7
