#include "sandbox/endpoints.h"

#include "sandbox/endpoint_objects.h"
#include "world.h"

namespace weft::sandbox {
namespace {

using test::World;

constexpr const char* kService =
    "{apiVersion: v1, kind: Service, metadata: {name: s}, spec: {clusterIP: 10.96.5.5, selector: "
    "{app: a}, ports: [{name: http, port: 80, targetPort: web}]}}";

ServiceView only(const World& world) {
  const auto views = service_views(world.store);
  EXPECT_EQ(views.size(), 1u);
  return views.empty() ? ServiceView() : views[0];
}

TEST(Endpoints, AreReadyPodsOfTheSelectorAtTheNamedPort) {
  World world;
  world.apply(kService);
  world.ready_pod("p1", "{app: a}", "10.244.1.3", "fd00::3");
  world.ready_pod("p2", "{app: a}", "10.244.1.2", "fd00::2");
  world.ready_pod("p3", "{app: b}", "10.244.1.4", "fd00::4");
  world.ready_pod("p4", "{app: a}", "10.244.1.5", "fd00::5", false);
  const auto view = only(world);
  EXPECT_EQ(view.ports[0].v4, (std::vector<Backend>{{"10.244.1.2", 8080}, {"10.244.1.3", 8080}}));
  EXPECT_EQ(view.ports[0].v6, (std::vector<Backend>{{"fd00::2", 8080}, {"fd00::3", 8080}}));
}

TEST(Endpoints, LoseAPodTheMomentItIsBeingDeleted) {
  World world;
  world.apply(kService);
  world.ready_pod("p1", "{app: a}", "10.244.1.3", "fd00::3");
  world.controllers.remove({"Pod", "default", "p1"}, -1);
  EXPECT_TRUE(only(world).ports[0].v4.empty());
}

TEST(Endpoints, APodWithoutTheNamedPortIsNone) {
  World world;
  world.apply(
      "{apiVersion: v1, kind: Service, metadata: {name: s}, spec: {selector: {app: a}, ports: "
      "[{port: 80, targetPort: other}]}}");
  world.ready_pod("p1", "{app: a}", "10.244.1.3", "fd00::3");
  EXPECT_TRUE(only(world).ports[0].v4.empty());
}

TEST(Endpoints, NotReadyAddressesArePublishedOnRequest) {
  World world;
  world.apply(
      "{apiVersion: v1, kind: Service, metadata: {name: s}, spec: {clusterIP: None, "
      "publishNotReadyAddresses: true, selector: {app: a}}}");
  world.ready_pod("p1", "{app: a}", "10.244.1.3", "fd00::3", false);
  EXPECT_EQ(only(world).pods.size(), 1u);
  EXPECT_TRUE(only(world).vips.empty());
}

TEST(Endpoints, AServiceWithoutSelectorTakesItsSlices) {
  World world;
  world.apply(
      "{apiVersion: v1, kind: Service, metadata: {name: s}, spec: {ports: [{name: dns, port: 53, "
      "protocol: UDP}]}}");
  world.apply(
      "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: x, labels: "
      "{kubernetes.io/service-name: s}}, addressType: "
      "IPv4, endpoints: [{addresses: [1.2.3.4]}, {addresses: [1.2.3.5], conditions: {ready: "
      "false}}], ports: [{name: dns, port: 5353, protocol: UDP}]}");
  EXPECT_EQ(only(world).ports[0].v4, (std::vector<Backend>{{"1.2.3.4", 5353}}));
}

TEST(EndpointObjects, AreWhatAClustersControllersWouldHaveWritten) {
  test::World world;
  world.apply(
      "{apiVersion: v1, kind: Service, metadata: {name: s}, spec: {selector: {app: a}, ports: "
      "[{name: http, port: 80, targetPort: web}]}}");
  world.ready_pod("p", "{app: a}", "10.244.1.2", "fd00:244:1::2");
  world.ready_pod("q", "{app: a}", "10.244.1.3", "fd00:244:1::3", false);
  const auto endpoints = computed_objects(world.store, "Endpoints");
  ASSERT_EQ(endpoints.size(), 1u);
  const auto& subset = endpoints[0]["subsets"][0];
  EXPECT_EQ(subset["ports"][0]["port"], 8080);
  ASSERT_EQ(subset["addresses"].size(), 1u);
  EXPECT_EQ(subset["addresses"][0]["ip"], "10.244.1.2");
  EXPECT_EQ(subset["addresses"][0]["targetRef"]["name"], "p");
  EXPECT_EQ(subset["notReadyAddresses"][0]["ip"], "10.244.1.3");

  const auto slices = computed_objects(world.store, "EndpointSlice.discovery.k8s.io");
  ASSERT_EQ(slices.size(), 2u);
  EXPECT_EQ(slices[1]["addressType"], "IPv6");
  EXPECT_EQ(slices[1]["metadata"]["labels"]["kubernetes.io/service-name"], "s");
  EXPECT_EQ(slices[1]["endpoints"][0]["addresses"][0], "fd00:244:1::2");
  EXPECT_EQ(slices[1]["endpoints"][1]["conditions"]["ready"], false);
  EXPECT_NE(name_of(slices[0]), name_of(slices[1]));
}

}  // namespace
}  // namespace weft::sandbox
