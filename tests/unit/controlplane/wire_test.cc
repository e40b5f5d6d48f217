// What goes over the wire: bytes are deterministic, names are canonical. The schemas: tests/unit/proto.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "controlplane/backends/ztunnel/encode.h"
#include "weft/extension.pb.h"
#include "weft/workload.pb.h"

namespace weft::controlplane {
namespace {

using testing::ElementsAre;

TEST(Wire, OurExtensions) {
  mesh::Service service{.name = "s", .ns = "ns", .hostname = "s.ns"};
  service.waypoint_ports = {80, 8080};
  ::istio::workload::Address address;
  ztunnel::encode(service, address);
  ASSERT_EQ(address.service().extensions_size(), 1);
  const auto& extension = address.service().extensions(0);
  EXPECT_EQ(extension.name(), "weft.dev/waypoint-ports");
  EXPECT_EQ(extension.config().type_url(), "type.googleapis.com/weft.WaypointPorts");
  ::weft::WaypointPorts ports;
  ASSERT_TRUE(extension.config().UnpackTo(&ports));
  EXPECT_THAT(ports.ports(), ElementsAre(80, 8080));
}

TEST(Wire, AServiceWithoutWaypointPortsHasNoExtension) {
  mesh::Service service{.name = "s", .ns = "ns", .hostname = "s.ns"};
  service.waypoint = mesh::GatewayAddress{mesh::NamespacedHostname{"ns", "w.ns"}, 15008};
  service.weighted_waypoints = {{{mesh::NamespacedHostname{"ns", "canary.ns"}, 15008}, 20}};
  ::istio::workload::Address address;
  ztunnel::encode(service, address);
  EXPECT_EQ(address.service().extensions_size(), 0);
  EXPECT_EQ(address.service().waypoint().hostname().hostname(), "w.ns");
  ASSERT_EQ(address.service().weighted_waypoints_size(), 1);
  EXPECT_EQ(address.service().weighted_waypoints(0).weight(), 20u);
  EXPECT_EQ(address.service().weighted_waypoints(0).destination().hostname().hostname(), "canary.ns");
}

TEST(Wire, EqualContentIsEqualBytesAndVersion) {
  mesh::Workload workload{.uid = "u", .name = "n", .ns = "s"};
  for (int i = 0; i < 40; ++i) workload.services["ns/host" + std::to_string(i)] = {{80, 8080}};
  const auto one = ztunnel::make_resource(workload), two = ztunnel::make_resource(workload);
  EXPECT_EQ(one->body, two->body);
  EXPECT_EQ(one->version, two->version);
  workload.healthy = false;
  EXPECT_NE(ztunnel::make_resource(workload)->version, one->version);
}

TEST(Wire, NamesAndAliases) {
  mesh::Workload workload{
      .uid = "Kubernetes//Pod/a/b",
      .name = "b",
      .ns = "a",
      .addresses = {*IpAddress::parse("10.0.0.1"), *IpAddress::parse("fd00::1")},
      .network = "net",
      .node = "node1"};
  workload.services["a/svc"] = {};
  EXPECT_THAT(ztunnel::make_resource(workload)->aliases,
              ElementsAre("net/10.0.0.1", "net/fd00::1"));
  EXPECT_THAT(ztunnel::make_resource(workload)->groups, ElementsAre("node:node1", "service:a/svc"));
  workload.host_network = true;
  EXPECT_TRUE(ztunnel::make_resource(workload)->aliases.empty()) << "a node's address names no pod";
  mesh::Service service{.name = "svc",
                        .ns = "a",
                        .hostname = "svc.a",
                        .addresses = {{"", *IpAddress::parse("10.96.0.1"), std::nullopt},
                                      {"", *IpAddress::parse("240.0.0.0"), 16}}};
  EXPECT_EQ(ztunnel::make_resource(service)->name, "a/svc.a");
  EXPECT_THAT(ztunnel::make_resource(service)->aliases, ElementsAre("/10.96.0.1", "/240.0.0.0/16"));
}

}  // namespace
}  // namespace weft::controlplane
