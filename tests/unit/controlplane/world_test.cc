#include "controlplane/translate/world.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fixture.h"

namespace weft::controlplane {
namespace {

using mesh::TunnelProtocol;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

std::string ns_yaml(const std::string& name, const std::string& labels,
                    const std::string& annotations = "{}") {
  return "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: " + name + ", labels: " + labels +
         ", annotations: " + annotations + "}\n";
}
std::string service_yaml(const std::string& name, const std::string& spec,
                         const std::string& ns = "shop") {
  return "---\napiVersion: v1\nkind: Service\nmetadata: {name: " + name + ", namespace: " + ns +
         "}\nspec: " + spec + "\n";
}
std::string policy_yaml(const std::string& ns, const std::string& name, const std::string& spec) {
  return "---\napiVersion: security.istio.io/v1beta1\nkind: AuthorizationPolicy\nmetadata: "
         "{name: " +
         name + ", namespace: " + ns + "}\nspec: " + spec + "\n";
}

std::vector<std::string> uids(const translate::Changes& changes) {
  std::vector<std::string> out;
  for (const auto& one : changes.workloads) out.push_back(one.uid);
  return out;
}

TEST(Enrollment, FollowsTheLabels) {
  struct Row {
    const char* name;
    std::string ns_labels, ns_annotations, pod_labels, pod_spec;
    bool hbone;
  };
  const Row rows[] = {
      {"no label", "{}", "{}", "{}", "", false},
      {"namespace enabled", "{weft.dev/mesh: enabled}", "{}", "{}", "", true},
      {"namespace ambient", "{istio.io/dataplane-mode: ambient}", "{}", "{}", "", true},
      {"namespace injection", "{istio-injection: enabled}", "{}", "{}", "", true},
      {"namespace linkerd", "{}", "{linkerd.io/inject: enabled}", "{}", "", true},
      {"pod enabled", "{}", "{}", "{weft.dev/mesh: enabled}", "", true},
      {"pod disabled beats namespace", "{weft.dev/mesh: enabled}", "{}",
       "{weft.dev/mesh: disabled}", "", false},
      {"pod none beats namespace", "{weft.dev/mesh: enabled}", "{}",
       "{istio.io/dataplane-mode: none}", "", false},
      {"host network never", "{weft.dev/mesh: enabled}", "{}", "{}", ", hostNetwork: true", false},
  };
  for (const Row& row : rows) {
    TestWorld world;
    world.apply(ns_yaml("shop", row.ns_labels, row.ns_annotations) +
                pod_yaml("shop", "web", "10.0.0.1", row.pod_labels, row.pod_spec));
    EXPECT_EQ(world.workload("shop", "web").tunnel_protocol,
              row.hbone ? TunnelProtocol::kHbone : TunnelProtocol::kNone)
        << row.name;
  }
}

TEST(Enrollment, LabelingTheNamespaceTouchesItsPodsAndNoOthers) {
  TestWorld world;
  world.apply(pod_yaml("shop", "web", "10.0.0.1") + pod_yaml("other", "web", "10.0.0.2"));
  const auto changes = world.apply(ns_yaml("shop", "{weft.dev/mesh: enabled}"));
  EXPECT_THAT(uids(changes), ElementsAre("Kubernetes//Pod/shop/web"));
  EXPECT_EQ(world.workload("shop", "web").tunnel_protocol, TunnelProtocol::kHbone);
  world.erase("Namespace", "", "shop");
  EXPECT_EQ(world.workload("shop", "web").tunnel_protocol, TunnelProtocol::kNone);
}

TEST(World, PodBecomesAWorkload) {
  TestWorld world;
  world.apply(R"(
apiVersion: v1
kind: Node
metadata: {name: node1, labels: {topology.kubernetes.io/region: r1, topology.kubernetes.io/zone: z1}}
---
apiVersion: v1
kind: Pod
metadata:
  name: web-7d4c9-abcde
  namespace: shop
  labels: {app: web, version: v2, pod-template-hash: 7d4c9}
  ownerReferences: [{kind: ReplicaSet, name: web-7d4c9, controller: true}]
spec: {nodeName: node1, serviceAccountName: web-account}
status: {phase: Running, podIPs: [{ip: 10.0.0.1}, {ip: "fd00::1"}], conditions: [{type: Ready, status: "True"}]}
)");
  const mesh::Workload& workload = world.workload("shop", "web-7d4c9-abcde");
  EXPECT_EQ(workload.name, "web-7d4c9-abcde");
  EXPECT_EQ(workload.service_account, "web-account");
  EXPECT_EQ(workload.node, "node1");
  EXPECT_EQ(workload.workload_name, "web");
  EXPECT_EQ(workload.canonical_name, "web");
  EXPECT_EQ(workload.canonical_revision, "v2");
  EXPECT_EQ(workload.addresses.size(), 2u);
  EXPECT_EQ(workload.locality.zone, "z1");
  EXPECT_TRUE(workload.healthy);
}

TEST(World, NamesComeFromOwnersAndLabels) {
  struct Row {
    const char* kind;
    const char* owner;
    const char* labels;
    const char* workload;
    const char* canonical;
    const char* revision;
  };
  const Row rows[] = {
      {"ReplicaSet", "web-7d4c9", "{pod-template-hash: 7d4c9}", "web", "web", "latest"},
      {"ReplicaSet", "bare-rs", "{}", "bare-rs", "bare-rs", "latest"},
      {"StatefulSet", "db", "{app: database}", "db", "database", "latest"},
      {"Job", "backup-28394920", "{}", "backup", "backup", "latest"},
      {"Job", "once-12", "{}", "once-12", "once-12", "latest"},
      {"ReplicaSet", "x-1", "{app.kubernetes.io/name: nm, app: a, app.kubernetes.io/version: v9}",
       "x-1", "nm", "v9"},
      {"ReplicaSet", "x-1",
       "{service.istio.io/canonical-name: c, app: a, service.istio.io/canonical-revision: r}",
       "x-1", "c", "r"},
  };
  for (const Row& row : rows) {
    TestWorld world;
    world.apply(
        std::string("apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: shop, labels: ") +
        row.labels + ", ownerReferences: [{kind: " + row.kind + ", name: " + row.owner +
        ", controller: true}]}\nstatus: {podIP: 10.0.0.1}\n");
    const mesh::Workload& workload = world.workload("shop", "p");
    EXPECT_EQ(workload.workload_name, row.workload) << row.owner;
    EXPECT_EQ(workload.canonical_name, row.canonical) << row.owner;
    EXPECT_EQ(workload.canonical_revision, row.revision) << row.owner;
  }
}

TEST(World, PodsThatCannotBeReachedAreNoWorkloads) {
  TestWorld world;
  world.apply(
      "apiVersion: v1\nkind: Pod\nmetadata: {name: pending, namespace: shop}\nstatus: {phase: "
      "Pending}\n---\n"
      "apiVersion: v1\nkind: Pod\nmetadata: {name: done, namespace: shop}\nstatus: {phase: "
      "Succeeded, podIP: 10.0.0.1}\n");
  EXPECT_THAT(world.workloads, IsEmpty());
}

TEST(World, HealthIsReadinessAndNotLeaving) {
  TestWorld world;
  world.apply(
      "apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: shop}\nstatus: {podIP: 10.0.0.1, "
      "conditions: [{type: Ready, status: \"False\"}]}\n---\n"
      "apiVersion: v1\nkind: Pod\nmetadata: {name: b, namespace: shop, deletionTimestamp: "
      "\"2024-01-01T00:00:00Z\"}\n"
      "status: {podIP: 10.0.0.2, conditions: [{type: Ready, status: \"True\"}]}\n");
  EXPECT_FALSE(world.workload("shop", "a").healthy);
  EXPECT_FALSE(world.workload("shop", "b").healthy);
}

TEST(World, ServicesSelectPodsAndResolveNamedPorts) {
  TestWorld world;
  world.apply(pod_yaml("shop", "web", "10.0.0.1", "{app: web}",
                       ", containers: [{ports: [{name: http, containerPort: 8080}]}]") +
              pod_yaml("shop", "old", "10.0.0.2", "{app: web}",
                       ", containers: [{ports: [{name: http, containerPort: 9090}]}]") +
              pod_yaml("shop", "none", "10.0.0.3", "{app: web}") +
              pod_yaml("other", "web", "10.0.0.4") +
              service_yaml("web",
                           "{clusterIP: 10.96.0.1, selector: {app: web}, ports: [{name: http, "
                           "port: 80, targetPort: http}, {name: raw, port: 81}, "
                           "{name: dns, port: 53, protocol: UDP}]}"));
  const std::string key = "shop/web.shop.svc.cluster.local";
  auto ports = [&](const char* pod) {
    std::vector<std::pair<int, int>> out;
    for (const mesh::Port& port : world.workload("shop", pod).services.at(key))
      out.emplace_back(port.service_port, port.target_port);
    return out;
  };
  EXPECT_THAT(ports("web"), ElementsAre(std::pair(80, 8080), std::pair(81, 81)));
  EXPECT_THAT(ports("old"), ElementsAre(std::pair(80, 9090), std::pair(81, 81)));
  EXPECT_THAT(ports("none"), ElementsAre(std::pair(81, 81)))
      << "a pod without the named port does not serve it";
  EXPECT_THAT(world.workload("other", "web").services, IsEmpty());
  const mesh::Service& service = world.services.at(key);
  EXPECT_EQ(service.ports.at(0).target_port, 0) << "named: the endpoint decides";
  EXPECT_EQ(service.ports.at(0).app_protocol, mesh::AppProtocol::kHttp11);
  EXPECT_EQ(service.ports.size(), 2u) << "UDP is not the mesh's";
  EXPECT_TRUE(service.canonical);
}

TEST(World, ServiceKindsAndBalancing) {
  TestWorld world;
  world.apply(
      service_yaml("headless",
                   "{clusterIP: None, selector: {app: web}, publishNotReadyAddresses: true}") +
      service_yaml("local", "{clusterIP: 10.96.0.2, internalTrafficPolicy: Local}") +
      service_yaml(
          "zone",
          "{clusterIP: 10.96.0.3, trafficDistribution: PreferClose, ipFamilies: [IPv4, IPv6]}") +
      service_yaml("out", "{type: ExternalName, externalName: example.com}"));
  EXPECT_EQ(world.services.size(), 3u);
  const auto& headless = world.services.at("shop/headless.shop.svc.cluster.local");
  EXPECT_THAT(headless.addresses, IsEmpty());
  EXPECT_TRUE(headless.load_balancing.allow_unhealthy);
  const auto& local = world.services.at("shop/local.shop.svc.cluster.local").load_balancing;
  EXPECT_EQ(local.mode, mesh::BalanceMode::kStrict);
  EXPECT_THAT(local.preference, ElementsAre(mesh::Scope::kNode));
  const auto& zone = world.services.at("shop/zone.shop.svc.cluster.local");
  EXPECT_EQ(zone.load_balancing.mode, mesh::BalanceMode::kFailover);
  EXPECT_EQ(zone.ip_families, mesh::IpFamilies::kDual);
}

TEST(World, EndpointSlicesReplaceSelectors) {
  TestWorld world;
  const std::string key = "shop/db.shop.svc.cluster.local";
  world.apply(
      pod_yaml("shop", "in", "10.0.0.1") + pod_yaml("shop", "out", "10.0.0.2") +
      service_yaml(
          "db", "{clusterIP: 10.96.0.1, selector: {app: web}, ports: [{name: sql, port: 5432}]}"));
  EXPECT_TRUE(world.workload("shop", "out").services.contains(key));
  world.apply(R"(
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: db-1, namespace: shop, labels: {kubernetes.io/service-name: db}}
addressType: IPv4
ports: [{name: sql, port: 15432}]
endpoints:
- {addresses: [10.0.0.1], targetRef: {kind: Pod, name: in}}
- {addresses: [192.0.2.7]}
)");
  EXPECT_EQ(world.workload("shop", "in").services.at(key).at(0).target_port, 15432);
  EXPECT_FALSE(world.workload("shop", "out").services.contains(key));
  const std::string outside = "Kubernetes/discovery.k8s.io/EndpointSlice/shop/db-1/192.0.2.7";
  ASSERT_TRUE(world.workloads.contains(outside));
  EXPECT_EQ(world.workloads[outside].tunnel_protocol, TunnelProtocol::kNone);
  const auto changes = world.erase("EndpointSlice.discovery.k8s.io", "shop", "db-1");
  EXPECT_THAT(changes.removed_workloads, ElementsAre(outside));
  EXPECT_TRUE(world.workload("shop", "out").services.contains(key));
}

TEST(World, SelectorPoliciesAreNamedByTheirWorkloads) {
  TestWorld world;
  world.apply(
      pod_yaml("shop", "web", "10.0.0.1") + pod_yaml("shop", "db", "10.0.0.2", "{app: db}") +
      pod_yaml("other", "web", "10.0.0.3") +
      policy_yaml("shop", "for-web", "{selector: {matchLabels: {app: web}}, rules: [{}]}") +
      policy_yaml("shop", "for-all", "{rules: [{}]}") +
      policy_yaml("weft-system", "mesh-web", "{selector: {matchLabels: {app: web}}, rules: [{}]}"));
  EXPECT_THAT(world.workload("shop", "web").authorization_policies,
              ElementsAre("shop/for-web", "weft-system/mesh-web"));
  EXPECT_THAT(world.workload("shop", "db").authorization_policies, IsEmpty());
  EXPECT_THAT(world.workload("other", "web").authorization_policies,
              ElementsAre("weft-system/mesh-web"));
  EXPECT_EQ(world.policies.at("shop/for-all").scope, mesh::PolicyScope::kNamespace);
}

TEST(World, PolicyOfAServiceIsAtItsWorkloads) {
  TestWorld world;
  world.apply(
      pod_yaml("shop", "web", "10.0.0.1") + pod_yaml("shop", "db", "10.0.0.2", "{app: db}") +
      service_yaml("web", "{clusterIP: 10.96.0.1, selector: {app: web}, ports: [{port: 80}]}") +
      policy_yaml("shop", "p",
                  "{targetRefs: [{kind: Service, group: \"\", name: web}], rules: [{}]}") +
      policy_yaml("shop", "gw",
                  "{targetRefs: [{kind: Gateway, group: gateway.networking.k8s.io, name: web}], "
                  "rules: [{}]}"));
  EXPECT_THAT(world.workload("shop", "web").authorization_policies, ElementsAre("shop/p"));
  EXPECT_THAT(world.workload("shop", "db").authorization_policies, IsEmpty());
}

TEST(World, DeletedPolicyIsTakenFromWorkloadsAndRemoved) {
  TestWorld world;
  world.apply(pod_yaml("shop", "web", "10.0.0.1") +
              policy_yaml("shop", "p", "{selector: {matchLabels: {app: web}}, rules: [{}]}"));
  const auto changes = world.erase("AuthorizationPolicy.security.istio.io", "shop", "p");
  EXPECT_THAT(changes.removed_policies, ElementsAre("shop/p"));
  EXPECT_THAT(world.workload("shop", "web").authorization_policies, IsEmpty());
}

TEST(World, OneMorePodTouchesOnlyItself) {
  TestWorld world;
  std::string many;
  for (int i = 0; i < 50; ++i)
    many += pod_yaml("shop", "p" + std::to_string(i), "10.0.1." + std::to_string(i));
  world.apply(many);
  const auto changes = world.apply(pod_yaml("shop", "one-more", "10.0.2.1"));
  EXPECT_THAT(uids(changes), ElementsAre("Kubernetes//Pod/shop/one-more"));
  EXPECT_THAT(changes.services, IsEmpty());
  EXPECT_THAT(changes.policies, IsEmpty());
}

TEST(World, PlacementsFollowPods) {
  TestWorld world;
  world.apply(pod_yaml("shop", "web", "10.0.0.1"));
  ASSERT_EQ(world.world.placements().size(), 1u);
  EXPECT_EQ(world.world.placements()[0].node, "node1");
  EXPECT_EQ(world.world.placements()[0].service_account, "web");
  world.erase("Pod", "shop", "web");
  ASSERT_EQ(world.world.placements().size(), 1u);
  EXPECT_EQ(world.world.placements()[0].node, "");
}

TEST(World, EveryMeshObjectHasAStatus) {
  TestWorld world;
  world.apply(
      policy_yaml("shop", "ok", "{rules: [{}]}") +
      policy_yaml("shop", "l7", "{rules: [{to: [{operation: {methods: [GET]}}]}]}") +
      "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: vs, "
      "namespace: shop}\nspec: {hosts: [a], http: [{route: [{destination: {host: a}}]}]}\n"
      "---\napiVersion: networking.istio.io/v1alpha3\nkind: EnvoyFilter\nmetadata: {name: ef, "
      "namespace: shop}\nspec: {}\n");
  std::map<std::string, std::string> reasons;
  for (const auto& status : world.world.statuses())
    reasons[status.key.name] = status.conditions.at(0).reason;
  EXPECT_EQ(reasons["ok"], "Accepted");
  EXPECT_EQ(reasons["l7"], "UnsupportedValue");
  EXPECT_EQ(reasons["vs"], "Reconciled");
  EXPECT_EQ(reasons["ef"], "UnsupportedKind");
  EXPECT_EQ(world.world.problems(), 3u) << "l7 waits for ztunnel and for a waypoint";
}

TEST(World, TheSameStatusOfAnotherGenerationIsTold) {
  TestWorld world;
  const auto told = [&](const std::string& kind, int generation, const std::string& spec) {
    const auto changes = world.apply("apiVersion: security.istio.io/v1\nkind: " + kind +
                                     "\nmetadata: {name: p, namespace: shop, generation: " +
                                     std::to_string(generation) + "}\nspec: " + spec + "\n");
    return changes.statuses.size();
  };
  EXPECT_EQ(told("AuthorizationPolicy", 1, "{action: DENY, rules: [{}]}"), 1u);
  EXPECT_EQ(told("AuthorizationPolicy", 1, "{action: DENY, rules: [{}]}"), 0u) << "nothing is new";
  EXPECT_EQ(told("AuthorizationPolicy", 2, "{action: ALLOW, rules: [{}]}"), 1u);
  EXPECT_EQ(told("PeerAuthentication", 1, "{mtls: {mode: STRICT}}"), 1u);
  EXPECT_EQ(told("PeerAuthentication", 1, "{mtls: {mode: STRICT}}"), 0u);
  EXPECT_EQ(told("PeerAuthentication", 2, "{mtls: {mode: PERMISSIVE}}"), 1u);
  const auto* status = world.world.status({"PeerAuthentication.security.istio.io", "shop", "p"});
  ASSERT_NE(status, nullptr);
  EXPECT_EQ(status->generation, 2);
  EXPECT_EQ(world.erase("PeerAuthentication.security.istio.io", "shop", "p").statuses.size(), 1u);
}

}  // namespace
}  // namespace weft::controlplane
