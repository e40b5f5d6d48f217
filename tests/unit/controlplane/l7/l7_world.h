// A world with an Envoy that answers when it is told to. For tests of what L7 objects make.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <string>

#include "fixture.h"
#include "plan_text.h"

namespace weft::controlplane {

class L7World : public TestWorld {
 public:
  // As TestWorld's, and remembers plans.
  void put(const std::string& yaml) { note(apply(yaml)); }
  void drop(const std::string& kind, const std::string& ns, const std::string& name) {
    note(erase(kind, ns, name));
  }
  // The waypoint's pod and Service are there and ready, its Envoy took everything, W has heard of
  // it.
  void serve(const std::string& ns, const std::string& name = "weft-waypoint") {
    put(waypoint_pod(ns, name, true));
    ack(ns, name);
  }
  void ack(const std::string& ns, const std::string& name = "weft-waypoint",
           translate::Progress::State state = translate::Progress::State::kAcked) {
    const std::string id = "waypoint~" + ns + "/" + name;
    translate::Progress progress{.connected = true, .services = {}, .listeners = {}};
    for (const auto& service : plans[id].services) {
      progress.services[service.key.hostname + ":" + std::to_string(service.key.port)] = {
          state, state == translate::Progress::State::kAcked, "no good"};
    }
    world.served(id, progress);
    note(apply(""));
  }
  static std::string waypoint_pod(const std::string& ns, const std::string& name, bool ready) {
    return "---\napiVersion: v1\nkind: Service\nmetadata: {name: " + name + ", namespace: " + ns +
           "}\nspec: {clusterIP: 10.96.9.9, selector: {weft.dev/waypoint: " + name +
           "}, ports: [{name: mesh, port: 15008}]}\n---\napiVersion: v1\nkind: Pod\nmetadata: "
           "{name: " +
           name + "-1, namespace: " + ns + ", labels: {weft.dev/waypoint: " + name +
           ", weft.dev/mesh: enabled}}\nspec: {nodeName: node1, serviceAccountName: " + name +
           "}\nstatus: {phase: Running, podIP: 10.244.1.99, conditions: [{type: Ready, status: \"" +
           (ready ? "True" : "False") + "\"}]}\n";
  }

  std::string plan(const std::string& ns, const std::string& name = "weft-waypoint") {
    const auto found = plans.find("waypoint~" + ns + "/" + name);
    return found == plans.end() ? "no plan" : text(found->second);
  }
  // "waypoint:ports" of what nodes are told, or "".
  std::string told(const std::string& ns, const std::string& name) {
    const mesh::Service& service = services[ns + "/" + name + "." + ns + ".svc.cluster.local"];
    if (!service.waypoint) return "";
    std::string out = std::get<mesh::NamespacedHostname>(service.waypoint->destination).hostname;
    for (const std::uint16_t port : *service.waypoint_ports) out += " " + std::to_string(port);
    return out;
  }
  // True when ztunnel at the pod lets the waypoint through this policy's rules.
  bool admits(const std::string& policy, const std::string& account,
              const std::string& ns = "shop") {
    const mesh::Policy& rules = policies[policy];
    const mesh::Identity identity{"cluster.local", ns, account};
    const bool hit = mesh::matches(rules, {.source_ip = *IpAddress::parse("10.244.1.99"),
                                           .destination_ip = {},
                                           .destination_port = 8080,
                                           .source = &identity});
    return rules.action == mesh::PolicyAction::kAllow ? hit : !hit;
  }
  // "Type=Status Reason: message" of one condition.
  std::string condition(const source::ObjectKey& key, const std::string& type) {
    const auto* status = world.status(key);
    if (status == nullptr) return "no status";
    for (const auto& one : status->conditions) {
      if (one.type == type)
        return (one.status ? "True " : "False ") + one.reason + ": " + one.message;
    }
    return "no condition";
  }

  std::map<std::string, model::Plan> plans;
  std::vector<translate::DesiredGateway> gateways;
  translate::Changes last;

 private:
  void note(translate::Changes changes) {
    for (const auto& plan : changes.plans) plans[plan.id] = plan;
    for (const auto& id : changes.removed_plans) plans.erase(id);
    if (changes.gateways) gateways = *changes.gateways;
    last = std::move(changes);
  }
};

inline std::string http_service(const std::string& ns, const std::string& name,
                                const std::string& ip, const std::string& more = "") {
  return "---\napiVersion: v1\nkind: Service\nmetadata: {name: " + name + ", namespace: " + ns +
         more + "}\nspec: {clusterIP: " + ip + ", selector: {app: " + name +
         "}, ports: [{name: http, port: 9080, targetPort: 8080}]}\n";
}

}  // namespace weft::controlplane
