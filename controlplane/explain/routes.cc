#include "controlplane/explain/routes.h"

#include "controlplane/explain/verdicts.h"

namespace weft::controlplane::explain {
namespace {

using nlohmann::json;
using By = Outcome::By;

constexpr double kMillion = 1'000'000;

std::string number(double value) {
  std::string out = std::to_string(value);
  while (out.ends_with('0')) out.pop_back();
  if (out.ends_with('.')) out.pop_back();
  return out;
}

std::string shown(const model::ServiceKey& service, const std::string& subset) {
  return service.hostname + ":" + std::to_string(service.port) +
         (subset.empty() ? "" : " subset " + subset);
}

json destinations(const Outcome& outcome) {
  std::uint64_t sum = 0;
  for (const auto& one : outcome.destinations) sum += one.weight;
  json out = json::array();
  for (const auto& one : outcome.destinations) {
    json entry{{"service", shown(one.service, "")},
               {"subset", one.subset},
               {"cluster", one.cluster},
               {"percent", 100.0 * static_cast<double>(one.weight) / static_cast<double>(sum)}};
    if (!one.broken.empty()) entry["broken"] = one.broken;
    out.push_back(std::move(entry));
  }
  return out;
}

void add_details(const model::PlanRoute& route, const Outcome& outcome, json& out) {
  const model::HttpRule& rule = route.rule;
  const bool goes_on = outcome.by == By::kBackends || outcome.by == By::kBroken;
  if (goes_on && rule.rewrite.path_kind != model::Rewrite::Kind::kNone)
    out["pathBecomes"] = outcome.path;
  if (goes_on && !rule.rewrite.authority.empty()) out["authorityBecomes"] = outcome.authority;
  if (rule.timeout && rule.timeout->count() > 0) out["timeoutMs"] = rule.timeout->count();
  if (rule.retry) out["retries"] = rule.retry->attempts;
  if (!rule.retry && route.default_retry) out["retries"] = 2;
  if (rule.fault && rule.fault->delay_ppm > 0)
    out["delay"] = {{"ms", rule.fault->delay.count()},
                    {"percent", 100.0 * rule.fault->delay_ppm / kMillion}};
  if (rule.fault && rule.fault->abort_ppm > 0) {
    out["abort"] = {{"status", rule.fault->abort_status},
                    {"percent", 100.0 * rule.fault->abort_ppm / kMillion}};
    if (rule.fault->abort_grpc_status) out["abort"]["grpcStatus"] = *rule.fault->abort_grpc_status;
  }
  for (const model::Mirror& mirror : rule.mirrors)
    out["mirrors"].push_back({{"service", shown(mirror.to.service, mirror.to.subset)},
                              {"percent", 100.0 * mirror.ppm / kMillion}});
}

}  // namespace

json describe_route(const Outcome& outcome) {
  if (outcome.route == nullptr) return nullptr;
  const model::PlanRoute& route = *outcome.route;
  json out{{"object", nullptr}, {"rule", nullptr}, {"origin", route.from.origin}};
  if (route.from.key.kind.empty()) {
    out["text"] = route.rule.direct ? "no rule of the routes in force matches"
                                    : "no rule of a route object: to the service itself";
  } else {
    out["object"] = object_text(route.from.key);
    out["rule"] = route.number;
    out["text"] = "rule " + std::to_string(route.number) +
                  (route.rule.name.empty() ? "" : " \"" + route.rule.name + "\"") + " of " +
                  object_text(route.from.key) +
                  (route.from.origin.empty() ? "" : " (" + route.from.origin + ")");
  }
  if (!outcome.destinations.empty()) out["destinations"] = destinations(outcome);
  add_details(route, outcome, out);
  return out;
}

std::string describe_outcome(const Outcome& outcome) {
  const std::string status = std::to_string(outcome.status);
  switch (outcome.by) {
    case By::kMalformed:
      return "answered " + status + ": the method or the path is malformed";
    case By::kPath:
      return "answered " + status + ": the path should be written " + outcome.location;
    case By::kToken:
      return "answered " + status + ": " + outcome.token.text;
    case By::kPolicy:
      return "answered " + status + ": RBAC: access denied";
    case By::kFault:
      return "answered " + status + " by the route's fault";
    case By::kPreflight:
      return "answered " + status + ": a CORS preflight that the route answers";
    case By::kNoRoute:
      return "answered " + status + ": no route matches";
    case By::kDirect:
      return "answered " + status + " by the route itself";
    case By::kRedirect:
      return "answered " + status + ", redirected to " + outcome.location;
    case By::kBroken:
      return "answered " + status + ": nothing stands behind the route: " +
             (outcome.destinations.empty() ? "it has no backend"
                                           : outcome.destinations.front().broken);
    case By::kBackends:
      break;
  }
  std::uint64_t sum = 0;
  for (const auto& one : outcome.destinations) sum += one.weight;
  std::string out;
  for (const auto& one : outcome.destinations) {
    const double percent = 100.0 * static_cast<double>(one.weight) / static_cast<double>(sum);
    out += (out.empty() ? "goes to " : ", ") + shown(one.service, one.subset);
    if (outcome.destinations.size() > 1) out += " (" + number(percent) + " %)";
    if (!one.broken.empty()) out += " (500: " + one.broken + ")";
  }
  return out;
}

}  // namespace weft::controlplane::explain
