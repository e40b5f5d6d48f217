#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "source/object.h"

namespace weft::source {
namespace {

constexpr const char* kTwo = R"(# a comment
apiVersion: v1
kind: Namespace
metadata:
  name: shop
  labels: {weft.dev/mesh: enabled, quoted: "true", number: '7'}
---
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: allow}
spec:
  rules:
  - to:
    - operation:
        ports: ["80"]
)";

TEST(Manifest, ReadsEveryDocumentAndSkipsEmptyOnes) {
  const auto objects = parse_manifest(kTwo, "f.yaml");
  ASSERT_TRUE(objects) << objects.error().text;
  ASSERT_EQ(objects->size(), 2u);
  const Object& ns = *(*objects)[0];
  EXPECT_EQ(ns.key().str(), "Namespace shop");
  EXPECT_EQ(ns.labels.at("weft.dev/mesh"), "enabled");
  EXPECT_EQ(ns.labels.at("quoted"), "true");
  EXPECT_EQ(ns.labels.at("number"), "7");
  EXPECT_EQ(ns.origin, "f.yaml:2");
  EXPECT_EQ((*objects)[1]->key().str(), "AuthorizationPolicy.security.istio.io default/allow");
}

TEST(Manifest, KnowsTheLineOfEveryField) {
  const auto objects = parse_manifest(kTwo, "f.yaml");
  ASSERT_TRUE(objects);
  EXPECT_EQ((*objects)[1]->at("spec.rules[0].to[0].operation.ports[0]"), "f.yaml:16");
  EXPECT_EQ((*objects)[1]->at("spec.rules[0].to[0].operation.paths"), "f.yaml:16")
      << "an absent field is at its parent's first line";
  EXPECT_EQ((*objects)[0]->at("metadata.labels[\"weft.dev/mesh\"]"), "f.yaml:6");
  EXPECT_EQ((*objects)[0]->at("nothing.like.it"), "f.yaml:2");
}

TEST(Manifest, JsonIsYamlAndListsUnfold) {
  const auto objects = parse_manifest(
      R"({"apiVersion":"v1","kind":"List","items":[{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"a"}},)"
      R"({"apiVersion":"v1","kind":"Node","metadata":{"name":"n","namespace":"ignored"}}]})",
      "f.json");
  ASSERT_TRUE(objects) << objects.error().text;
  ASSERT_EQ(objects->size(), 2u);
  EXPECT_EQ((*objects)[0]->ns, "default");
  EXPECT_EQ((*objects)[1]->ns, "") << "a node has no namespace";
}

TEST(Manifest, HashIsOfContentNotOfPlace) {
  const auto one = parse_manifest("apiVersion: v1\nkind: Node\nmetadata: {name: nn}\n", "a");
  const auto two =
      parse_manifest("# moved\n\nkind: Node\napiVersion: v1\nmetadata:\n  name: nn\n", "b");
  const auto three =
      parse_manifest("kind: Node\napiVersion: v1\nmetadata: {name: nn, labels: {a: b}}\n", "b");
  ASSERT_TRUE(one && two && three);
  EXPECT_EQ((*one)[0]->hash, (*two)[0]->hash);
  EXPECT_NE((*one)[0]->hash, (*three)[0]->hash);
}

TEST(Manifest, AliasesWorkWithinReason) {
  const auto objects = parse_manifest(
      "apiVersion: v1\nkind: Node\nmetadata: {name: nn, labels: &l {a: b}, annotations: *l}\n",
      "a");
  ASSERT_TRUE(objects) << objects.error().text;
  EXPECT_EQ((*objects)[0]->annotations.at("a"), "b");
}

TEST(Manifest, VersionsOfOneKindAreOneObject) {
  const auto one = parse_manifest(
      "apiVersion: security.istio.io/v1beta1\nkind: PeerAuthentication\nmetadata: {name: nn}\n",
      "a");
  const auto two = parse_manifest(
      "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: nn}\n", "a");
  ASSERT_TRUE(one && two);
  EXPECT_EQ((*one)[0]->key(), (*two)[0]->key());
}

}  // namespace
}  // namespace weft::source
