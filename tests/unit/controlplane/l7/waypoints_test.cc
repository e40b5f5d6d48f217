// From manifests to waypoints: what is touched, what the plan says, what nodes are told and when.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "l7_world.h"

namespace weft::controlplane {
namespace {

using State = translate::Progress::State;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

const std::string kReviews = http_service("shop", "reviews", "10.96.0.10") +
                             pod_yaml("shop", "v1", "10.244.0.1", "{app: reviews, version: v1}") +
                             pod_yaml("shop", "v2", "10.244.0.2", "{app: reviews, version: v2}");
const std::string kSubsets = R"(
---
apiVersion: networking.istio.io/v1alpha3
kind: DestinationRule
metadata: {name: reviews, namespace: shop}
spec:
  host: reviews
  subsets:
  - {name: v1, labels: {version: v1}}
  - {name: v2, labels: {version: v2}}
)";
const std::string kByUser = R"(
---
apiVersion: networking.istio.io/v1alpha3
kind: VirtualService
metadata: {name: reviews, namespace: shop}
spec:
  hosts: [reviews]
  http:
  - match: [{headers: {end-user: {exact: jason}}}]
    route: [{destination: {host: reviews, subset: v2}}]
  - route: [{destination: {host: reviews, subset: v1}}]
)";
const std::string kGetOnly = R"(
---
apiVersion: security.istio.io/v1beta1
kind: AuthorizationPolicy
metadata: {name: viewer, namespace: shop}
spec:
  selector: {matchLabels: {app: reviews}}
  rules: [{to: [{operation: {methods: [GET]}}]}]
)";
const source::ObjectKey kRouteKey{"VirtualService.networking.istio.io", "shop", "reviews"};
const source::ObjectKey kPolicyKey{"AuthorizationPolicy.security.istio.io", "shop", "viewer"};

// How many requests begin a trace: a namespace's Telemetry, else a root namespace's; at gateways
// too, where the traces of a mesh begin.
TEST(Waypoints, ATelemetrySaysHowMuchIsTraced) {
  L7World world;
  const auto telemetry = [](const std::string& ns, int percent) {
    return "\n---\napiVersion: telemetry.istio.io/v1\nkind: Telemetry\nmetadata: {name: t, "
           "namespace: " +
           ns + "}\nspec: {tracing: [{randomSamplingPercentage: " + std::to_string(percent) + "}]}";
  };
  using Percents = std::pair<std::optional<double>, std::optional<double>>;
  const auto traced = [&] {
    return Percents{
        world.plans.at("waypoint~shop/weft-waypoint").services.at(0).trace_sampling_percent,
        world.plans.at("gateway~edge/gw").listeners.at(0).trace_sampling_percent};
  };
  world.put(kReviews + kSubsets + kByUser + R"(
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw, namespace: edge}
spec: {gatewayClassName: weft, listeners: [{name: http, port: 80, protocol: HTTP}]}
)");
  EXPECT_EQ(traced(), Percents());
  world.put(telemetry("istio-system", 50));
  EXPECT_EQ(traced(), Percents(50, 50));
  world.put(telemetry("edge", 100));
  EXPECT_EQ(traced(), Percents(50, 100));
  world.put(telemetry("shop", 0));
  EXPECT_EQ(traced(), Percents(0, 100));
  world.drop("Telemetry.telemetry.istio.io", "istio-system", "t");
  world.drop("Telemetry.telemetry.istio.io", "shop", "t");
  EXPECT_EQ(traced(), Percents(std::nullopt, 100));
}

TEST(Waypoints, NothingL7MakesNothing) {
  L7World world;
  world.put(kReviews + kSubsets);
  EXPECT_THAT(world.plans, IsEmpty());
  EXPECT_THAT(world.gateways, IsEmpty());
  EXPECT_EQ(world.told("shop", "reviews"), "");
}

