#include "controlplane/explain/evaluate.h"

#include <algorithm>

#include "controlplane/explain/match.h"
#include "controlplane/explain/rewrite.h"

namespace weft::controlplane::explain {
namespace {

using By = Outcome::By;

constexpr std::uint32_t kMillion = 1'000'000;

const model::PlanRoute* choose(const model::PlanService& service, const Asked& asked) {
  for (const model::PlanRoute& one : service.routes) {
    if (takes(one, asked, service.key.port)) return &one;
  }
  return nullptr;
}

std::optional<model::TextMatch> path_match(const model::PlanRoute& route) {
  return route.rule.matches.empty() ? std::nullopt : route.rule.matches.front().path;
}

bool is_preflight(const model::PlanRoute& route, const Asked& asked) {
  const auto origin = asked.header("origin");
  if (!route.rule.cors || asked.method != "OPTIONS" || !origin || origin->empty() ||
      !asked.header("access-control-request-method"))
    return false;
  const auto& origins = route.rule.cors->origins;
  return !route.rule.cors->forward_unmatched_preflights ||
         std::any_of(origins.begin(), origins.end(),
                     [&](const model::TextMatch& one) { return matches(one, *origin); });
}

std::string authority_to(const model::HttpRule& rule, const Asked& asked) {
  if (!rule.rewrite.authority.empty()) return rule.rewrite.authority;
  for (const auto* list : {&rule.request.set, &rule.request.add}) {
    for (const auto& [name, value] : *list) {
      if (name == ":authority" || name == "host") return value;
    }
  }
  return asked.authority;
}

// The route's own action.
void act(const model::PlanRoute& route, const Asked& asked, Outcome& out) {
  const model::HttpRule& rule = route.rule;
  if (rule.redirect) {
    out.by = By::kRedirect;
    out.status = static_cast<int>(rule.redirect->code);
    out.location = location(*rule.redirect, path_match(route), asked);
    return;
  }
  if (rule.direct) {
    out.by = By::kDirect;
    out.status = static_cast<int>(rule.direct->status);
    return;
  }
  bool any = false;
  for (std::size_t i = 0; i < rule.backends.size(); ++i) {
    const model::Backend& backend = rule.backends[i];
    if (backend.weight == 0 && rule.backends.size() > 1) continue;
    Outcome::Destination one{.service = backend.service,
                             .subset = backend.subset,
                             .cluster = i < route.clusters.size() ? route.clusters[i] : "",
                             .weight = std::max<std::uint64_t>(backend.weight, 1),
                             .broken = backend.broken};
    if (one.cluster.empty() && one.broken.empty()) one.broken = "nothing stands behind it";
    any = any || one.broken.empty();
    out.destinations.push_back(std::move(one));
  }
  out.by = any ? By::kBackends : By::kBroken;
  if (!any) out.status = 500;
  out.path = rewritten(rule.rewrite, path_match(route), asked.path);
  if (!asked.query.empty()) out.path += "?" + asked.query;
  out.authority = authority_to(rule, asked);
}

}  // namespace

Outcome evaluate(const model::PlanService& service, const Request& request,
                 WallClock::time_point now) {
  Outcome out;
  const auto ends = [&](By by, int status) {
    out.by = by;
    out.status = status;
    return std::move(out);
  };
  const Target target = read_target(request.target);
  if (target.is == Target::Is::kMalformed || !is_method(request.method))
    return ends(By::kMalformed, 400);
  if (target.is == Target::Is::kElsewhere) {
    out.location = target.location;
    return ends(By::kPath, 307);
  }
  Asked asked = ask(request, target);
  out.token = judge_tokens(service.jwt, asked, now);
  if (out.token.status != 0) return ends(By::kToken, out.token.status);
  asked.claims = out.token.claims;
  out.route = choose(service, asked);
  const bool own = out.route != nullptr && out.route->authz;
  out.policy = judge(own ? *out.route->authz : service.authz, asked, service.target_port);
  if (!out.policy.allowed) return ends(By::kPolicy, 403);
  if (out.route == nullptr) return ends(By::kNoRoute, 404);
  const auto& fault = out.route->rule.fault;
  if (fault && fault->abort_ppm >= kMillion && fault->abort_status != 0)
    return ends(By::kFault, static_cast<int>(fault->abort_status));
  if (is_preflight(*out.route, asked)) return ends(By::kPreflight, 200);
  act(*out.route, asked, out);
  return out;
}

}  // namespace weft::controlplane::explain
