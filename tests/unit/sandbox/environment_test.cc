#include "sandbox/environment.h"

#include <gmock/gmock.h>

#include "world.h"

namespace weft::sandbox {
namespace {

using test::World;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

Json container(const std::string& text) {
  return test::manifest("{apiVersion: v1, kind: X, metadata: {name: x}, c: " + text + "}")["c"];
}

Json pod() {
  return {
      {"metadata", {{"name", "p"}, {"namespace", "default"}, {"labels", {{"app", "web"}}}}},
      {"spec", {{"nodeName", "node2"}}},
      {"status", {{"podIP", "10.0.0.1"}, {"podIPs", {{{"ip", "10.0.0.1"}}, {{"ip", "fd00::1"}}}}}}};
}

TEST(Environment, FieldsOfThePodAreReached) {
  EXPECT_EQ(field_value(pod(), "metadata.name"), "p");
  EXPECT_EQ(field_value(pod(), "metadata.labels['app']"), "web");
  EXPECT_EQ(field_value(pod(), "spec.nodeName"), "node2");
  EXPECT_EQ(field_value(pod(), "status.podIPs"), "10.0.0.1,fd00::1");
  EXPECT_EQ(field_value(pod(), "nonsense"), "");
}

TEST(Environment, ReferencesAreResolvedInOrder) {
  World world;
  world.apply("{apiVersion: v1, kind: ConfigMap, metadata: {name: cm}, data: {k: v}}");
  world.apply(
      "{apiVersion: v1, kind: Secret, metadata: {name: s}, data: {pw: c2VjcmV0}, stringData: {t: "
      "plain}}");
  const auto env = container_environment(
      world.store, pod(),
      container("{env: [{name: A, value: '1'}, {name: B, value: '$(A)-$(NO)-$$(A)'}, {name: C, "
                "valueFrom: {configMapKeyRef: {name: cm, key: k}}}], "
                "envFrom: [{prefix: S_, secretRef: {name: s}}]}"));
  ASSERT_TRUE(env) << env.error().text;
  EXPECT_THAT(*env, Contains("B=1-$(NO)-$(A)"));
  EXPECT_THAT(*env, Contains("C=v"));
  EXPECT_THAT(*env, Contains("S_pw=secret"));
  EXPECT_THAT(*env, Contains("S_t=plain"));
}

TEST(Environment, AMissingReferenceIsNamed) {
  World world;
  const auto env = container_environment(
      world.store, pod(),
      container("{env: [{name: A, valueFrom: {secretKeyRef: {name: gone, key: k}}}]}"));
  ASSERT_FALSE(env);
  EXPECT_THAT(env.error().text, HasSubstr("secret \"gone\" not found"));
  EXPECT_TRUE(container_environment(
      world.store, pod(),
      container(
          "{env: [{name: A, valueFrom: {secretKeyRef: {name: gone, key: k, optional: true}}}]}")));
}

TEST(Command, IsCommandThenArgsExpanded) {
  const auto argv =
      container_command(container("{command: [sh, -c], args: ['echo $(A) $$(A)']}"), {"A=1"});
  ASSERT_TRUE(argv);
  EXPECT_THAT(*argv, ElementsAre("sh", "-c", "echo 1 $(A)"));
}

TEST(Command, AnImageAloneIsNotEnough) {
  const auto argv = container_command(container("{image: nginx}"), {});
  ASSERT_FALSE(argv);
  EXPECT_THAT(argv.error().text, HasSubstr("`command`"));
}

}  // namespace
}  // namespace weft::sandbox