TEST(Waypoints, AVirtualServiceMakesOneForItsService) {
  L7World world;
  world.put(kReviews + kSubsets + http_service("shop", "other", "10.96.0.11") + kByUser);
  EXPECT_EQ(world.plan("shop"), R"(waypoint~shop/weft-waypoint
reviews.shop.svc.cluster.local:9080 10.96.0.10:9080 authz=-
  end-user=jason -> outbound|9080|v2|reviews.shop.svc.cluster.local*1 retry
  * -> outbound|9080|v1|reviews.shop.svc.cluster.local*1 retry
outbound|9080|v1|reviews.shop.svc.cluster.local {10.244.0.1:8080}
outbound|9080|v2|reviews.shop.svc.cluster.local {10.244.0.2:8080}
)");
  ASSERT_EQ(world.gateways.size(), 1u);
  EXPECT_EQ(world.gateways[0].plan_id, "waypoint~shop/weft-waypoint");
  EXPECT_TRUE(world.gateways[0].automatic);
  EXPECT_THAT(world.gateways[0].reason, HasSubstr("reviews"));
}

TEST(Waypoints, RoutingAloneFailsOpenUntilItIsServed) {
  L7World world;
  world.put(kReviews + kSubsets + kByUser);
  EXPECT_EQ(world.told("shop", "reviews"), "");
  EXPECT_THAT(world.condition(kRouteKey, "WeftL7Enforced"),
              HasSubstr("False Provisioning: shop/reviews: waypoint shop/weft-waypoint is not "
                        "ready; until then requests go straight to its pods"));
  world.put(L7World::waypoint_pod("shop", "weft-waypoint", true));
  EXPECT_EQ(world.told("shop", "reviews"), "") << "ready, but it has not taken the service";
  world.ack("shop");
  EXPECT_EQ(world.told("shop", "reviews"), "weft-waypoint.shop.svc.cluster.local 9080");
  EXPECT_THAT(world.condition(kRouteKey, "WeftL7Enforced"), HasSubstr("True Enforced"));
  EXPECT_THAT(world.condition(kRouteKey, "Reconciled"), HasSubstr("True"));
  world.put(L7World::waypoint_pod("shop", "weft-waypoint", false));
  EXPECT_EQ(world.told("shop", "reviews"), "") << "its pods are gone: open again";
}

TEST(Waypoints, TheWaypointsPodTakesProxyProtocol) {
  L7World world;
  world.put(kReviews + kByUser);
  world.serve("shop");
  const auto& tunnel = world.workload("shop", "weft-waypoint-1").application_tunnel;
  ASSERT_TRUE(tunnel);
  EXPECT_TRUE(tunnel->proxy_protocol);
  EXPECT_EQ(tunnel->port, 15089);
  EXPECT_FALSE(world.workload("shop", "v1").application_tunnel);
}

TEST(Waypoints, PolicyIsClosedUntilTheWaypointEnforcesIt) {
  L7World world;
  world.put(kReviews + kGetOnly);
  EXPECT_THAT(world.plan("shop"), HasSubstr("authz=[ALLOW:shop/viewer]"));
  EXPECT_FALSE(world.admits("shop/viewer", "weft-waypoint"));
  EXPECT_THAT(world.condition(kPolicyKey, "WeftL7Enforced"),
              HasSubstr("until then its policy fails closed"));
  world.put(L7World::waypoint_pod("shop", "weft-waypoint", true));
  EXPECT_FALSE(world.admits("shop/viewer", "weft-waypoint"));
  world.ack("shop");
  EXPECT_TRUE(world.admits("shop/viewer", "weft-waypoint"));
  EXPECT_FALSE(world.admits("shop/viewer", "somebody"));
  EXPECT_THAT(world.condition(kPolicyKey, "WeftL7Enforced"), HasSubstr("True Enforced"));
  EXPECT_THAT(world.condition(kPolicyKey, "ZtunnelAccepted"), HasSubstr("True"));
}

TEST(Waypoints, ANewPolicyWaitsForEveryServiceThatCouldGetAroundIt) {
  L7World world;
  world.put(kReviews + kSubsets + kByUser);
  world.serve("shop");
  world.put(kGetOnly);  // the Envoy may still hold the version without it
  EXPECT_FALSE(world.admits("shop/viewer", "weft-waypoint"));
  world.ack("shop", "weft-waypoint", State::kPending);
  EXPECT_FALSE(world.admits("shop/viewer", "weft-waypoint"));
  world.ack("shop", "weft-waypoint", State::kRejected);
  EXPECT_FALSE(world.admits("shop/viewer", "weft-waypoint"));
  EXPECT_THAT(world.condition(kPolicyKey, "WeftL7Enforced"), HasSubstr("refused it: no good"));
  world.ack("shop");
  EXPECT_TRUE(world.admits("shop/viewer", "weft-waypoint"));
}

