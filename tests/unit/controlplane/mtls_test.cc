// PeerAuthentication: who decides, and what ztunnel is told.
#include "controlplane/translate/mtls.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fixture.h"

namespace weft::controlplane {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr const char* kStrict = "weft-system/istio_converted_static_strict";

std::string authn(const std::string& ns, const std::string& name, const std::string& spec,
                  const std::string& created = "") {
  const std::string when = created.empty() ? "" : ", creationTimestamp: \"" + created + "\"";
  return "---\napiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: " +
         name + ", namespace: " + ns + when + "}\nspec: " + spec + "\n";
}
const std::string kPod = pod_yaml("shop", "web", "10.0.0.1");
const std::string kSelector = "selector: {matchLabels: {app: web}}";

// Whether plaintext, and mTLS, get through to a port of the pod.
bool allowed(TestWorld& world, std::uint16_t port, bool plaintext) {
  const mesh::Identity peer{"cluster.local", "shop", "x"};
  std::vector<const mesh::Policy*> policies;
  for (const std::string& key : world.workload("shop", "web").authorization_policies)
    policies.push_back(&world.policies.at(key));
  return mesh::authorize(policies, "",
                         {*IpAddress::parse("10.0.0.7"), *IpAddress::parse("10.0.0.1"), port,
                          plaintext ? nullptr : &peer})
      .allowed;
}

struct Row {
  const char* name;
  std::string manifests;
  bool plaintext_80, plaintext_81;
};

std::vector<Row> rows() {
  const std::string strict = "{mtls: {mode: STRICT}}", permissive = "{mtls: {mode: PERMISSIVE}}",
                    unset = "{mtls: {mode: UNSET}}";
  const std::string own_strict = "{" + kSelector + ", mtls: {mode: STRICT}}",
                    own_permissive = "{" + kSelector + ", mtls: {mode: PERMISSIVE}}";
  return {
      {"nothing is PERMISSIVE", "", true, true},
      {"mesh STRICT", authn("weft-system", "m", strict), false, false},
      {"mesh STRICT in the other root", authn("istio-system", "m", strict), false, false},
      {"mesh PERMISSIVE", authn("weft-system", "m", permissive), true, true},
      {"namespace STRICT", authn("shop", "nn", strict), false, false},
      {"another namespace's STRICT", authn("other", "nn", strict), true, true},
      {"namespace beats mesh: PERMISSIVE",
       authn("weft-system", "m", strict) + authn("shop", "nn", permissive), true, true},
      {"namespace beats mesh: STRICT",
       authn("weft-system", "m", permissive) + authn("shop", "nn", strict), false, false},
      {"namespace UNSET asks the mesh",
       authn("weft-system", "m", strict) + authn("shop", "nn", unset), false, false},
      {"namespace without mtls asks the mesh",
       authn("weft-system", "m", strict) + authn("shop", "nn", "{}"), false, false},
      {"namespace DISABLE is PERMISSIVE",
       authn("weft-system", "m", strict) + authn("shop", "nn", "{mtls: {mode: DISABLE}}"), true,
       true},
      {"workload STRICT", authn("shop", "w", own_strict), false, false},
      {"workload beats namespace: PERMISSIVE",
       authn("shop", "nn", strict) + authn("shop", "w", own_permissive), true, true},
      {"workload beats namespace: STRICT",
       authn("shop", "nn", permissive) + authn("shop", "w", own_strict), false, false},
      {"workload UNSET asks the namespace",
       authn("shop", "nn", strict) + authn("shop", "w", "{" + kSelector + "}"), false, false},
      {"workload UNSET asks the mesh",
       authn("weft-system", "m", strict) + authn("shop", "w", "{" + kSelector + "}"), false, false},
      {"a selector that does not match",
       authn("shop", "w", "{selector: {matchLabels: {app: other}}, mtls: {mode: STRICT}}"), true,
       true},
      {"a root's selector is only the root's", authn("weft-system", "w", own_strict), true, true},
      {"the older namespace policy wins",
       authn("shop", "a", strict, "2024-02-02T00:00:00Z") +
           authn("shop", "b", permissive, "2024-01-01T00:00:00Z"),
       true, true},
      {"the older workload policy wins",
       authn("shop", "a", own_permissive, "2024-02-02T00:00:00Z") +
           authn("shop", "b", own_strict, "2024-01-01T00:00:00Z"),
       false, false},
      {"without timestamps the name decides",
       authn("shop", "a", strict) + authn("shop", "b", permissive), false, false},
      {"STRICT but for a port",
       authn("shop", "w",
             "{" + kSelector + ", mtls: {mode: STRICT}, portLevelMtls: {81: {mode: PERMISSIVE}}}"),
       false, true},
      {"STRICT but for a DISABLE port",
       authn("shop", "w",
             "{" + kSelector + ", mtls: {mode: STRICT}, portLevelMtls: {81: {mode: DISABLE}}}"),
       false, true},
      {"STRICT but for two ports",
       authn("shop", "w",
             "{" + kSelector +
                 ", mtls: {mode: STRICT}, portLevelMtls: {80: {mode: PERMISSIVE}, 81: {mode: "
                 "PERMISSIVE}}}"),
       true, true},
      {"PERMISSIVE but for a port",
       authn("shop", "w",
             "{" + kSelector + ", mtls: {mode: PERMISSIVE}, portLevelMtls: {80: {mode: STRICT}}}"),
       false, true},
      {"a port UNSET is the workload's",
       authn("shop", "w",
             "{" + kSelector + ", mtls: {mode: STRICT}, portLevelMtls: {80: {mode: UNSET}}}"),
       false, false},
      {"port exception under an inherited STRICT",
       authn("shop", "nn", strict) +
           authn("shop", "w", "{" + kSelector + ", portLevelMtls: {81: {mode: PERMISSIVE}}}"),
       false, true},
      {"port STRICT under an inherited PERMISSIVE",
       authn("shop", "nn", permissive) +
           authn("shop", "w", "{" + kSelector + ", portLevelMtls: {80: {mode: STRICT}}}"),
       false, true},
      {"port exception under the mesh's STRICT",
       authn("weft-system", "nn", strict) +
           authn("shop", "w", "{" + kSelector + ", portLevelMtls: {81: {mode: PERMISSIVE}}}"),
       false, true},
  };
}

TEST(PeerAuthentication, PrecedenceTable) {
  for (const Row& row : rows()) {
    TestWorld world;
    world.apply(kPod + row.manifests);
    EXPECT_EQ(allowed(world, 80, true), row.plaintext_80) << row.name;
    EXPECT_EQ(allowed(world, 81, true), row.plaintext_81) << row.name;
    EXPECT_TRUE(allowed(world, 80, false)) << row.name << ": mTLS always passes";
    EXPECT_TRUE(allowed(world, 81, false)) << row.name << ": mTLS always passes";
  }
}

TEST(PeerAuthentication, OrderOfManifestsDoesNotMatter) {
  for (const Row& row : rows()) {
    TestWorld world;
    world.apply("---\n" + row.manifests + kPod);
    EXPECT_EQ(allowed(world, 80, true), row.plaintext_80) << row.name;
  }
}

TEST(PeerAuthentication, TakenBackWhenDeleted) {
  TestWorld world;
  world.apply(kPod + authn("weft-system", "m", "{mtls: {mode: STRICT}}"));
  EXPECT_THAT(world.workload("shop", "web").authorization_policies, ElementsAre(kStrict));
  const auto changes = world.erase("PeerAuthentication.security.istio.io", "weft-system", "m");
  EXPECT_THAT(world.workload("shop", "web").authorization_policies, IsEmpty());
  EXPECT_THAT(changes.removed_policies, ElementsAre(kStrict));
}

TEST(PeerAuthentication, PortPolicyReplacesTheStaticOne) {
  TestWorld world;
  world.apply(kPod + authn("shop", "w",
                           "{" + kSelector +
                               ", mtls: {mode: STRICT}, portLevelMtls: {81: {mode: PERMISSIVE}}}"));
  EXPECT_THAT(world.workload("shop", "web").authorization_policies,
              ElementsAre("shop/converted_peer_authentication_w"));
  const mesh::Policy& policy = world.policies.at("shop/converted_peer_authentication_w");
  ASSERT_EQ(policy.rules.size(), 1u);
  EXPECT_EQ(policy.rules[0].clauses.size(), 2u) << "nobody, and not port 81";
}

TEST(PeerAuthentication, WhoIsOverruledByAnOlderOneOfItsScopeSaysSo) {
  const auto said = [](const TestWorld& world, const std::string& ns, const std::string& name) {
    const auto* status = world.world.status({"PeerAuthentication.security.istio.io", ns, name});
    if (status == nullptr || status->conditions.size() != 1) return std::string("no status");
    const model::Condition& one = status->conditions[0];
    return one.status ? "" : one.type + " " + one.reason + " " + one.message;
  };
  const auto by = [](const std::string& who) {
    return "ZtunnelAccepted Conflict PeerAuthentication " + who +
           " has the same scope and is older: it decides, and this one has no effect";
  };
  const std::string strict = "{mtls: {mode: STRICT}}";
  const std::string of_web = "{" + kSelector + ", mtls: {mode: STRICT}}";
  TestWorld world;
  world.apply(authn("shop", "young", strict, "2026-01-02T00:00:00Z") +
              authn("shop", "web-young", of_web, "2026-01-02T00:00:00Z") +
              authn("weft-system", "mesh-young", strict, "2026-01-02T00:00:00Z") +
              authn("other", "alone", strict, "2026-01-03T00:00:00Z"));
  for (const auto& [ns, name] :
       {std::pair("shop", "young"), std::pair("shop", "web-young"),
        std::pair("weft-system", "mesh-young"), std::pair("other", "alone")})
    EXPECT_EQ(said(world, ns, name), "") << name;
  const auto changes =
      world.apply(authn("shop", "old", strict, "2026-01-01T00:00:00Z") +
                  authn("shop", "web-old", of_web, "2026-01-01T00:00:00Z") +
                  authn("istio-system", "mesh-old", strict, "2026-01-01T00:00:00Z"));
  EXPECT_EQ(said(world, "shop", "young"), by("shop/old"));
  EXPECT_EQ(said(world, "shop", "web-young"), by("shop/web-old"));
  EXPECT_EQ(said(world, "weft-system", "mesh-young"), by("istio-system/mesh-old"));
  for (const auto& [ns, name] :
       {std::pair("shop", "old"), std::pair("shop", "web-old"),
        std::pair("istio-system", "mesh-old"), std::pair("other", "alone")})
    EXPECT_EQ(said(world, ns, name), "") << name;
  EXPECT_THAT(changes.statuses, testing::Contains(source::ObjectKey{
                                    "PeerAuthentication.security.istio.io", "shop", "young"}));
  // Of pods with more labels, the older one with fewer decides; the other way round, for some.
  world.apply(authn("shop", "web-v2",
                    "{selector: {matchLabels: {app: web, version: v2}}, mtls: {mode: PERMISSIVE}}",
                    "2026-01-03T00:00:00Z"));
  EXPECT_EQ(said(world, "shop", "web-v2"), by("shop/web-old"));
  world.erase("PeerAuthentication.security.istio.io", "shop", "old");
  EXPECT_EQ(said(world, "shop", "young"), "");
}

TEST(PeerAuthentication, RefusedByName) {
  const std::pair<const char*, const char*> bad[] = {
      {"{mtls: {mode: strict}}",
       "spec.mtls.mode: must be UNSET, DISABLE, PERMISSIVE or STRICT, got \"strict\""},
      {"{mtls: STRICT}", "spec.mtls: must be a map"},
      {"{mtls: {mod: STRICT}}", "spec.mtls.mod: unknown field"},
      {"{tls: {mode: STRICT}}", "spec.tls: unknown field"},
      {"{portLevelMtls: {80: {mode: STRICT}}}", "spec.portLevelMtls: needs a selector"},
      {"{selector: {matchLabels: {a: b}}, portLevelMtls: {http: {mode: STRICT}}}",
       "spec.portLevelMtls.http: the key must be a port"},
      {"{selector: {matchLabels: {a: b}}, portLevelMtls: {70000: {mode: STRICT}}}",
       "spec.portLevelMtls.70000: the key must be a port"},
  };
  for (const auto& [spec, error] : bad) {
    const auto parsed = source::parse_manifest(authn("shop", "w", spec), "f.yaml");
    ASSERT_TRUE(parsed);
    const auto problem = translate::admit(*(*parsed)[0]);
    ASSERT_TRUE(problem) << spec;
    EXPECT_THAT(problem->text, HasSubstr(error)) << spec;
  }
}

}  // namespace
}  // namespace weft::controlplane
