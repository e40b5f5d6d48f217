// Names, numbers and types on the wire are contracts with Istio's peers: ambient-protocol facts §2.
#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "envoy/service/discovery/v3/ads.pb.h"
#include "weft/authorization.pb.h"
#include "weft/ca.pb.h"
#include "weft/extension.pb.h"
#include "weft/workload.pb.h"
#include "weft/zds.pb.h"

namespace weft {
namespace {

namespace a = ::istio::v1::auth;
namespace s = ::istio::security;
namespace w = ::istio::workload;
namespace z = ::istio::workload::zds;

std::string type_of(const google::protobuf::FieldDescriptor& field) {
  std::string type = field.type_name();
  if (field.message_type() != nullptr) type = field.message_type()->full_name();
  if (field.enum_type() != nullptr) type = field.enum_type()->full_name();
  const std::string own = field.file()->package() + ".";
  if (type.starts_with(own)) type.erase(0, own.size());
  return (field.is_repeated()            ? "repeated "
          : field.has_optional_keyword() ? "optional "
                                         : "") +
         type;
}

// "1 name: string, 2 …" by number; a type of the message's own package without the package.
template <class Message>
std::string told() {
  std::map<int, std::string> by_number;
  for (int i = 0; i < Message::descriptor()->field_count(); ++i) {
    const auto& field = *Message::descriptor()->field(i);
    by_number[field.number()] = std::string(field.name()) + ": " + type_of(field);
  }
  std::string out;
  for (const auto& [number, text] : by_number)
    out += (out.empty() ? "" : ", ") + std::to_string(number) + " " + text;
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
// "/package.Service/Method(Request) -> Response", with "stream " where it is one.
std::string told(const google::protobuf::MethodDescriptor* method) {
  return "/" + method->service()->full_name() + "/" + method->name() + "(" +
         (method->client_streaming() ? "stream " : "") + method->input_type()->full_name() +
         ") -> " + (method->server_streaming() ? "stream " : "") +
         method->output_type()->full_name();
}

TEST(Wire, WorkloadsAreIstios) {
  EXPECT_EQ(w::Address::descriptor()->full_name(), "istio.workload.Address");
  EXPECT_EQ(told<w::Address>(), "1 workload: Workload, 2 service: Service");
  EXPECT_EQ(told<w::Service>(),
            "1 name: string, 2 namespace: string, 3 hostname: string, "
            "4 addresses: repeated NetworkAddress, 5 ports: repeated Port, "
            "6 subject_alt_names: repeated string, 7 waypoint: GatewayAddress, "
            "8 load_balancing: LoadBalancing, 9 ip_families: IPFamilies, "
            "10 extensions: repeated Extension, 11 canonical: bool, "
            "12 ingress_use_waypoint: bool, 13 weighted_waypoints: repeated WeightedWaypoint, "
            "14 visibility: Visibility");
  EXPECT_EQ(told<w::Workload>(),
            "1 name: string, 2 namespace: string, 3 addresses: repeated bytes, "
            "4 network: string, 5 tunnel_protocol: TunnelProtocol, 6 trust_domain: string, "
            "7 service_account: string, 8 waypoint: GatewayAddress, 9 node: string, "
            "10 canonical_name: string, 11 canonical_revision: string, "
            "12 workload_type: WorkloadType, 13 workload_name: string, 14 native_tunnel: bool, "
            "16 authorization_policies: repeated string, 17 status: WorkloadStatus, "
            "18 cluster_id: string, 19 network_gateway: GatewayAddress, 20 uid: string, "
            "21 hostname: string, 22 services: repeated Workload.ServicesEntry, "
            "23 application_tunnel: ApplicationTunnel, 24 locality: Locality, "
            "25 network_mode: NetworkMode, 26 extensions: repeated Extension, "
            "27 capacity: google.protobuf.UInt32Value");
  EXPECT_EQ(told<w::NetworkAddress>(),
            "1 network: string, 2 address: bytes, 3 length: optional uint32");
  EXPECT_EQ(told<w::NamespacedHostname>(), "1 namespace: string, 2 hostname: string");
  EXPECT_EQ(told<w::GatewayAddress>(),
            "1 hostname: NamespacedHostname, 2 address: NetworkAddress, 3 hbone_mtls_port: uint32");
  EXPECT_EQ(told<w::WeightedWaypoint>(), "1 destination: GatewayAddress, 2 weight: uint32");
  EXPECT_EQ(told<w::Port>(),
            "1 service_port: uint32, 2 target_port: uint32, 3 app_protocol: AppProtocol");
  EXPECT_EQ(told<w::PortList>(), "1 ports: repeated Port");
  EXPECT_EQ(told<w::ApplicationTunnel>(), "1 protocol: ApplicationTunnel.Protocol, 2 port: uint32");
  EXPECT_EQ(told<w::Locality>(), "1 region: string, 2 zone: string, 3 subzone: string");
  EXPECT_EQ(told<w::LoadBalancing>(),
            "1 routing_preference: repeated LoadBalancing.Scope, 2 mode: LoadBalancing.Mode, "
            "3 health_policy: LoadBalancing.HealthPolicy");
  EXPECT_EQ(told<w::Extension>(), "1 name: string, 2 config: google.protobuf.Any");
  EXPECT_TRUE(w::Workload::descriptor()->IsReservedNumber(15));
  EXPECT_TRUE(w::GatewayAddress::descriptor()->IsReservedNumber(4));
}

TEST(Wire, ValuesOfWorkloadsAreIstios) {
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
  EXPECT_EQ(values(w::ApplicationTunnel::Protocol_descriptor()), "NONE=0 PROXY=1");
}

TEST(Wire, AuthorizationsAreIstios) {
  EXPECT_EQ(s::Authorization::descriptor()->full_name(), "istio.security.Authorization");
  EXPECT_EQ(told<s::Authorization>(),
            "1 name: string, 2 namespace: string, 3 scope: Scope, 4 action: Action, "
            "5 rules: repeated Rule, 6 dry_run: bool, 7 extensions: repeated Extension");
  EXPECT_EQ(told<s::Rule>(), "1 clauses: repeated Clause");
  EXPECT_EQ(told<s::Clause>(), "2 matches: repeated Match");
  EXPECT_EQ(told<s::Match>(),
            "1 namespaces: repeated StringMatch, 2 not_namespaces: repeated StringMatch, "
            "3 principals: repeated StringMatch, 4 not_principals: repeated StringMatch, "
            "5 source_ips: repeated Address, 6 not_source_ips: repeated Address, "
            "7 destination_ips: repeated Address, 8 not_destination_ips: repeated Address, "
            "9 destination_ports: repeated uint32, 10 not_destination_ports: repeated uint32, "
            "11 service_accounts: repeated ServiceAccountMatch, "
            "12 not_service_accounts: repeated ServiceAccountMatch, "
            "13 extensions: repeated Extension");
  EXPECT_EQ(told<s::Address>(), "1 address: bytes, 2 length: uint32");
  EXPECT_EQ(told<s::StringMatch>(),
            "1 exact: string, 2 prefix: string, 3 suffix: string, "
            "4 presence: google.protobuf.Empty");
  EXPECT_EQ(told<s::ServiceAccountMatch>(), "1 namespace: string, 2 serviceAccount: string");
  EXPECT_EQ(values(s::Scope_descriptor()), "GLOBAL=0 NAMESPACE=1 WORKLOAD_SELECTOR=2");
  EXPECT_EQ(values(s::Action_descriptor()), "ALLOW=0 DENY=1");
}

TEST(Wire, ZdsIsIstiosAndOursStartsAtAHundred) {
  EXPECT_EQ(z::WorkloadRequest::descriptor()->full_name(), "istio.workload.zds.WorkloadRequest");
  EXPECT_EQ(told<z::ZdsHello>(), "1 version: Version, 100 weft: WeftHello");
  EXPECT_EQ(told<z::WorkloadInfo>(),
            "1 name: string, 2 namespace: string, 3 service_account: string");
  EXPECT_EQ(told<z::AddWorkload>(),
            "1 uid: string, 2 workload_info: WorkloadInfo, 100 weft: WeftPod");
  EXPECT_EQ(told<z::KeepWorkload>(), "1 uid: string");
  EXPECT_EQ(told<z::DelWorkload>(), "2 uid: string, 100 running: bool") << "2, not 1";
  EXPECT_EQ(told<z::SnapshotSent>(), "");
  EXPECT_EQ(told<z::Ack>(), "1 error: string");
  EXPECT_EQ(told<z::WorkloadRequest>(),
            "1 add: AddWorkload, 2 del: DelWorkload, 3 snapshot_sent: SnapshotSent, "
            "5 keep: KeepWorkload, 100 grant: SocketGrant");
  EXPECT_EQ(told<z::WorkloadResponse>(), "1 ack: Ack, 100 socket_request: SocketRequest");
  EXPECT_EQ(values(z::Version_descriptor()), "NOT_USED=0 V1=1");
  EXPECT_TRUE(z::WorkloadRequest::descriptor()->IsReservedNumber(4));
  EXPECT_TRUE(z::WorkloadInfo::descriptor()->IsReservedNumber(4));
}

TEST(Wire, ExtensionsAreOurs) {
  EXPECT_EQ(WaypointPorts::descriptor()->full_name(), "weft.WaypointPorts");
  EXPECT_EQ(told<WaypointPorts>(), "1 ports: repeated uint32");
}

TEST(Wire, TheCertificateServiceIsIstios) {
  EXPECT_EQ(told<a::IstioCertificateRequest>(),
            "1 csr: string, 3 validity_duration: int64, 4 metadata: google.protobuf.Struct");
  EXPECT_EQ(told<a::IstioCertificateResponse>(), "1 cert_chain: repeated string");
  EXPECT_EQ(told(a::IstioCertificateRequest::descriptor()->file()->service(0)->method(0)),
            "/istio.v1.auth.IstioCertificateService/CreateCertificate("
            "istio.v1.auth.IstioCertificateRequest) -> istio.v1.auth.IstioCertificateResponse");
}

TEST(Wire, DiscoveryIsEnvoysDeltaStream) {
  namespace d = ::envoy::service::discovery::v3;
  const auto* ads =
      d::AdsDummy::descriptor()->file()->FindServiceByName("AggregatedDiscoveryService");
  ASSERT_NE(ads, nullptr);
  EXPECT_EQ(told(ads->FindMethodByName("DeltaAggregatedResources")),
            "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources("
            "stream envoy.service.discovery.v3.DeltaDiscoveryRequest) -> "
            "stream envoy.service.discovery.v3.DeltaDiscoveryResponse");
}

}  // namespace
}  // namespace weft
