// YAML in, answers out: what objects say about `reviews` in namespace `default`, as the real Envoy
// of that namespace's waypoint does it. Pods have addresses of their own on this process's lo.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "l7_world.h"
#include "live.h"

namespace weft::controlplane {

using namespace std::chrono_literals;

// A pod of `labels` at 10.244.1.`number`, ready.
inline std::string pod_at(const std::string& ns, const std::string& name, int number,
                          const std::string& labels) {
  return "---\napiVersion: v1\nkind: Pod\nmetadata: {name: " + name + ", namespace: " + ns +
         ", labels: " + labels +
         "}\nspec: {nodeName: node1, serviceAccountName: default, containers: [{name: c, ports: "
         "[{containerPort: 8080}]}]}\nstatus: {phase: Running, podIP: 10.244.1." +
         std::to_string(number) + ", conditions: [{type: Ready, status: \"True\"}]}\n";
}

inline std::string service_of(const std::string& ns, const std::string& name, int number,
                              const std::string& selector) {
  return "---\napiVersion: v1\nkind: Service\nmetadata: {name: " + name + ", namespace: " + ns +
         "}\nspec: {clusterIP: 10.96.0." + std::to_string(number) + ", selector: " + selector +
         ", ports: [{name: http, port: 9080, targetPort: 8080}]}\n";
}

// reviews (10.96.0.1) in three versions at 10.244.1.1 to .3, each with a Service of its own;
// `gone`, whose pod 10.244.1.9 does not listen; reviews of another namespace.
inline std::string routed_world() {
  std::string yaml =
      "apiVersion: v1\nkind: Namespace\nmetadata: {name: default, labels: {weft.dev/mesh: "
      "enabled}}\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: other, labels: "
      "{weft.dev/mesh: enabled}}\n---\napiVersion: gateway.networking.k8s.io/v1beta1\nkind: "
      "ReferenceGrant\nmetadata: {name: all, namespace: other}\nspec:\n  from: [{group: "
      "gateway.networking.k8s.io, kind: HTTPRoute, namespace: default}]\n  to: [{group: \"\", "
      "kind: Service}]\n";
  yaml += service_of("default", "reviews", 1, "{app: reviews}");
  for (int v = 1; v <= 3; ++v) {
    const std::string version = "v" + std::to_string(v);
    const std::string labels = "{app: reviews, version: " + version + "}";
    yaml += service_of("default", "reviews-" + version, 1 + v, labels) +
            pod_at("default", "reviews-" + version, v, labels);
  }
  yaml +=
      service_of("default", "gone", 9, "{app: gone}") + pod_at("default", "gone", 9, "{app: gone}");
  return yaml + service_of("other", "reviews", 5, "{app: reviews}") +
         pod_at("other", "reviews", 5, "{app: reviews}");
}

// What the waypoint of `default` is to do when `objects` is all that is said about routes.
inline std::optional<model::Plan> planned(const std::string& objects) {
  L7World world;
  world.put(routed_world());
  world.put(objects);
  world.serve("default");
  const auto plan = world.plans.find("waypoint~default/weft-waypoint");
  if (plan == world.plans.end()) return std::nullopt;
  return plan->second;
}

class Routed : public envoy::LiveEnvoy {
 protected:
  Routed()
      : own_(envoy::can_run_envoy() && pods_are_local()),
        v1_("v1", at(1)),
        v2_("v2", at(2)),
        v3_("v3", at(3)) {}

  // Puts `objects` in place of what was said before, and waits until the Envoy has it.
  void say(const std::string& objects) {
    auto plan = planned(objects);
    ASSERT_TRUE(plan) << "no waypoint for\n" << objects;
    plan->id = kId;
    apply(*plan);
  }
  void forget() { apply({.ns = "default", .name = "weft-waypoint", .id = kId}); }

  static envoy::Ask to_reviews(envoy::Ask ask = {}) {
    ask.to = "10.96.0.1:9080";
    if (ask.host == envoy::Ask{}.host) ask.host = "reviews:9080";
    return ask;
  }
  static envoy::Answer get(envoy::Ask ask = {}) { return envoy::send(to_reviews(std::move(ask))); }
  // "v1": who answered with 200; else the status.
  static std::string who(envoy::Ask ask = {}) { return who(get(std::move(ask))); }
  static std::string who(const envoy::Answer& answer) {
    if (answer.status != 200) return std::to_string(answer.status);
    return answer.body.substr(0, answer.body.find('\n'));
  }
  // How many of `n` requests on one connection each one answered.
  static std::map<std::string, int> shares(int n, const envoy::Ask& ask = {}) {
    std::map<std::string, int> out;
    envoy::Kept kept(to_reviews(ask));
    for (int i = 0; i < n; ++i) {
      const std::string head = kept.get();
      const auto found = head.find("\r\nx-upstream: ");
      ++out[found == std::string::npos ? head.substr(0, 12) : head.substr(found + 14, 2)];
    }
    return out;
  }
  template <class Act>
  static std::chrono::milliseconds took(Act act) {
    const auto start = Clock::now();
    act();
    return std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - start);
  }

 private:
  std::string at(int number) const {
    return own_ ? "10.244.1." + std::to_string(number) + ":8080" : "127.0.0.1:0";
  }
  static bool pods_are_local() {
    const Fd control(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ifreq request{};
    std::strncpy(request.ifr_name, "lo:pods", IFNAMSIZ - 1);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    for (const auto& [call, value] :
         {std::pair{SIOCSIFADDR, 0x0AF401FEu}, std::pair{SIOCSIFNETMASK, 0xFFFFFF00u}}) {
      address.sin_addr.s_addr = htonl(value);
      std::memcpy(&request.ifr_addr, &address, sizeof address);
      EXPECT_EQ(::ioctl(control.get(), static_cast<unsigned long>(call), &request), 0)
          << std::strerror(errno);
    }
    return true;
  }
  const bool own_;  // addresses

 protected:
  envoy::Upstream v1_, v2_, v3_;
};

}  // namespace weft::controlplane
