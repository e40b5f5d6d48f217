// Plans by hand.
#pragma once

#include <string>
#include <vector>

#include "controlplane/model/plan.h"

namespace weft::controlplane::envoy {

inline model::PlanCluster cluster(const std::string& name, std::uint16_t port,
                                  const std::string& subset = "") {
  return {.name = "outbound|80|" + subset + "|" + name,
          .service = {"shop", name, 80},
          .subset = subset,
          .endpoints = {{.address = "127.0.0.1", .port = port}}};
}

// One route for everything, to the service's own cluster; no policy.
inline model::PlanService service(const std::string& name, const std::string& vip,
                                  std::uint16_t target_port = 8080) {
  model::PlanRoute route{.rule = {.backends = {{.service = {"shop", name, 80}}}},
                         .clusters = {"outbound|80||" + name}};
  return {.key = {"shop", name, 80},
          .service_name = name,
          .service_ns = "shop",
          .addresses = {*SocketAddress::parse(vip + ":80")},
          .target_port = target_port,
          .routes = {route}};
}

inline void add(model::Plan& plan, const model::PlanCluster& one) { plan.clusters[one.name] = one; }

inline model::Plan waypoint() {
  return {.ns = "shop", .name = "weft-waypoint", .id = "waypoint~shop/weft-waypoint"};
}

inline model::TextMatch exact(const std::string& text) { return {.value = text}; }
inline model::TextMatch match(model::TextMatch::Kind kind, const std::string& text = "") {
  return {.kind = kind, .value = text};
}

inline model::PlanAuthz only(const model::PlanPolicy& policy) {
  return {.sets = {{.policies = {policy}}}};
}
inline model::PlanPolicy allow(std::vector<model::AuthzRule> rules) {
  return {.name = "shop/allow", .rules = std::move(rules)};
}
inline model::PlanPolicy deny(std::vector<model::AuthzRule> rules) {
  return {.name = "shop/deny", .action = model::Action::kDeny, .rules = std::move(rules)};
}
inline model::AuthzRule from(model::AuthzSource source) { return {.from = {std::move(source)}}; }

}  // namespace weft::controlplane::envoy
