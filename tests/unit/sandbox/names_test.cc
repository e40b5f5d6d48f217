#include <gtest/gtest.h>

#include "sandbox/ids.h"
#include "sandbox/kinds.h"
#include "sandbox/layout.h"

namespace weft::sandbox {
namespace {

TEST(Layout, NodesAndPodsHaveTheAddressesOfTheDesign) {
  const NodeNet net{12};
  EXPECT_EQ(net.name(), "node12");
  EXPECT_EQ(net.v4(), "172.31.0.12");
  EXPECT_EQ(net.v6(), "fd00:172:31::c");
  EXPECT_EQ(net.pods_v4(), "10.244.12.0/24");
  EXPECT_EQ(net.pods_v6(), "fd00:244:12::/64");
  EXPECT_EQ(net.pod_v4(10), "10.244.12.10");
  EXPECT_EQ(net.pod_v6(10), "fd00:244:12::a");
}

TEST(Layout, NodeNamesAreReadBack) {
  EXPECT_EQ(node_index("node7"), 7);
  for (const char* name : {"node", "node0", "node99", "node7x", "nod7", ""})
    EXPECT_EQ(node_index(name), 0) << name;
}

TEST(Layout, ASandboxNameCannotLeaveItsDirectory) {
  EXPECT_TRUE(is_sandbox_name("weft-2"));
  for (const char* name : {"", "..", "a/b", "-a", "a.b", "aaaaaaaaaaaaaaaaaaaaa"})
    EXPECT_FALSE(is_sandbox_name(name)) << name;
}

TEST(Kinds, AreFoundByEveryNameKubectlKnows) {
  for (const char* word : {"po", "pod", "pods", "Pod", "PODS"})
    EXPECT_EQ(find_kind(word, {}).key(), "Pod") << word;
  EXPECT_EQ(find_kind("svc", {}).key(), "Service");
  EXPECT_EQ(find_kind("deploy", {}).key(), "Deployment.apps");
  EXPECT_EQ(find_kind("authorizationpolicies", {}).key(), "AuthorizationPolicy.security.istio.io");
  EXPECT_EQ(find_kind("peerauthentication.security.istio.io", {}).key(),
            "PeerAuthentication.security.istio.io");
}

TEST(Kinds, OneNameInTwoGroupsIsToldApart) {
  EXPECT_EQ(find_kind("gateway.networking.istio.io", {}).group, "networking.istio.io");
  EXPECT_EQ(find_kind("gateway", {}).group, "gateway.networking.k8s.io");
}

TEST(Kinds, UnknownOnesCanBeNamedOnceTheyAreThere) {
  EXPECT_EQ(find_kind("widgets", {}).kind, "");
  EXPECT_EQ(find_kind("Widget", {"Widget.example.com"}).key(), "Widget.example.com");
}

TEST(Kinds, KnowWhatHasNoNamespace) {
  EXPECT_FALSE(kind_of("v1", "Namespace").namespaced);
  EXPECT_FALSE(kind_of("v1", "Node").namespaced);
  EXPECT_TRUE(kind_of("v1", "Pod").namespaced);
  EXPECT_EQ(kind_of("security.istio.io/v1", "AuthorizationPolicy").resource(),
            "authorizationpolicies.security.istio.io");
}

TEST(Ids, UidsAreUuidsAndDiffer) {
  const auto a = new_uid(), b = new_uid();
  EXPECT_EQ(a.size(), 36u);
  EXPECT_EQ(a[14], '4');
  EXPECT_NE(a, b);
}

TEST(Ids, TemplateHashIsAFunctionOfTheText) {
  EXPECT_EQ(template_hash("a"), template_hash("a"));
  EXPECT_NE(template_hash("a"), template_hash("b"));
  EXPECT_EQ(template_hash("a").size(), 10u);
}

TEST(Ids, TimestampsAreReadBack) {
  EXPECT_LE(seconds_since(now_rfc3339()), 2);
  EXPECT_GE(seconds_since("2020-01-01T00:00:00Z"), 3600);
  EXPECT_EQ(seconds_since("nonsense"), 0);
}

}  // namespace
}  // namespace weft::sandbox
