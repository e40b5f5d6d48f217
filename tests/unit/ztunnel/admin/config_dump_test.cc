#include "ztunnel/admin/config_dump.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace weft::admin {
namespace {

TEST(ConfigDump, HasIstiosKeys) {
  mesh::World world;
  auto workload = std::make_shared<mesh::Workload>();
  workload->uid = "c//Pod/ns/a";
  workload->name = "a";
  workload->ns = "ns";
  workload->addresses.push_back(*IpAddress::parse("10.0.0.1"));
  workload->tunnel_protocol = mesh::TunnelProtocol::kHbone;
  workload->services["ns/s"] = {mesh::Port{80, 8080}};
  workload->waypoint = mesh::GatewayAddress{mesh::NamespacedHostname{"ns", "wp"}, 15008};
  world.workloads["c//Pod/ns/a"] = workload;
  auto service = std::make_shared<mesh::Service>();
  service->name = "s";
  service->ns = "ns";
  service->hostname = "s";
  service->addresses.push_back({"net", *IpAddress::parse("10.96.0.1"), std::nullopt});
  service->ports.push_back({80, 0});
  world.services["ns/s"] = service;
  auto policy = std::make_shared<mesh::Policy>();
  policy->name = "p";
  policy->ns = "ns";
  policy->action = mesh::PolicyAction::kDeny;
  mesh::Match match;
  match.principals.push_back({mesh::StringMatch::Kind::kPrefix, "td/"});
  match.destination_ports.push_back(80);
  policy->rules.push_back({{{{match}}}});
  world.policies["ns/p"] = policy;
  const auto snapshot = mesh::Snapshot::build(world, 4, "");

  const std::vector<DumpedIdentity> certificates = {{"spiffe://td/ns/ns/sa/a", "Available", {{"PEM", "12", {}, {}}}, {}}};
  const std::vector<DumpedPod> pods = {{"uid", "a", "ns", "sa", "Up", 2}};
  const auto dump = nlohmann::json::parse(config_dump({*snapshot, certificates, pods, {{"nodeName", "n1"}}, "1.2.3"}));

  EXPECT_EQ(dump["workloads"][0]["uid"], "c//Pod/ns/a");
  EXPECT_EQ(dump["workloads"][0]["workloadIps"][0], "10.0.0.1");
  EXPECT_EQ(dump["workloads"][0]["protocol"], "HBONE");
  EXPECT_EQ(dump["workloads"][0]["waypoint"]["destination"], "ns/wp");
  EXPECT_EQ(dump["workloads"][0]["services"]["ns/s"]["80"], 8080);
  EXPECT_EQ(dump["services"][0]["vips"][0], "net/10.96.0.1");
  EXPECT_EQ(dump["services"][0]["endpoints"]["c//Pod/ns/a"]["port"]["80"], 8080);
  EXPECT_EQ(dump["policies"][0]["action"], "Deny");
  EXPECT_EQ(dump["policies"][0]["rules"][0][0][0]["principals"][0]["Prefix"], "td/");
  EXPECT_EQ(dump["certificates"][0]["certChain"][0]["pem"], "UEVN");
  EXPECT_EQ(dump["certificates"][0]["certChain"][0]["serialNumber"], "12");
  EXPECT_EQ(dump["config"]["nodeName"], "n1");
  EXPECT_EQ(dump["config"]["generation"], 4);
  EXPECT_EQ(dump["version"]["version"], "1.2.3");
  EXPECT_EQ(dump["workloadState"]["uid"]["state"], "Up");
}

TEST(ConfigDump, NamesThatAreNoTextDoNotBreakIt) {
  mesh::World world;
  auto workload = std::make_shared<mesh::Workload>();
  workload->uid = "\xff\xfe";
  world.workloads[workload->uid] = workload;
  const auto snapshot = mesh::Snapshot::build(world, 1, "");
  EXPECT_TRUE(nlohmann::json::accept(config_dump({*snapshot, {}, {}, {}, ""})));
}

}  // namespace
}  // namespace weft::admin
