// The references of routes: backends and mirrors to clusters, what the pods behind them require,
// and clients named by label.
#include <algorithm>
#include <optional>

#include "controlplane/translate/l7/clusters.h"
#include "controlplane/translate/l7/service_plan.h"

namespace weft::controlplane::translate::l7 {
namespace {

model::Api api_of(const model::PlanRoute& route) {
  return route.from.key.kind.ends_with("gateway.networking.k8s.io") ? model::Api::kGatewayApi
                                                                    : model::Api::kIstio;
}

// The service accounts whose pods all carry `labels`; nothing when some account's pods differ, or
// no pod carries them.
std::optional<std::vector<std::string>> accounts_with(const Facts& facts,
                                                      const mesh::Labels& labels,
                                                      const std::vector<std::string>& namespaces) {
  std::map<std::string, bool> accounts;  // principal → all its pods match
  std::set<std::string> matched;
  for (const auto& [ns, pods] : facts.pods) {
    if (!namespaces.empty() &&
        std::find(namespaces.begin(), namespaces.end(), ns) == namespaces.end())
      continue;
    for (const auto& [name, pod] : pods) {
      if (pod.finished()) continue;
      const std::string principal = principal_of(facts, ns, pod.service_account);
      const bool hit = source::selects(labels, pod.labels);
      const auto [entry, fresh] = accounts.try_emplace(principal, hit);
      if (!fresh) entry->second = entry->second && hit;
      if (hit) matched.insert(principal);
    }
  }
  const bool sound = std::all_of(matched.begin(), matched.end(),
                                 [&](const std::string& one) { return accounts.at(one); });
  if (!sound || matched.empty()) return std::nullopt;
  return std::vector<std::string>(matched.begin(), matched.end());
}

void complain(Resolved& out, const model::PlanRoute& route, const std::string& text) {
  auto& list = out.unresolved[route.from.key];
  if (std::find(list.begin(), list.end(), text) == list.end()) list.push_back(text);
}

// Fills principals for a match by client labels. False when nobody can be told apart by them.
bool resolve_clients(const Inputs& inputs, model::PlanRoute& route, Resolved& out) {
  if (route.rule.matches.empty() || route.rule.matches[0].source_labels.empty()) return true;
  out.by_labels = true;
  model::RequestMatch& match = route.rule.matches[0];
  auto found = accounts_with(inputs.facts, match.source_labels, route.client_namespaces);
  if (!found) {
    complain(out, route,
             "UnsupportedValue: sourceLabels that no service account's pods have alone; the match "
             "is left out");
    return false;
  }
  route.client_principals = std::move(*found);
  match.source_labels.clear();
  if (match == model::RequestMatch{}) route.rule.matches.clear();
  return true;
}

struct Context {
  const Inputs& inputs;
  std::uint16_t port;
  Resolved& out;
};

// The cluster's name, or "" when the reference is broken. Equal meanings get equal backends.
std::string resolve_backend(const Context& at, const model::PlanRoute& route,
                            model::Backend& backend, Reach& reach) {
  Followed followed = follow(at.inputs.facts, at.inputs.objects, backend, at.port, api_of(route));
  if (!followed.complaint.empty() && !route.from.key.kind.empty())
    complain(at.out, route, followed.complaint);
  backend.broken = followed.broken;
  at.out.reach.insert(backend.service.hostname);  // it may come to be
  if (!followed.cluster) return "";
  backend.service = {.ns = followed.service != nullptr ? followed.service->ns : "",
                     .hostname = followed.cluster->host,
                     .port = followed.cluster->port};
  const std::string name = followed.cluster->name();
  at.out.clusters.insert(name);
  if (followed.service != nullptr) reach.add(*followed.service, followed.labels);
  return name;
}

void resolve_route(const Context& at, const source::Service* parent,
                   const model::PlanAuthz& of_parent, model::PlanRoute& route) {
  Reach reach(at.inputs.facts);
  route.clusters.clear();
  route.mirror_clusters.clear();
  for (model::Backend& backend : route.rule.backends)
    route.clusters.push_back(resolve_backend(at, route, backend, reach));
  std::vector<model::Mirror> mirrors;
  for (model::Mirror& mirror : route.rule.mirrors) {
    std::string name = resolve_backend(at, route, mirror.to, reach);
    if (name.empty() || mirror.ppm == 0) continue;
    route.mirror_clusters.push_back(std::move(name));
    mirrors.push_back(mirror);
  }
  route.rule.mirrors = std::move(mirrors);
  for (const std::string& name : route.clusters) {
    const auto key = ClusterKey::parse(name);
    if (!key) continue;
    const MergedRule rules = rules_for(at.inputs.facts, at.inputs.objects, key->host);
    const auto policy = rules.policy(key->port, rules.subset(key->subset));
    if (policy.load_balancer && policy.load_balancer->hash) route.hash = policy.load_balancer->hash;
    break;
  }
  if (parent == nullptr || route.rule.backends.empty()) return;
  const std::string own = at.inputs.facts.hostname(*parent);
  const bool elsewhere = std::any_of(reach.services().begin(), reach.services().end(),
                                     [&](const std::string& host) { return host != own; });
  if (elsewhere)
    reach.also(policies_targeting(at.inputs.facts, parent->ns, parent->name, "Service"));
  for (const std::string& policy : reach.policies()) at.out.policies.insert(policy);
  model::PlanAuthz authz = reach.authz();
  if (authz != of_parent) route.authz = std::move(authz);
}

}  // namespace

std::vector<std::string> unresolved_of(const Facts& facts, const Objects& objects,
                                       const model::RouteTable& table,
                                       std::uint16_t listener_port) {
  std::vector<std::string> out;
  auto look = [&](const model::Backend& backend) {
    std::string text = follow(facts, objects, backend, listener_port, table.api).complaint;
    if (!text.empty() && std::find(out.begin(), out.end(), text) == out.end())
      out.push_back(std::move(text));
  };
  for (const model::HttpRule& rule : table.http) {
    for (const model::Backend& backend : rule.backends) look(backend);
    for (const model::Mirror& mirror : rule.mirrors) look(mirror.to);
  }
  return out;
}

void resolve_routes(const Inputs& inputs, std::vector<model::PlanRoute>& routes,
                    std::uint16_t listener_port, const source::Service* parent, Resolved& out) {
  model::PlanAuthz of_parent;
  if (parent != nullptr) {
    Reach reach(inputs.facts);
    reach.add(*parent, {});
    of_parent = reach.authz();
  }
  const Context at{inputs, listener_port, out};
  std::erase_if(routes,
                [&](model::PlanRoute& route) { return !resolve_clients(inputs, route, out); });
  for (model::PlanRoute& route : routes) resolve_route(at, parent, of_parent, route);
}

}  // namespace weft::controlplane::translate::l7
