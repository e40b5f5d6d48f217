#include <gtest/gtest.h>

#include <functional>

#include "weft/extension.pb.h"
#include "weft/workload.pb.h"
#include "ztunnel/state/decode.h"

namespace weft::state {
namespace {

namespace pb = istio::workload;

std::string v4(const char* text) {
  const auto ip = IpAddress::parse(text);
  return {reinterpret_cast<const char*>(ip->bytes().data()), ip->bytes().size()};
}

pb::Workload good_workload() {
  pb::Workload out;
  out.set_uid("c//Pod/ns/a");
  out.set_name("a");
  out.set_namespace_("ns");
  out.add_addresses(v4("10.0.0.1"));
  return out;
}

pb::Service good_service() {
  pb::Service out;
  out.set_name("s");
  out.set_namespace_("ns");
  out.set_hostname("s.ns.svc.cluster.local");
  auto& vip = *out.add_addresses();
  vip.set_network("net");
  vip.set_address(v4("10.96.0.1"));
  auto& port = *out.add_ports();
  port.set_service_port(80);
  port.set_target_port(8080);
  return out;
}

Parsed<DecodedAddress> decode(const pb::Workload& workload, std::string_view name = "") {
  pb::Address address;
  *address.mutable_workload() = workload;
  return decode_address(name, address.SerializeAsString());
}
Parsed<DecodedAddress> decode(const pb::Service& service, std::string_view name = "") {
  pb::Address address;
  *address.mutable_service() = service;
  return decode_address(name, address.SerializeAsString());
}
mesh::WorkloadPtr workload_of(const Parsed<DecodedAddress>& decoded) { return std::get<mesh::WorkloadPtr>(*decoded); }
mesh::ServicePtr service_of(const Parsed<DecodedAddress>& decoded) { return std::get<mesh::ServicePtr>(*decoded); }

TEST(DecodeWorkload, FillsTheDefaultsOfAnEmptyField) {
  const auto decoded = decode(good_workload(), "c//Pod/ns/a");
  ASSERT_TRUE(decoded) << decoded.error().text;
  const auto workload = workload_of(decoded);
  EXPECT_EQ(workload->trust_domain, "cluster.local");
  EXPECT_EQ(workload->service_account, "default");
  EXPECT_EQ(workload->cluster_id, "Kubernetes");
  EXPECT_EQ(workload->capacity, 1u);
  EXPECT_EQ(workload->tunnel_protocol, mesh::TunnelProtocol::kNone);
  EXPECT_EQ(workload->workload_type, "deployment");
  EXPECT_TRUE(workload->healthy);
  EXPECT_FALSE(workload->host_network);
  EXPECT_FALSE(workload->waypoint);
}

TEST(DecodeWorkload, KeepsWhatIsGiven) {
  auto in = good_workload();
  in.add_addresses(v4("fd00::1"));
  in.set_tunnel_protocol(pb::HBONE);
  in.set_trust_domain("td");
  in.set_service_account("sa");
  in.set_status(pb::UNHEALTHY);
  in.set_network_mode(pb::HOST_NETWORK);
  in.set_workload_type(pb::POD);
  in.mutable_capacity()->set_value(0);
  in.mutable_waypoint()->mutable_hostname()->set_namespace_("ns");
  in.mutable_waypoint()->mutable_hostname()->set_hostname("wp");
  in.mutable_waypoint()->set_hbone_mtls_port(15018);
  in.mutable_application_tunnel()->set_protocol(pb::ApplicationTunnel::PROXY);
  in.mutable_application_tunnel()->set_port(15088);
  auto& port = *(*in.mutable_services())["ns/s.ns"].add_ports();
  port.set_service_port(80);
  port.set_target_port(8080);
  in.add_authorization_policies("ns/p");
  const auto decoded = decode(in);
  ASSERT_TRUE(decoded) << decoded.error().text;
  const auto workload = workload_of(decoded);
  EXPECT_EQ(workload->addresses.size(), 2u);
  EXPECT_EQ(workload->identity().str(), "spiffe://td/ns/ns/sa/sa");
  EXPECT_EQ(workload->tunnel_protocol, mesh::TunnelProtocol::kHbone);
  EXPECT_FALSE(workload->healthy);
  EXPECT_TRUE(workload->host_network);
  EXPECT_EQ(workload->capacity, 0u);
  EXPECT_EQ(workload->workload_type, "pod");
  ASSERT_TRUE(workload->waypoint);
  EXPECT_EQ(std::get<mesh::NamespacedHostname>(workload->waypoint->destination).key(), "ns/wp");
  EXPECT_EQ(workload->waypoint->hbone_mtls_port, 15018);
  EXPECT_TRUE(workload->application_tunnel->proxy_protocol);
  EXPECT_EQ(workload->services.at("ns/s.ns").at(0).target_port, 8080);
  EXPECT_EQ(workload->authorization_policies, std::vector<std::string>{"ns/p"});
}

TEST(DecodeWorkload, AWaypointWithoutAPortUses15008) {
  auto in = good_workload();
  in.mutable_waypoint()->mutable_address()->set_address(v4("10.0.0.9"));
  EXPECT_EQ(workload_of(decode(in))->waypoint->hbone_mtls_port, 15008);
}

TEST(DecodeWorkload, ANewerAppProtocolIsNoReasonToRefuse) {
  auto in = good_workload();
  auto& port = *(*in.mutable_services())["ns/s.ns"].add_ports();
  port.set_app_protocol(static_cast<pb::AppProtocol>(99));
  EXPECT_EQ(workload_of(decode(in))->services.at("ns/s.ns").at(0).app_protocol, mesh::AppProtocol::kUnknown);
}

struct BadWorkload {
  const char* claim;
  std::function<void(pb::Workload&)> breaks;
  const char* text;
};
const BadWorkload kBadWorkloads[] = {
    {"no uid", [](auto& w) { w.clear_uid(); }, "uid: empty"},
    {"3-byte address", [](auto& w) { w.add_addresses("abc"); }, "addresses: an address has 3 bytes"},
    {"legacy tunnel", [](auto& w) { w.set_tunnel_protocol(pb::LEGACY_ISTIO_MTLS); }, "tunnel_protocol: 2"},
    {"newer tunnel", [](auto& w) { w.set_tunnel_protocol(static_cast<pb::TunnelProtocol>(7)); }, "tunnel_protocol: 7"},
    {"unknown status", [](auto& w) { w.set_status(static_cast<pb::WorkloadStatus>(5)); }, "status: unknown value 5"},
    {"unknown network mode", [](auto& w) { w.set_network_mode(static_cast<pb::NetworkMode>(5)); }, "network_mode"},
    {"waypoint to nowhere", [](auto& w) { w.mutable_waypoint(); }, "waypoint: no destination"},
    {"waypoint without hostname", [](auto& w) { w.mutable_waypoint()->mutable_hostname(); }, "waypoint: empty hostname"},
    {"waypoint port",
     [](auto& w) {
       w.mutable_waypoint()->mutable_address()->set_address(v4("10.0.0.9"));
       w.mutable_waypoint()->set_hbone_mtls_port(70000);
     },
     "waypoint: 70000 is not a port"},
    {"gateway address", [](auto& w) { w.mutable_network_gateway()->mutable_address()->set_address("x"); }, "network_gateway"},
    {"service key", [](auto& w) { (*w.mutable_services())["nohost"]; }, "services: \"nohost\" is not namespace/hostname"},
    {"service port", [](auto& w) { (*w.mutable_services())["n/h"].add_ports()->set_service_port(65536); }, "65536 is not a port"},
    {"tunnel port", [](auto& w) { w.mutable_application_tunnel()->set_port(65536); }, "application_tunnel.port"},
};

TEST(DecodeWorkload, ABrokenInvariantIsOneSentence) {
  for (const auto& bad : kBadWorkloads) {
    auto in = good_workload();
    bad.breaks(in);
    const auto decoded = decode(in);
    ASSERT_FALSE(decoded) << bad.claim;
    EXPECT_NE(decoded.error().text.find(bad.text), std::string::npos) << bad.claim << ": " << decoded.error().text;
  }
}

TEST(DecodeWorkload, TheResourceNameIsTheUid) {
  const auto decoded = decode(good_workload(), "another");
  ASSERT_FALSE(decoded);
  EXPECT_EQ(decoded.error().text, "the resource's name is not its uid \"c//Pod/ns/a\"");
}

TEST(DecodeService, KeepsVipsPortsAndBalancing) {
  auto in = good_service();
  in.mutable_load_balancing()->set_mode(pb::LoadBalancing::FAILOVER);
  in.mutable_load_balancing()->set_health_policy(pb::LoadBalancing::ALLOW_ALL);
  in.mutable_load_balancing()->add_routing_preference(pb::LoadBalancing::NETWORK);
  in.mutable_load_balancing()->add_routing_preference(pb::LoadBalancing::ZONE);
  in.set_ip_families(pb::DUAL);
  in.set_canonical(true);
  in.set_visibility(pb::NAMESPACE);
  auto& range = *in.add_addresses();
  range.set_address(v4("10.1.0.0"));
  range.set_length(16);
  const auto decoded = decode(in, "ns/s.ns.svc.cluster.local");
  ASSERT_TRUE(decoded) << decoded.error().text;
  const auto service = service_of(decoded);
  EXPECT_EQ(service->addresses[0].network, "net");
  EXPECT_FALSE(service->addresses[0].length);
  EXPECT_EQ(service->addresses[1].length, 16);
  EXPECT_EQ(service->ports[0].target_port, 8080);
  EXPECT_EQ(service->load_balancing.mode, mesh::BalanceMode::kFailover);
  EXPECT_TRUE(service->load_balancing.allow_unhealthy);
  EXPECT_EQ(service->load_balancing.preference, (std::vector{mesh::Scope::kNetwork, mesh::Scope::kZone}));
  EXPECT_EQ(service->ip_families, mesh::IpFamilies::kDual);
  EXPECT_TRUE(service->canonical);
  EXPECT_TRUE(service->namespace_private);
}

pb::Extension& add_waypoint_ports(pb::Service& to, std::initializer_list<std::uint32_t> ports) {
  WaypointPorts list;
  for (const auto port : ports) list.add_ports(port);
  auto& extension = *to.add_extensions();
  extension.set_name("weft.dev/waypoint-ports");
  extension.mutable_config()->PackFrom(list);
  return extension;
}

TEST(DecodeService, WaypointPortsAreSortedAndOnce) {
  auto in = good_service();
  EXPECT_FALSE(service_of(decode(in))->waypoint_ports) << "absent: all of them";
  EXPECT_TRUE(service_of(decode(in))->is_waypoint_port(9999));
  auto foreign = in.add_extensions();
  foreign->set_name("example.org/theirs");
  foreign->mutable_config()->set_type_url("type.googleapis.com/example.Unknown");
  add_waypoint_ports(in, {8080, 80, 80});
  const auto service = service_of(decode(in));
  EXPECT_EQ(service->waypoint_ports, (std::vector<std::uint16_t>{80, 8080}));
  EXPECT_TRUE(service->is_waypoint_port(80));
  EXPECT_FALSE(service->is_waypoint_port(443));
  auto none = good_service();
  add_waypoint_ports(none, {});
  EXPECT_FALSE(service_of(decode(none))->is_waypoint_port(80));
}

TEST(DecodeService, WeightedWaypointsAreKept) {
  auto in = good_service();
  auto& canary = *in.add_weighted_waypoints();
  canary.set_weight(20);
  canary.mutable_destination()->mutable_hostname()->set_namespace_("ns");
  canary.mutable_destination()->mutable_hostname()->set_hostname("canary.ns");
  const auto service = service_of(decode(in));
  ASSERT_EQ(service->weighted_waypoints.size(), 1u);
  EXPECT_EQ(service->weighted_waypoints[0].weight, 20u);
  EXPECT_EQ(std::get<mesh::NamespacedHostname>(service->weighted_waypoints[0].destination.destination).key(), "ns/canary.ns");
}

TEST(DecodeService, AFullLengthRangeIsOneHost) {
  auto in = good_service();
  in.mutable_addresses(0)->set_length(32);
  EXPECT_FALSE(service_of(decode(in))->addresses[0].length);
}

TEST(DecodeService, ABrokenInvariantIsOneSentence) {
  const std::pair<std::function<void(pb::Service&)>, const char*> bad[] = {
      {[](auto& s) { s.clear_hostname(); }, "hostname: empty"},
      {[](auto& s) { s.mutable_addresses(0)->set_length(33); }, "prefix length 33 of 32"},
      {[](auto& s) { s.mutable_addresses(0)->set_address("12345"); }, "5 bytes"},
      {[](auto& s) { s.mutable_ports(0)->set_target_port(1 << 20); }, "is not a port"},
      {[](auto& s) { s.mutable_load_balancing()->set_mode(static_cast<pb::LoadBalancing::Mode>(9)); }, "load_balancing.mode"},
      {[](auto& s) { s.mutable_load_balancing()->add_routing_preference(static_cast<pb::LoadBalancing::Scope>(9)); },
       "routing_preference: unknown value 9"},
      {[](auto& s) { s.set_visibility(static_cast<pb::Visibility>(3)); }, "visibility"},
      {[](auto& s) { s.add_weighted_waypoints(); }, "weighted_waypoints: no destination"},
      {[](auto& s) { add_waypoint_ports(s, {65536}); }, "weft.dev/waypoint-ports: 65536 is not a port"},
      {[](auto& s) { add_waypoint_ports(s, {0}); }, "weft.dev/waypoint-ports: 0 is not a port"},
      {[](auto& s) { add_waypoint_ports(s, {80}).mutable_config()->set_value("\xff\xff"); },
       "weft.dev/waypoint-ports is not a weft.WaypointPorts"},
      {[](auto& s) { add_waypoint_ports(s, {80}).mutable_config()->set_type_url("type.googleapis.com/weft.Other"); },
       "weft.dev/waypoint-ports is not a weft.WaypointPorts"},
      {[](auto& s) { add_waypoint_ports(s, {80}).clear_config(); }, "weft.dev/waypoint-ports is not a weft.WaypointPorts"},
      {[](auto& s) {
         add_waypoint_ports(s, {80});
         add_waypoint_ports(s, {81});
       },
       "weft.dev/waypoint-ports is there twice"},
  };
  for (const auto& [breaks, text] : bad) {
    auto in = good_service();
    breaks(in);
    const auto decoded = decode(in);
    ASSERT_FALSE(decoded) << text;
    EXPECT_NE(decoded.error().text.find(text), std::string::npos) << decoded.error().text;
  }
}

TEST(DecodeAddress, RefusesBytesThatAreNoAddress) {
  EXPECT_FALSE(decode_address("", "\xff\xff\xff"));
  EXPECT_EQ(decode_address("", "").error().text, "neither a workload nor a service");
}

}  // namespace
}  // namespace weft::state
