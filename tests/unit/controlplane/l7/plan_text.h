// A plan as lines that a test can hold against what it expects.
#pragma once

#include <string>

#include "controlplane/model/plan.h"

namespace weft::controlplane {

inline std::string text(const model::TextMatch& match) {
  static constexpr const char* kKinds[] = {"=", "^",  "^/", "$",       "~contains",
                                           "~", "~^", "{}", "present", "absent"};
  return kKinds[static_cast<int>(match.kind)] + match.value + (match.ignore_case ? " (i)" : "");
}

inline std::string text(const model::PlanAuthz& authz) {
  std::string out = authz.closed ? "CLOSED " : "";
  for (const model::PolicySet& set : authz.sets) {
    out += "[";
    for (std::size_t i = 0; i < set.policies.size(); ++i) {
      static constexpr const char* kActions[] = {"ALLOW", "DENY", "AUDIT", "CUSTOM"};
      out += (i == 0 ? "" : " ") + std::string(kActions[static_cast<int>(set.policies[i].action)]) +
             ":" + set.policies[i].name;
    }
    out += "]";
  }
  return out.empty() ? "-" : out;
}

// "match → cluster weight, …; what else".
inline std::string text(const model::PlanRoute& route) {
  std::string out;
  for (const model::RequestMatch& match : route.rule.matches) {
    if (match.path) out += "path" + text(*match.path) + " ";
    if (match.method) out += "method" + text(*match.method) + " ";
    for (const auto& one : match.headers)
      out += (one.invert ? "!" : "") + one.name + text(one.text) + " ";
    for (const auto& one : match.query) out += "?" + one.name + text(one.text) + " ";
    if (!match.grpc_service.empty())
      out += "grpc=" + match.grpc_service + "/" + match.grpc_method + " ";
  }
  if (out.empty()) out = "* ";
  for (const std::string& ns : route.client_namespaces) out += "from:" + ns + " ";
  for (const std::string& one : route.client_principals) out += "from:" + one + " ";
  out += "->";
  for (std::size_t i = 0; i < route.clusters.size(); ++i) {
    out += " " + (route.clusters[i].empty() ? "BROKEN" : route.clusters[i]) + "*" +
           std::to_string(route.rule.backends[i].weight);
  }
  if (route.rule.direct) out += " direct " + std::to_string(route.rule.direct->status);
  if (route.rule.redirect) out += " redirect";
  for (const std::string& mirror : route.mirror_clusters) out += " mirror " + mirror;
  if (route.rule.timeout) out += " timeout=" + std::to_string(route.rule.timeout->count());
  if (route.rule.fault) {
    out += " fault=" + std::to_string(route.rule.fault->delay_ppm) + "/" +
           std::to_string(route.rule.fault->abort_ppm);
  }
  if (route.default_retry) out += " retry";
  if (route.hash) out += " hash";
  if (route.authz) out += " authz=" + text(*route.authz);
  return out;
}

inline std::string text(const model::PlanCluster& cluster) {
  std::string out = cluster.name + " {";
  for (const model::PlanEndpoint& endpoint : cluster.endpoints)
    out += (out.back() == '{' ? "" : " ") + endpoint.address + ":" + std::to_string(endpoint.port);
  out += "}";
  if (cluster.policy.outlier) out += " outlier";
  if (cluster.policy.pool) out += " pool";
  if (cluster.policy.load_balancer)
    out += " lb=" + std::to_string(static_cast<int>(cluster.policy.load_balancer->kind));
  return out;
}

inline std::string text(const model::Plan& plan) {
  std::string out = plan.id + "\n";
  for (const model::PlanService& service : plan.services) {
    out += service.key.hostname + ":" + std::to_string(service.key.port);
    for (const SocketAddress& address : service.addresses) out += " " + address.str();
    out += " authz=" + text(service.authz);
    for (const model::JwtRule& rule : service.jwt) out += " jwt=" + rule.issuer;
    out += "\n";
    for (const model::PlanRoute& route : service.routes) out += "  " + text(route) + "\n";
    for (std::size_t i = 0; i < service.tcp_clusters.size(); ++i)
      out +=
          "  tcp " + service.tcp_clusters[i] + "*" + std::to_string(service.tcp_weights[i]) + "\n";
  }
  for (const model::PlanListener& listener : plan.listeners) {
    out += "listener " + listener.name + " " + std::to_string(listener.port) + "\n";
    for (const model::PlanListener::Chain& chain : listener.chains) {
      out += "  chain";
      for (const std::string& sni : chain.sni) out += " sni=" + sni;
      if (chain.tls) out += " tls";
      out += " authz=" + text(chain.authz) + "\n";
      for (const model::PlanHost& host : chain.http) {
        out += "    host";
        for (const std::string& name : host.hosts) out += " " + name;
        if (host.https_redirect) out += " https-redirect";
        out += "\n";
        for (const model::PlanRoute& route : host.routes) out += "      " + text(route) + "\n";
      }
      for (const std::string& cluster : chain.tcp_clusters) out += "    tcp " + cluster + "\n";
    }
  }
  for (const auto& [name, cluster] : plan.clusters) out += text(cluster) + "\n";
  return out;
}

}  // namespace weft::controlplane
