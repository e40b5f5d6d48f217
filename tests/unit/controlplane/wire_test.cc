// What goes over the wire: field numbers are contracts, bytes are deterministic.
#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

#include "controlplane/backends/ztunnel/encode.h"
#include "weft/authorization.pb.h"
#include "weft/extension.pb.h"
#include "weft/workload.pb.h"
#include "weft/zds.pb.h"

namespace weft::controlplane {
namespace {

using testing::ElementsAre;

// "name=number name=number …" of all fields, by number.
std::string fields(const google::protobuf::Descriptor* message) {
  std::map<int, std::string> by_number;
  for (int i = 0; i < message->field_count(); ++i)
    by_number[message->field(i)->number()] = std::string(message->field(i)->name());
  std::string out;
  for (const auto& [number, name] : by_number)
    out += (out.empty() ? "" : " ") + name + "=" + std::to_string(number);
  return out;
}
std::string values(const google::protobuf::EnumDescriptor* type) {
  std::string out;
  for (int i = 0; i < type->value_count(); ++i) {
    out += (out.empty() ? "" : " ") + std::string(type->value(i)->name()) + "=" +
           std::to_string(type->value(i)->number());
  }
  return out;
}

TEST(Wire, WorkloadFieldNumbersAreIstios) {
  namespace w = ::istio::workload;
  EXPECT_EQ(w::Address::descriptor()->full_name(), "istio.workload.Address");
  EXPECT_EQ(fields(w::Address::descriptor()), "workload=1 service=2");
  EXPECT_EQ(fields(w::Service::descriptor()),
            "name=1 namespace=2 hostname=3 addresses=4 ports=5 subject_alt_names=6 waypoint=7 "
            "load_balancing=8 ip_families=9 extensions=10 "
            "canonical=11 ingress_use_waypoint=12 weighted_waypoints=13 visibility=14");
  EXPECT_EQ(fields(w::Workload::descriptor()),
            "name=1 namespace=2 addresses=3 network=4 tunnel_protocol=5 trust_domain=6 "
            "service_account=7 waypoint=8 node=9 canonical_name=10 "
            "canonical_revision=11 workload_type=12 workload_name=13 native_tunnel=14 "
            "authorization_policies=16 status=17 cluster_id=18 "
            "network_gateway=19 uid=20 hostname=21 services=22 application_tunnel=23 locality=24 "
            "network_mode=25 extensions=26 capacity=27");
  EXPECT_EQ(fields(w::NetworkAddress::descriptor()), "network=1 address=2 length=3");
  EXPECT_EQ(fields(w::NamespacedHostname::descriptor()), "namespace=1 hostname=2");
  EXPECT_EQ(fields(w::GatewayAddress::descriptor()), "hostname=1 address=2 hbone_mtls_port=3");
  EXPECT_EQ(fields(w::WeightedWaypoint::descriptor()), "destination=1 weight=2");
  EXPECT_EQ(fields(w::Port::descriptor()), "service_port=1 target_port=2 app_protocol=3");
  EXPECT_EQ(fields(w::PortList::descriptor()), "ports=1");
  EXPECT_EQ(fields(w::ApplicationTunnel::descriptor()), "protocol=1 port=2");
  EXPECT_EQ(fields(w::Locality::descriptor()), "region=1 zone=2 subzone=3");
  EXPECT_EQ(fields(w::LoadBalancing::descriptor()), "routing_preference=1 mode=2 health_policy=3");
  EXPECT_EQ(fields(w::Extension::descriptor()), "name=1 config=2");
  EXPECT_EQ(values(w::LoadBalancing::Scope_descriptor()),
            "UNSPECIFIED_SCOPE=0 REGION=1 ZONE=2 SUBZONE=3 NODE=4 CLUSTER=5 NETWORK=6");
  EXPECT_EQ(values(w::LoadBalancing::Mode_descriptor()),
            "UNSPECIFIED_MODE=0 STRICT=1 FAILOVER=2 PASSTHROUGH=3");
  EXPECT_EQ(values(w::LoadBalancing::HealthPolicy_descriptor()), "ONLY_HEALTHY=0 ALLOW_ALL=1");
  EXPECT_EQ(values(w::IPFamilies_descriptor()), "AUTOMATIC=0 IPV4_ONLY=1 IPV6_ONLY=2 DUAL=3");
  EXPECT_EQ(values(w::NetworkMode_descriptor()), "STANDARD=0 HOST_NETWORK=1");
  EXPECT_EQ(values(w::WorkloadStatus_descriptor()), "HEALTHY=0 UNHEALTHY=1");
  EXPECT_EQ(values(w::WorkloadType_descriptor()), "DEPLOYMENT=0 CRONJOB=1 POD=2 JOB=3");
  EXPECT_EQ(values(w::AppProtocol_descriptor()), "UNKNOWN=0 HTTP11=1 HTTP2=2 GRPC=3 TCP=4 TLS=5");
  EXPECT_EQ(values(w::TunnelProtocol_descriptor()), "NONE=0 HBONE=1 LEGACY_ISTIO_MTLS=2");
  EXPECT_EQ(values(w::Visibility_descriptor()), "PUBLIC=0 NAMESPACE=1");
}

TEST(Wire, AuthorizationFieldNumbersAreIstios) {
  namespace s = ::istio::security;
  EXPECT_EQ(s::Authorization::descriptor()->full_name(), "istio.security.Authorization");
  EXPECT_EQ(fields(s::Authorization::descriptor()),
            "name=1 namespace=2 scope=3 action=4 rules=5 dry_run=6 extensions=7");
  EXPECT_EQ(fields(s::Rule::descriptor()), "clauses=1");
  EXPECT_EQ(fields(s::Clause::descriptor()), "matches=2");
  EXPECT_EQ(fields(s::Match::descriptor()),
            "namespaces=1 not_namespaces=2 principals=3 not_principals=4 source_ips=5 "
            "not_source_ips=6 destination_ips=7 not_destination_ips=8 "
            "destination_ports=9 not_destination_ports=10 service_accounts=11 "
            "not_service_accounts=12 extensions=13");
  EXPECT_EQ(fields(s::Address::descriptor()), "address=1 length=2");
  EXPECT_EQ(fields(s::StringMatch::descriptor()), "exact=1 prefix=2 suffix=3 presence=4");
  EXPECT_EQ(fields(s::ServiceAccountMatch::descriptor()), "namespace=1 serviceAccount=2");
  EXPECT_EQ(values(s::Scope_descriptor()), "GLOBAL=0 NAMESPACE=1 WORKLOAD_SELECTOR=2");
  EXPECT_EQ(values(s::Action_descriptor()), "ALLOW=0 DENY=1");
}

TEST(Wire, OurExtensions) {
  EXPECT_EQ(::weft::WaypointPorts::descriptor()->full_name(), "weft.WaypointPorts");
  EXPECT_EQ(fields(::weft::WaypointPorts::descriptor()), "ports=1");
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

TEST(Wire, ZdsFieldNumbersAreIstiosAndOursStartAtAHundred) {
  namespace z = ::istio::workload::zds;
  EXPECT_EQ(fields(z::ZdsHello::descriptor()), "version=1 weft=100");
  EXPECT_EQ(fields(z::WorkloadInfo::descriptor()), "name=1 namespace=2 service_account=3");
  EXPECT_EQ(fields(z::AddWorkload::descriptor()), "uid=1 workload_info=2 weft=100");
  EXPECT_EQ(fields(z::KeepWorkload::descriptor()), "uid=1");
  EXPECT_EQ(fields(z::DelWorkload::descriptor()), "uid=2") << "2, not 1";
  EXPECT_EQ(fields(z::Ack::descriptor()), "error=1");
  EXPECT_EQ(fields(z::WorkloadRequest::descriptor()),
            "add=1 del=2 snapshot_sent=3 keep=5 grant=100");
  EXPECT_EQ(fields(z::WorkloadResponse::descriptor()), "ack=1 socket_request=100");
  EXPECT_EQ(values(z::Version_descriptor()), "NOT_USED=0 V1=1");
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