TEST(Waypoints, AnotherServiceOfTheWaypointDoesNotShutTheFirst) {
  L7World world;
  world.put(kReviews + kGetOnly);
  world.serve("shop");
  ASSERT_TRUE(world.admits("shop/viewer", "weft-waypoint"));
  world.put(http_service("shop", "ratings", "10.96.0.12") +
            pod_yaml("shop", "r1", "10.244.0.7", "{app: ratings}") + R"(
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: ratings, namespace: shop}
spec: {hosts: [ratings], http: [{timeout: 1s, route: [{destination: {host: ratings}}]}]}
)");
  EXPECT_TRUE(world.admits("shop/viewer", "weft-waypoint"));
  EXPECT_EQ(world.told("shop", "ratings"), "");
}

TEST(Waypoints, DenyPolicyLeavesTheWaypointToItself) {
  L7World world;
  world.put(kReviews + R"(
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: no-admin, namespace: shop}
spec: {action: DENY, rules: [{to: [{operation: {paths: [/admin]}}]}]}
)");
  EXPECT_FALSE(world.admits("shop/no-admin", "weft-waypoint"));
  world.serve("shop");
  EXPECT_TRUE(world.admits("shop/no-admin", "weft-waypoint"));
  EXPECT_FALSE(world.admits("shop/no-admin", "somebody"));
}

TEST(Waypoints, RouteToAnotherServiceMustPassThatOnesPolicies) {
  L7World world;
  world.put(kReviews + kGetOnly + http_service("shop", "front", "10.96.0.13") +
            pod_yaml("shop", "f1", "10.244.0.8", "{app: front}") + R"(
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: front, namespace: shop}
spec: {hosts: [front], http: [{route: [{destination: {host: reviews}}]}]}
)");
  EXPECT_THAT(world.plan("shop"),
              HasSubstr("front.shop.svc.cluster.local:9080 10.96.0.13:9080 authz=-\n  * -> "
                        "outbound|9080||reviews.shop.svc.cluster.local*1 retry "
                        "authz=[ALLOW:shop/viewer]"));
}

TEST(Waypoints, APodsChangeChangesItsServicesClustersAlone) {
  L7World world;
  world.put(kReviews + kSubsets + kByUser);
  world.put(pod_yaml("shop", "v3", "10.244.0.3", "{app: reviews, version: v2}"));
  ASSERT_EQ(world.last.plans.size(), 1u);
  EXPECT_THAT(world.plan("shop"), HasSubstr("{10.244.0.2:8080 10.244.0.3:8080}"));
  world.put(pod_yaml("other", "x", "10.244.0.9", "{app: reviews}"));
  EXPECT_THAT(world.last.plans, IsEmpty());
  world.put(pod_yaml("shop", "v3", "10.244.0.3", "{app: reviews, version: v2}"));
  EXPECT_THAT(world.last.plans, IsEmpty()) << "nothing changed";
}

TEST(Waypoints, RemovalTakesTrafficOffFirstAndLeavesNothing) {
  L7World world;
  const auto start = Clock::now();
  world.world.at(start);
  world.put(kReviews + kSubsets + kByUser);
  world.serve("shop");
  world.drop(kRouteKey.kind, "shop", "reviews");
  EXPECT_EQ(world.told("shop", "reviews"), "");
  EXPECT_THAT(world.plan("shop"),
              HasSubstr("* -> outbound|9080||reviews.shop.svc.cluster.local*1 retry"))
      << "what still comes is served";
  const std::string id = "waypoint~shop/weft-waypoint";
  EXPECT_TRUE(world.plans[id].services.at(0).leaving);
  EXPECT_FALSE(world.plans[id].draining) << "nodes may not have heard yet";
  EXPECT_EQ(world.world.deadline(), start + translate::l7::kDrainsAfter);
  world.world.at(*world.world.deadline());
  world.put("");
  EXPECT_TRUE(world.plans[id].draining);
  EXPECT_EQ(world.world.deadline(), start + translate::l7::kWaypointLingers);
  world.world.at(*world.world.deadline());
  world.put("");
  EXPECT_THAT(world.plans, IsEmpty());
  EXPECT_THAT(world.gateways, IsEmpty());
  EXPECT_EQ(world.world.status(kRouteKey), nullptr);
}

