#include "sandbox/admit.h"

#include <gmock/gmock.h>

#include "sandbox/metadata.h"
#include "world.h"

namespace weft::sandbox {
namespace {

using test::World;
using testing::HasSubstr;

constexpr const char* kPod =
    "{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: [{name: c, command: "
    "[a]}]}}";

TEST(Admission, APodGetsTheDefaultsOfKubernetes) {
  World world;
  world.apply(kPod);
  const auto& pod = world.get("Pod", "p");
  EXPECT_EQ(str(pod, {"spec", "serviceAccountName"}), "default");
  EXPECT_EQ(str(pod, {"spec", "restartPolicy"}), "Always");
  EXPECT_EQ(number(pod, {"spec", "terminationGracePeriodSeconds"}), 30);
  EXPECT_EQ(str(pod, {"status", "phase"}), "Pending");
  EXPECT_EQ(uid_of(pod).size(), 36u);
}

TEST(Admission, AUidThatIsAPathIsReplaced) {
  for (const char* uid : {"../objects", "a/b", "..", "x y"}) {
    World world;
    Json pod = Json::parse(
        R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"spec":{"containers":[{"name":"c","command":["x"]}]}})");
    pod["metadata"]["uid"] = uid;
    world.apply(pod.dump());
    EXPECT_EQ(uid_of(world.get("Pod", "p")).size(), 36u) << uid;
  }
}

TEST(Admission, LabelsAndAnnotationsAreWhatKubernetesTakes) {
  const struct {
    const char *field, *key, *value, *refused;
  } rows[] = {
      {"labels", "app", "shop", ""},
      {"labels", "app.kubernetes.io/name", "a-b_c.D", ""},
      {"labels", "empty", "", ""},
      {"labels", "weft.dev/mesh", "enabled", ""},
      {"annotations", "note", "any text: with spaces / and more", ""},
      {"labels", "two words", "x", "metadata.labels: Invalid value: \"two words\""},
      {"labels", "-app", "x", "metadata.labels: Invalid value: \"-app\""},
      {"labels", "", "x", "metadata.labels: Invalid value: \"\""},
      {"labels", "a/b/c", "x", "metadata.labels: Invalid value: \"a/b/c\""},
      {"labels", "Upper.Case/x", "x", "metadata.labels: Invalid value: \"Upper.Case/x\""},
      {"labels", "app", "a b", "metadata.labels.app: Invalid value: \"a b\""},
      {"labels", "app", "-x", "metadata.labels.app: Invalid value: \"-x\""},
      {"labels", "weft.dev/mesh", "yes",
       "metadata.labels.weft.dev/mesh: Unsupported value: \"yes\""},
      {"annotations", "two words", "x", "metadata.annotations: Invalid value: \"two words\""},
  };
  for (const auto& row : rows) {
    Json object = {{"kind", "Namespace"}, {"metadata", {{"name", "shop"}}}};
    object["metadata"][row.field][row.key] = row.value;
    const auto got = admit_metadata(object);
    EXPECT_EQ(got.has_value(), *row.refused == 0) << row.key << "=" << row.value;
    if (!got) EXPECT_THAT(got.error().text, HasSubstr(row.refused));
  }
}

TEST(Admission, APodTemplatesLabelsAreLookedAtToo) {
  Json object = {{"kind", "Deployment"}, {"metadata", {{"name", "d"}}}};
  object["spec"]["template"]["metadata"]["labels"]["weft.dev/mesh"] = "on";
  const auto got = admit_metadata(object);
  ASSERT_FALSE(got);
  EXPECT_THAT(got.error().text, HasSubstr("spec.template.metadata.labels.weft.dev/mesh"));
}

TEST(Admission, ALabelOfAnotherTypeIsRefused) {
  Json object = {{"kind", "Namespace"}, {"metadata", {{"name", "shop"}}}};
  object["metadata"]["labels"]["port"] = 80;
  EXPECT_THAT(admit_metadata(object).error().text, HasSubstr("must be a string"));
}

TEST(Admission, TheSameManifestAgainIsUnchanged) {
  World world;
  world.apply(kPod);
  world.store.update({"Pod", "default", "p"}, [](Json& pod) {
    pod["spec"]["nodeName"] = "node1";
    pod["status"]["phase"] = "Running";
  });
  world.apply(kPod);
  EXPECT_EQ(world.last, Verb::kUnchanged);
  EXPECT_EQ(str(world.get("Pod", "p"), {"spec", "nodeName"}), "node1");
  EXPECT_EQ(str(world.get("Pod", "p"), {"status", "phase"}), "Running");
}

TEST(Admission, APodsSpecCannotChange) {
  World world;
  world.apply(kPod);
  const auto text = world.try_apply(
      "{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: [{name: c, command: "
      "[b]}]}}");
  EXPECT_THAT(text, HasSubstr("Forbidden: pod updates may not change fields"));
  EXPECT_EQ(world.get("Pod", "p")["spec"]["containers"][0]["command"][0], "a");
}

TEST(Admission, ALabelThatAPersonSetSurvivesApply) {
  World world;
  world.apply("{apiVersion: v1, kind: Namespace, metadata: {name: ns1, labels: {a: '1', b: '2'}}}");
  world.store.update({"Namespace", "", "ns1"},
                     [](Json& o) { o["metadata"]["labels"]["weft.dev/mesh"] = "enabled"; });
  world.apply("{apiVersion: v1, kind: Namespace, metadata: {name: ns1, labels: {a: '1'}}}");
  const auto now = labels(world.get("Namespace", "ns1", ""), {"metadata", "labels"});
  EXPECT_EQ(now,
            (mesh::Labels{
                {"a", "1"}, {"kubernetes.io/metadata.name", "ns1"}, {"weft.dev/mesh", "enabled"}}));
}

TEST(Admission, AFieldThatTheManifestLostGoes) {
  World world;
  world.apply("{apiVersion: v1, kind: ConfigMap, metadata: {name: c}, data: {a: '1'}}");
  world.apply("{apiVersion: v1, kind: ConfigMap, metadata: {name: c}}");
  EXPECT_FALSE(world.get("ConfigMap", "c").contains("data"));
}

TEST(Admission, AServiceGetsAnAddressOfEachFamilyAndKeepsIt) {
  World world;
  constexpr const char* kService =
      "{apiVersion: v1, kind: Service, metadata: {name: s}, spec: {ports: [{port: 80}]}}";
  world.apply(kService);
  const auto ips = world.get("Service", "s")["spec"]["clusterIPs"];
  EXPECT_EQ(ips, Json({"10.96.1.1", "fd00:96::101"}));
  EXPECT_EQ(number(world.get("Service", "s")["spec"]["ports"][0], {"targetPort"}), 80);
  world.apply(kService);
  EXPECT_EQ(world.last, Verb::kUnchanged);
  world.apply("{apiVersion: v1, kind: Service, metadata: {name: s}, spec: {ports: [{port: 81}]}}");
  EXPECT_EQ(world.get("Service", "s")["spec"]["clusterIPs"], ips);
}

TEST(Admission, AGivenClusterIpIsHonouredOnce) {
  World world;
  world.apply(
      "{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {clusterIP: 10.96.5.5, ports: "
      "[{port: 80}]}}");
  EXPECT_EQ(world.get("Service", "a")["spec"]["clusterIPs"], Json({"10.96.5.5"}));
  EXPECT_THAT(world.try_apply("{apiVersion: v1, kind: Service, metadata: {name: b}, spec: "
                              "{clusterIP: 10.96.5.5, ports: [{port: 80}]}}"),
              HasSubstr("already allocated"));
  EXPECT_THAT(world.try_apply("{apiVersion: v1, kind: Service, metadata: {name: a}, spec: "
                              "{clusterIP: 10.96.5.6, ports: [{port: 80}]}}"),
              HasSubstr("immutable"));
}

TEST(Admission, SingleStackV6HasOnlyV6) {
  World world;
  world.apply(
      "{apiVersion: v1, kind: Service, metadata: {name: s}, spec: {ipFamilyPolicy: SingleStack, "
      "ipFamilies: [IPv6], ports: [{port: 1}]}}");
  EXPECT_EQ(world.get("Service", "s")["spec"]["clusterIPs"], Json({"fd00:96::101"}));
}

struct Bad {
  const char* manifest;
  const char* why;
};

TEST(Admission, RefusalsSayWhatKubernetesSays) {
  for (const auto& [text, why] : {
           Bad{"{apiVersion: v1, kind: Pod, metadata: {name: UP}, spec: {containers: [{name: c}]}}",
               "lowercase RFC 1123"},
           Bad{"{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: gone}, spec: "
               "{containers: [{name: c}]}}",
               "namespaces \"gone\" not found"},
           Bad{"{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {}}",
               "spec.containers: Required value"},
           Bad{"{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: [{name: c}, "
               "{name: c}]}}",
               "Duplicate value"},
           Bad{"{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {serviceAccountName: who, "
               "containers: [{name: c}]}}",
               "serviceaccount \"who\" not found"},
           Bad{"{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {restartPolicy: Perhaps, "
               "containers: [{name: c}]}}",
               "Unsupported value"},
           Bad{"{apiVersion: v1, kind: Service, metadata: {name: s}, spec: {}}",
               "spec.ports: Required value"},
           Bad{"{apiVersion: v1, kind: Service, metadata: {name: s}, spec: 5}", "spec"},
           Bad{"{apiVersion: v1, kind: Service, metadata: {name: s}, spec: {clusterIP: 10.97.0.1, "
               "ports: [{port: 80}]}}",
               "is not in the valid range. The range of valid IPs is 10.96.0.0/16"},
           Bad{"{apiVersion: v1, kind: Service, metadata: {name: s}, spec: {clusterIP: nine, "
               "ports: [{port: 80}]}}",
               "must be a valid IP address"},
           Bad{"{apiVersion: apps/v1, kind: Deployment, metadata: {name: d}, spec: {template: "
               "{spec: {containers: [{name: c}]}}}}",
               "spec.selector"},
           Bad{"{apiVersion: apps/v1, kind: Deployment, metadata: {name: d}, spec: {selector: "
               "{matchLabels: {a: b}}, template: {metadata: "
               "{labels: {a: c}}, spec: {containers: [{name: c}]}}}}",
               "does not match template"},
           Bad{"{apiVersion: batch/v1, kind: Job, metadata: {name: j}, spec: {template: {spec: "
               "{containers: [{name: c}]}}}}",
               "restartPolicy"},
       }) {
    World world;
    EXPECT_THAT(world.try_apply(text), HasSubstr(why)) << text;
  }
}

}  // namespace
}  // namespace weft::sandbox
