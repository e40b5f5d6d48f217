// Walk's part behind a waypoint: what its Envoy does with the request, and where that leads.
#include <algorithm>

#include "controlplane/explain/routes.h"
#include "controlplane/explain/verdicts.h"
#include "controlplane/explain/walk.h"
#include "mesh/waypoint.h"

namespace weft::controlplane::explain {
namespace {

using mesh::WorkloadPtr;
using nlohmann::json;
using By = Outcome::By;

}  // namespace

void Walk::via_waypoint(const mesh::Route& route) {
  const auto* target =
      route.service && route.service->waypoint
          ? std::get_if<mesh::NamespacedHostname>(&route.service->waypoint->destination)
          : nullptr;
  const std::string name =
      target != nullptr ? target->ns + "/" + target->hostname.substr(0, target->hostname.find('.'))
                        : name_of(*route.workload);
  transport("waypoint", "ztunnel of " + source_->node + " opens HBONE (mTLS as " +
                            source_->identity().str() + ") to waypoint " + name + " at " +
                            route.tunnel.str());
  out_["waypoint"] = {{"name", name}, {"pod", name_of(*route.workload)}};
  const auto* waypoint = world_.planner().waypoint("waypoint~" + name);
  const model::PlanService* service = nullptr;
  if (waypoint != nullptr) {
    for (const model::PlanService& one : waypoint->plan.services) {
      if (std::find(one.addresses.begin(), one.addresses.end(), to_.address) != one.addresses.end())
        service = &one;
    }
  }
  if (service == nullptr) {
    note(
        "what this waypoint does with it is not known here: it is not one of Weft's, or serves "
        "no such address");
    return end("unreachable",
               "waypoint " + name + " has no configuration for " + to_.address.str());
  }
  const auto progress = world_.planner().progress_of(service->key.hostname);
  if (progress && progress->state == translate::Progress::State::kPending)
    note("the waypoint has not acknowledged its newest configuration yet; this is about that one");
  if (progress && progress->state == translate::Progress::State::kRejected)
    note(
        "the waypoint refused its newest configuration and holds to the last good one; this is "
        "about the newest: " +
        progress->text);
  if (mesh::is_http(service->protocol)) return request(*service, waypoint->plan, *route.workload);
  connection(*service, waypoint->plan, route);
}

void Walk::request(const model::PlanService& service, const model::Plan& plan,
                   const mesh::Workload& waypoint) {
  const Request asked{.method = query_.method,
                      .target = query_.path,
                      .authority = to_.authority,
                      .headers = query_.headers,
                      .peer = source_->identity().str(),
                      .client = source_ip()};
  const Outcome outcome = evaluate(service, asked, now_);
  out_["route"] = describe_route(outcome);
  const std::string name = out_["waypoint"]["name"];
  const bool judged = outcome.by != By::kMalformed && outcome.by != By::kPath;
  if (judged && !service.jwt.empty()) add_token(name, outcome);
  if (judged && outcome.by != By::kToken)
    out_["policy"].push_back(waypoint_verdict(facts_, name, outcome.policy));
  const std::string text = describe_outcome(outcome);
  switch (outcome.by) {
    case By::kBackends:
      return to_backends(outcome, plan, waypoint);
    case By::kMalformed:
    case By::kToken:
    case By::kPolicy:
      return end("denied", text, outcome.status);
    case By::kNoRoute:
    case By::kBroken:
      return end("unreachable", text, outcome.status);
    case By::kDirect:
      if (outcome.route->from.key.kind.empty())
        return end("unreachable", "answered 404: no route matches", outcome.status);
      break;
    default:
      break;
  }
  end("answered", text, outcome.status);
}

void Walk::add_token(const std::string& waypoint, const Outcome& outcome) {
  const bool good = outcome.by != By::kToken;
  const std::string text = outcome.token.text;
  out_["policy"].push_back({{"at", "waypoint " + waypoint},
                            {"allowed", good},
                            {"object", "RequestAuthentication"},
                            {"rule", nullptr},
                            {"text", !text.empty() ? text : "no token, which passes"}});
}

void Walk::to_backends(const Outcome& outcome, const model::Plan& plan,
                       const mesh::Workload& waypoint) {
  std::vector<Arrival> arrivals;
  for (const Outcome::Destination& one : outcome.destinations)
    add_cluster(plan, one.cluster, arrivals);
  const bool other =
      std::any_of(outcome.destinations.begin(), outcome.destinations.end(), [&](const auto& one) {
        const auto found = plan.clusters.find(one.cluster);
        return found != plan.clusters.end() &&
               found->second.discovery != model::PlanCluster::Discovery::kEndpoints;
      });
  if (arrivals.empty() && !other)
    return end("unreachable",
               "answered 503: no pod behind " + describe_outcome(outcome).substr(8) + " is ready",
               503);
  const Tally tally = arrive(arrivals, &waypoint, address_like(waypoint, to_.address.ip));
  if (tally.all > 0 && tally.allowed < tally.all) return end_of(tally, 503);
  end("allowed", describe_outcome(outcome));
}

void Walk::add_cluster(const model::Plan& plan, const std::string& name,
                       std::vector<Arrival>& out) {
  const auto found = plan.clusters.find(name);
  if (found == plan.clusters.end()) return;
  for (const model::PlanEndpoint& one : found->second.endpoints) {
    const auto ip = IpAddress::parse(one.address);
    if (!ip || !one.healthy || out.size() >= kEndpointsMax) continue;
    const WorkloadPtr pod = snapshot_.workload_by_ip(*ip);
    if (pod) out.push_back({pod, {*ip, one.port}, is_meshed(*pod)});
  }
}

// TCP through a waypoint: the node judges for all pods that it may come to.
void Walk::connection(const model::PlanService& service, const model::Plan& plan,
                      const mesh::Route& route) {
  std::vector<Arrival> arrivals;
  for (const std::string& one : service.tcp_clusters) add_cluster(plan, one, arrivals);
  out_["route"] = {{"text", "a TCP route"}, {"clusters", service.tcp_clusters}};
  const auto identity = source_->identity();
  const auto verdict = mesh::authorize_transit(
      snapshot_, {to_.address, route.service, nullptr},
      {.source_ip = source_ip(), .destination_ip = {}, .destination_port = 0, .source = &identity});
  out_["policy"].push_back(
      {{"at", "ztunnel of " + route.workload->node},
       {"allowed", verdict.allowed},
       {"object", verdict.policy.empty() ? json() : json(policy_object(facts_, verdict.policy))},
       {"rule", nullptr},
       {"text", verdict.text()}});
  if (!verdict.allowed)
    return end("denied", "the connection is closed by ztunnel: " + verdict.text());
  if (arrivals.empty()) return end("unreachable", "no pod behind the route is ready");
  end_of(arrive(arrivals, &*route.workload, address_like(*route.workload, to_.address.ip)));
}

}  // namespace weft::controlplane::explain
