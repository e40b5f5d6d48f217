#include "mesh/snapshot.h"

#include <gtest/gtest.h>

#include "world.h"

namespace weft::mesh {
namespace {

TEST(Snapshot, OneAddressBelongsToThePodAmongSeveralWorkloads) {
  auto entry = pod("entry", "10.0.0.1");
  entry.uid = "Kubernetes/networking.istio.io/WorkloadEntry/default/entry";
  const auto s = Builder().add(entry).add(pod("p", "10.0.0.1")).build();
  EXPECT_EQ(s->workload_by_ip(ip("10.0.0.1"))->name, "p");
}

TEST(Snapshot, HostNetworkPodsAreNotFoundByAddress) {
  auto host = pod("host", "172.31.0.1");
  host.host_network = true;
  EXPECT_FALSE(Builder().add(host).build()->workload_by_ip(ip("172.31.0.1")));
}

TEST(Snapshot, FindsTheLocalPodByNameAccountAndNode) {
  const auto s = Builder().add(pod("a", "10.0.0.1")).build();
  EXPECT_TRUE(s->local_workload("a", "default", "a", "node1"));
  EXPECT_TRUE(s->local_workload("a", "default", "a", ""));
  EXPECT_FALSE(s->local_workload("a", "default", "a", "node2"));
  EXPECT_FALSE(s->local_workload("a", "default", "other", "node1"));
}

TEST(Snapshot, AnExactVipBeatsACidrAndTheLongestCidrWins) {
  auto wide = service("wide", nullptr, {}), narrow = service("narrow", nullptr, {}), exact = service("exact", "10.96.1.1", {});
  wide.addresses = {{"", ip("10.96.0.0"), 16}};
  narrow.addresses = {{"", ip("10.96.1.0"), 24}};
  const auto s = Builder().add(wide).add(narrow).add(exact).build();
  EXPECT_EQ(s->service_by_vip(ip("10.96.1.1"), "default")->name, "exact");
  EXPECT_EQ(s->service_by_vip(ip("10.96.1.2"), "default")->name, "narrow");
  EXPECT_EQ(s->service_by_vip(ip("10.96.2.2"), "default")->name, "wide");
  EXPECT_FALSE(s->service_by_vip(ip("10.97.0.1"), "default"));
}

TEST(Snapshot, PrivateServicesAreForTheirNamespace) {
  auto s = service("web", "10.96.0.5", {});
  s.namespace_private = true;
  const auto snapshot = Builder().add(s).build();
  EXPECT_TRUE(snapshot->service_by_vip(ip("10.96.0.5"), "default"));
  EXPECT_FALSE(snapshot->service_by_vip(ip("10.96.0.5"), "other"));
  EXPECT_FALSE(snapshot->service_by_hostname("web.default.svc.cluster.local", "other"));
}

TEST(Snapshot, CollectsGlobalNamespaceAndNamedPolicies) {
  auto w = pod("a", "10.0.0.1");
  w.authorization_policies = {"default/selected", "default/missing"};
  const auto s = Builder()
                     .add(w)
                     .add(Policy{.name = "global", .ns = "weft-system", .scope = PolicyScope::kGlobal})
                     .add(Policy{.name = "ns", .ns = "default", .scope = PolicyScope::kNamespace})
                     .add(Policy{.name = "elsewhere", .ns = "other", .scope = PolicyScope::kNamespace})
                     .add(Policy{.name = "selected", .ns = "default", .scope = PolicyScope::kWorkloadSelector})
                     .add(Policy{.name = "unselected", .ns = "default", .scope = PolicyScope::kWorkloadSelector})
                     .build();
  std::string unknown;
  const auto found = s->policies_for(*s->workload_by_ip(ip("10.0.0.1")), unknown);
  std::vector<std::string> names;
  for (const auto* p : found) names.push_back(p->name);
  EXPECT_EQ(names, (std::vector<std::string>{"global", "ns", "selected"}));
  EXPECT_EQ(unknown, "default/missing");
}

}  // namespace
}  // namespace weft::mesh
