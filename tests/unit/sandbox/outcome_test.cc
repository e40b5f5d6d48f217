#include "sandbox/outcome.h"

#include "world.h"

namespace weft::sandbox {
namespace {

using test::World;

constexpr const char* kService =
    "{apiVersion: v1, kind: Service, metadata: {name: waypoint, namespace: default, labels: "
    "{app.kubernetes.io/managed-by: weft-controlplane}}, spec: {ports: [{port: 15008}]}}";

struct Cluster : World {
  Cluster() : outcome(Outcome::Parts{store, admission, controllers}) {}
  static source::Batch upserts(const std::string& text) {
    auto parsed = source::parse_manifest(text, "test.json");
    EXPECT_TRUE(parsed) << parsed.error().text;
    return {.upserts = *parsed, .deletes = {}};
  }
  Outcome outcome;
};

TEST(Outcome, AnObjectOfTheControlPlaneIsMadeAndGoesWithItsFile) {
  Cluster c;
  c.outcome.objects(Cluster::upserts(kService));
  ASSERT_NE(c.store.find("Service", "default", "waypoint"), nullptr);
  EXPECT_FALSE(str(*c.store.find("Service", "default", "waypoint"), {"spec", "clusterIP"}).empty());
  c.outcome.objects({.upserts = {}, .deletes = {{"Service", "default", "waypoint"}}});
  EXPECT_EQ(c.store.find("Service", "default", "waypoint"), nullptr);
}

TEST(Outcome, WhatAPersonMadeIsNeverReplacedNorRemoved) {
  Cluster c;
  c.apply(
      "{apiVersion: v1, kind: Service, metadata: {name: waypoint}, spec: {ports: [{port: 80}]}}");
  c.outcome.objects(Cluster::upserts(kService));
  EXPECT_EQ((*c.store.find("Service", "default", "waypoint"))["spec"]["ports"][0]["port"], 80);
  c.outcome.objects({.upserts = {}, .deletes = {{"Service", "default", "waypoint"}}});
  EXPECT_NE(c.store.find("Service", "default", "waypoint"), nullptr);
}

TEST(Outcome, ThereAreKindsThatTheControlPlaneMayNotMake) {
  Cluster c;
  c.outcome.objects(Cluster::upserts(
      "{apiVersion: v1, kind: Pod, metadata: {name: p, labels: {app.kubernetes.io/managed-by: "
      "weft-controlplane}}, spec: {containers: [{name: c, command: [sh]}]}}"));
  EXPECT_EQ(c.store.find("Pod", "default", "p"), nullptr);
}

TEST(Outcome, AConditionKeepsItsTransitionTimeUntilItsStatusIsAnother) {
  const Json before = Json::parse(
      R"({"parents":[{"conditions":[{"type":"Accepted","status":"True","lastTransitionTime":"T1"}]}]})");
  const auto wanted = [](const char* status) {
    return Json{{"parents", Json::array({{{"conditions", Json::array({{{"type", "Accepted"},
                                                                       {"status", status}}})}}})}};
  };
  const auto time = [](const Json& status) {
    return status["parents"][0]["conditions"][0]["lastTransitionTime"].get<std::string>();
  };
  EXPECT_EQ(time(merge_status(before, wanted("True"), false, "T2")), "T1");
  EXPECT_EQ(time(merge_status(before, wanted("False"), false, "T2")), "T2");
}

TEST(Outcome, AServiceKeepsWhatElseItsStatusHolds) {
  const Json before =
      Json::parse(R"({"loadBalancer":{},"conditions":[{"type":"Other","status":"True"}]})");
  const Json wanted = Json::parse(
      R"({"loadBalancer":{"ingress":[]},"conditions":[{"type":"istio.io/WaypointBound","status":"True"}]})");
  const Json after = merge_status(before, wanted, true, "T");
  EXPECT_EQ(after["loadBalancer"], Json::object());
  EXPECT_EQ(after["conditions"].size(), 2u);
}

TEST(Outcome, AStatusReachesItsObjectAndNothingElseOfItChanges) {
  Cluster c;
  c.apply(
      "{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: v}, spec: "
      "{hosts: [a]}}");
  c.outcome.statuses(Cluster::upserts(
      "{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: v}, spec: "
      "{hosts: [evil]}, status: {conditions: [{type: Reconciled, status: 'True'}]}}"));
  const auto& object = *c.store.find("VirtualService.networking.istio.io", "default", "v");
  EXPECT_EQ(object["spec"]["hosts"][0], "a");
  EXPECT_EQ(object["status"]["conditions"][0]["type"], "Reconciled");
  EXPECT_EQ(object["metadata"]["generation"], 1);
}

}  // namespace
}  // namespace weft::sandbox