TEST(Waypoints, OneThatIsWantedAgainDrainsNoMore) {
  L7World world;
  const auto start = Clock::now();
  world.world.at(start);
  world.put(kReviews + kSubsets + kByUser);
  world.serve("shop");
  world.drop(kRouteKey.kind, "shop", "reviews");
  world.world.at(start + translate::l7::kDrainsAfter);
  world.put("");
  const std::string id = "waypoint~shop/weft-waypoint";
  ASSERT_TRUE(world.plans[id].draining);
  world.put(kByUser);
  EXPECT_FALSE(world.plans[id].draining);
  EXPECT_FALSE(world.plans[id].services.at(0).leaving);
  EXPECT_EQ(world.world.deadline(), std::nullopt);
}

TEST(Waypoints, NodesWaitForTheEnvoysOfReadyWaypointsAlone) {
  L7World world;
  EXPECT_TRUE(world.world.settled());
  world.put(kReviews + kSubsets + kByUser);
  EXPECT_TRUE(world.world.settled()) << "its pod is not there yet";
  world.put(L7World::waypoint_pod("shop", "weft-waypoint", true));
  EXPECT_FALSE(world.world.settled());
  world.ack("shop", "weft-waypoint", translate::Progress::State::kPending);
  EXPECT_FALSE(world.world.settled());
  world.ack("shop", "weft-waypoint", translate::Progress::State::kRejected);
  EXPECT_TRUE(world.world.settled()) << "a refusal is an answer";
}

TEST(Waypoints, OptOutIsHonouredAndSaid) {
  L7World world;
  world.put(kReviews + kGetOnly + kByUser);
  world.put(
      http_service("shop", "reviews", "10.96.0.10", ", annotations: {weft.dev/l7: disabled}"));
  EXPECT_THAT(world.gateways, IsEmpty());
  EXPECT_THAT(world.condition(kPolicyKey, "WeftL7Enforced"),
              HasSubstr("False OptedOut: shop/reviews: annotation weft.dev/l7: disabled on the "
                        "Service: L7 rules are not enforced, L4 fails closed"));
  EXPECT_FALSE(world.admits("shop/viewer", "weft-waypoint"));
}

TEST(Waypoints, SidecarEraNamespacesAreServedWhole) {
  L7World world;
  world.put(
      "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {istio-injection: "
      "enabled}}\n" +
      kReviews);
  EXPECT_THAT(world.plan("shop"), HasSubstr("reviews.shop.svc.cluster.local:9080"));
}

TEST(Waypoints, BoundToWhatIsNotThereIsSaid) {
  L7World world;
  world.put(kReviews);
  world.put(http_service("shop", "reviews", "10.96.0.10", ", labels: {istio.io/use-waypoint: wp}"));
  EXPECT_EQ(world.condition({"Service", "shop", "reviews"}, "istio.io/WaypointBound"),
            "False istio.io/WaypointMissing: there is no waypoint shop/wp");
}

TEST(Waypoints, DenyAllStaysShutWhileViewersAreAdded) {
  L7World world;
  world.put(
      "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {istio-injection: "
      "enabled}}\n" +
      kReviews);
  world.serve("shop");
  world.put(R"(
apiVersion: security.istio.io/v1beta1
kind: AuthorizationPolicy
metadata: {name: deny-all, namespace: shop}
spec:
  {}
)");
  EXPECT_FALSE(world.admits("shop/deny-all", "weft-waypoint"));
  world.ack("shop");
  EXPECT_TRUE(world.admits("shop/deny-all", "weft-waypoint"));
  EXPECT_THAT(world.plan("shop"), HasSubstr("authz=[ALLOW:shop/deny-all]"));
  world.put(kGetOnly);
  EXPECT_TRUE(world.admits("shop/deny-all", "weft-waypoint"));
  EXPECT_FALSE(world.admits("shop/viewer", "weft-waypoint"));
  EXPECT_THAT(world.plan("shop"), HasSubstr("authz=[ALLOW:shop/deny-all ALLOW:shop/viewer]"));
}

}  // namespace
}  // namespace weft::controlplane
