#include "source/core.h"

#include <gtest/gtest.h>

namespace weft::source {
namespace {

ObjectPtr parse(const std::string& text) {
  const auto objects = parse_manifest(text, "f.yaml");
  EXPECT_TRUE(objects) << objects.error().text;
  return objects ? (*objects)[0] : nullptr;
}

TEST(Core, PodHasWhatTheMeshLooksAt) {
  const auto pod = decode_pod(*parse(R"(
apiVersion: v1
kind: Pod
metadata:
  name: web-7d4-x
  namespace: shop
  uid: u-1
  labels: {app: web}
  deletionTimestamp: "2024-01-01T00:00:00Z"
  ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: web-7d4, controller: true}]
spec:
  nodeName: node1
  serviceAccountName: web
  containers:
  - name: a
    ports: [{name: http, containerPort: 8080}]
  - name: b
    ports: [{containerPort: 53, protocol: UDP}]
status:
  phase: Running
  hostIP: 172.31.0.1
  podIP: 10.244.1.2
  podIPs: [{ip: 10.244.1.2}, {ip: "fd00:244:1::2"}]
  conditions: [{type: Initialized, status: "True"}, {type: Ready, status: "True"}]
)"));
  ASSERT_TRUE(pod) << pod.error().text;
  EXPECT_EQ(pod->uid, "u-1");
  EXPECT_EQ(pod->service_account, "web");
  EXPECT_EQ(pod->node_name, "node1");
  ASSERT_EQ(pod->ips.size(), 2u);
  EXPECT_EQ(pod->ips[1].str(), "fd00:244:1::2");
  ASSERT_EQ(pod->ports.size(), 2u);
  EXPECT_EQ(pod->ports[0].name, "http");
  EXPECT_EQ(pod->ports[1].protocol, "UDP");
  EXPECT_TRUE(pod->ready);
  EXPECT_TRUE(pod->deleting);
  EXPECT_EQ(pod->owners[0].name, "web-7d4");
}

TEST(Core, PodDefaults) {
  const auto pod = decode_pod(*parse("apiVersion: v1\nkind: Pod\nmetadata: {name: p}\n"));
  ASSERT_TRUE(pod);
  EXPECT_EQ(pod->service_account, "default");
  EXPECT_FALSE(pod->ready);
  EXPECT_FALSE(pod->host_network);
  EXPECT_TRUE(pod->ips.empty());
}

TEST(Core, ServiceTargetPortsAreNumbersNamesOrThePortItself) {
  const auto service = decode_service(*parse(R"(
apiVersion: v1
kind: Service
metadata: {name: s}
spec:
  clusterIP: 10.96.0.7
  clusterIPs: [10.96.0.7, "fd00:96::7"]
  selector: {app: web}
  internalTrafficPolicy: Local
  ports:
  - {name: a, port: 80, targetPort: 8080}
  - {name: b, port: 81, targetPort: http, appProtocol: http}
  - {name: c, port: 82}
)"));
  ASSERT_TRUE(service) << service.error().text;
  EXPECT_EQ(service->cluster_ips.size(), 2u);
  EXPECT_EQ(service->ports[0].target_port, 8080);
  EXPECT_EQ(service->ports[1].target_port, 0);
  EXPECT_EQ(service->ports[1].target_name, "http");
  EXPECT_EQ(service->ports[2].target_port, 82);
  EXPECT_TRUE(service->internal_traffic_local);
  EXPECT_FALSE(service->headless);
}

TEST(Core, HeadlessServiceHasNoAddress) {
  const auto service = decode_service(
      *parse("apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {clusterIP: None}\n"));
  ASSERT_TRUE(service);
  EXPECT_TRUE(service->headless);
  EXPECT_TRUE(service->cluster_ips.empty());
}

TEST(Core, EndpointWithoutReadyConditionIsReady) {
  const auto slice = decode_endpoint_slice(*parse(R"(
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: s-1, labels: {kubernetes.io/service-name: s}}
addressType: IPv4
ports: [{name: http, port: 8080}]
endpoints:
- addresses: [10.0.0.1]
- addresses: [10.0.0.2]
  conditions: {ready: false}
  targetRef: {kind: Pod, name: p}
)"));
  ASSERT_TRUE(slice) << slice.error().text;
  EXPECT_EQ(slice->service, "s");
  EXPECT_TRUE(slice->endpoints[0].ready);
  EXPECT_FALSE(slice->endpoints[1].ready);
  EXPECT_EQ(slice->endpoints[1].target_name, "p");
}

TEST(Core, EmptySelectorSelectsNothing) {
  EXPECT_FALSE(selects({}, {{"a", "b"}}));
  EXPECT_TRUE(selects({{"a", "b"}}, {{"a", "b"}, {"c", "d"}}));
  EXPECT_FALSE(selects({{"a", "b"}, {"x", "y"}}, {{"a", "b"}}));
}

}  // namespace
}  // namespace weft::source
