#include "agent/enroll.h"

#include <gtest/gtest.h>

#include "agent/inventory.h"
#include "source/object.h"

namespace weft::agent {
namespace {

source::Pod pod(std::string name) {
  source::Pod made;
  made.name = name;
  made.ns = "shop";
  made.uid = "uid-" + name;
  made.node_name = "node1";
  made.phase = "Running";
  made.ips = {*IpAddress::parse("10.244.1.7")};
  return made;
}

source::Namespace labelled(const char* key, const char* value) {
  source::Namespace made;
  made.name = "shop";
  made.labels[key] = value;
  return made;
}

struct Row {
  const char* claim;
  source::Pod pod;
  source::Namespace ns;
  bool enrolled;
  const char* reason;
  const char* key;
};

TEST(DecidePods, ObeysTheTable) {
  const auto plain = source::Namespace{.name = "shop", .labels = {}, .annotations = {}};
  const auto meshed = labelled("weft.dev/mesh", "enabled");
  std::vector<Row> rows = {
      {"no label", pod("a"), plain, false, "neither the pod nor its namespace asks for it", ""},
      {"namespace label", pod("a"), meshed, true, "enabled by namespace", "weft.dev/mesh"},
      {"istio's namespace label", pod("a"), labelled("istio.io/dataplane-mode", "ambient"), true, "enabled by namespace",
       "istio.io/dataplane-mode"},
      {"host network", pod("a"), meshed, false, "hostNetwork pods are never enrolled", ""},
      {"pod says no", pod("a"), meshed, false, "disabled by pod", "weft.dev/mesh"},
      {"pod says yes", pod("a"), plain, true, "enabled by pod", "weft.dev/mesh"},
      {"finished", pod("a"), meshed, false, "the pod has finished", "weft.dev/mesh"},
      {"no address", pod("a"), meshed, false, "the pod has no address yet", "weft.dev/mesh"},
      {"no uid", pod("a"), meshed, false, "the pod has no metadata.uid", "weft.dev/mesh"},
      {"being deleted", pod("a"), meshed, true, "enabled by namespace", "weft.dev/mesh"},
  };
  rows[3].pod.host_network = true;
  rows[4].pod.labels["weft.dev/mesh"] = "disabled";
  rows[5].pod.labels["weft.dev/mesh"] = "enabled";
  rows[6].pod.phase = "Succeeded";
  rows[7].pod.ips.clear();
  rows[8].pod.uid.clear();
  rows[9].pod.deleting = true;
  for (const auto& row : rows) {
    SCOPED_TRACE(row.claim);
    const auto desired = decide_pods({row.pod}, {{"shop", row.ns}}, "node1");
    ASSERT_EQ(desired.pods.size(), row.enrolled ? 1u : 0u);
    ASSERT_EQ(desired.plain.size(), row.enrolled ? 0u : 1u);
    EXPECT_EQ(row.enrolled ? desired.pods.begin()->second.reason : desired.plain[0].reason, row.reason);
    EXPECT_EQ(row.enrolled ? desired.pods.begin()->second.key : desired.plain[0].key, row.key);
  }
}

TEST(DecidePods, LeavesOtherNodesPodsOut) {
  auto elsewhere = pod("a");
  elsewhere.node_name = "node2";
  auto unscheduled = pod("b");
  unscheduled.node_name = "";
  const auto desired = decide_pods({elsewhere, unscheduled}, {{"shop", labelled("weft.dev/mesh", "enabled")}}, "node1");
  EXPECT_TRUE(desired.pods.empty());
  EXPECT_TRUE(desired.plain.empty());
}

TEST(DecidePods, JudgesAPodWithoutItsNamespaceByItsOwnLabels) {
  auto own = pod("a");
  own.labels["weft.dev/mesh"] = "enabled";
  const auto desired = decide_pods({own, pod("b")}, {}, "node1");
  EXPECT_EQ(desired.pods.size(), 1u);
  ASSERT_EQ(desired.plain.size(), 1u);
  EXPECT_EQ(desired.plain[0].name, "b");
}

TEST(DecidePods, LetsEverybodyGoWhenTheMeshIsUninstalled) {
  const auto meshed = labelled("weft.dev/mesh", "enabled");
  auto own = pod("a");
  own.labels["weft.dev/mesh"] = "enabled";
  source::Namespace system{.name = "weft-system", .labels = {}, .annotations = {{"weft.dev/uninstalling", "true"}}};
  const auto leaving = decide_pods({own, pod("b")}, {{"shop", meshed}, {"weft-system", system}}, "node1");
  EXPECT_TRUE(leaving.pods.empty());
  ASSERT_EQ(leaving.plain.size(), 2u);
  EXPECT_EQ(leaving.plain[0].reason, "the mesh is being uninstalled");
  EXPECT_FALSE(leaving.plain[0].wanted) << "it waits for nothing";

  system.annotations["weft.dev/uninstalling"] = "false";
  EXPECT_EQ(decide_pods({pod("b")}, {{"shop", meshed}, {"weft-system", system}}, "node1").pods.size(), 1u);
  auto elsewhere = meshed;  // nobody else's namespace may say so
  elsewhere.annotations["weft.dev/uninstalling"] = "true";
  EXPECT_EQ(decide_pods({pod("b")}, {{"shop", elsewhere}}, "node1").pods.size(), 1u);
}

source::Batch manifest(const char* text) {
  auto objects = source::parse_manifest(text, "test.yaml");
  EXPECT_TRUE(objects.has_value()) << (objects ? "" : objects.error().text);
  return {objects.value_or(std::vector<source::ObjectPtr>{}), {}};
}

constexpr const char* kWorld = R"(
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {weft.dev/mesh: enabled}}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, uid: u1}
spec: {nodeName: node1, serviceAccountName: front}
status: {phase: Running, podIPs: [{ip: "fd00::7"}, {ip: 10.244.1.7}]}
)";

TEST(Inventory, FollowsLabelsAndDeletions) {
  Inventory inventory;
  EXPECT_TRUE(inventory.apply(manifest(kWorld)));
  const auto desired = inventory.decide("node1");
  ASSERT_TRUE(desired.pods.contains("u1"));
  EXPECT_EQ(desired.pods.at("u1").service_account, "front");
  EXPECT_EQ(desired.pods.at("u1").ips.size(), 2u);

  EXPECT_TRUE(inventory.apply(manifest("{apiVersion: v1, kind: Namespace, metadata: {name: shop}}")));
  EXPECT_TRUE(inventory.decide("node1").pods.empty());
  EXPECT_TRUE(inventory.apply({{}, {{"Pod", "shop", "web"}}}));
  EXPECT_TRUE(inventory.decide("node1").plain.empty());
}

TEST(Inventory, PassesByWhatItDoesNotNeed) {
  Inventory inventory;
  EXPECT_FALSE(inventory.apply(manifest("{apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop}}")));
  EXPECT_FALSE(inventory.apply({{}, {{"Service", "shop", "web"}}}));
}

}  // namespace
}  // namespace weft::agent
