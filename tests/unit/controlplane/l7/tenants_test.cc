// What the objects of one namespace may do to the clients and services of another: nothing.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "l7_world.h"

namespace weft::controlplane {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

// A port that does not say what it speaks.
const std::string kBare = R"(
---
apiVersion: v1
kind: Service
metadata: {name: store, namespace: shop}
spec: {clusterIP: 10.96.0.20, selector: {app: store}, ports: [{port: 6379}]}
)" + pod_yaml("shop", "s1", "10.244.0.20", "{app: store}");
const std::string kEvil = R"(
---
apiVersion: v1
kind: Service
metadata: {name: sink, namespace: evil}
spec: {clusterIP: 10.96.0.66, selector: {app: sink}, ports: [{name: tcp, port: 6379}]}
)" + pod_yaml("evil", "sink", "10.244.0.66", "{app: sink}");

std::string virtual_service(const std::string& ns, const std::string& rules,
                            const std::string& more = "") {
  return "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: store, "
         "namespace: " +
         ns + more + "}\nspec:\n  hosts: [store.shop.svc.cluster.local]\n  " + rules + "\n";
}
const std::string kToSink =
    "tcp: [{route: [{destination: {host: sink.evil.svc.cluster.local, port: {number: 6379}}}]}]";

TEST(Tenants, AnotherNamespacesTcpRouteTakesNobodysConnections) {
  L7World world;
  world.put(kBare + kEvil + virtual_service("evil", kToSink));
  EXPECT_THAT(world.plans, IsEmpty());
  EXPECT_THAT(world.gateways, IsEmpty());
  const source::ObjectKey key{"VirtualService.networking.istio.io", "evil", "store"};
  EXPECT_THAT(world.condition(key, "Reconciled"), HasSubstr("clients of some namespaces only"));
  world.put(virtual_service("shop", kToSink));
  EXPECT_THAT(world.plan("shop"), HasSubstr("tcp outbound|6379||sink.evil"))
      << "the service's own namespace may";
}

TEST(Tenants, AnotherNamespacesHttpRouteDoesNotMakeAPortHttp) {
  L7World world;
  world.put(kBare + virtual_service("evil",
                                    "http: [{fault: {abort: {httpStatus: 503, percentage: "
                                    "{value: 100}}}, route: [{destination: {host: "
                                    "store.shop.svc.cluster.local}}]}]"));
  EXPECT_THAT(world.plans, IsEmpty());
  EXPECT_EQ(world.told("shop", "store"), "");
}

std::string gateway(const std::string& ns, const std::string& since, const std::string& servers) {
  return "---\napiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: edge, "
         "namespace: " +
         ns + ", creationTimestamp: \"" + since +
         "\"}\nspec:\n  selector: {istio: ingressgateway}\n"
         "  servers: [" +
         servers + "]\n";
}
std::string route(const std::string& ns, const std::string& since, const std::string& gateway,
                  const std::string& rules) {
  return "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: web, "
         "namespace: " +
         ns + ", creationTimestamp: \"" + since +
         "\"}\nspec:\n  hosts: [shop.example]\n  gateways: [" + gateway + "]\n  " + rules + "\n";
}
std::string http_to(const std::string& host) {
  return "http: [{route: [{destination: {host: " + host + ", port: {number: 9080}}}]}]";
}
const std::string kOld = "2026-01-01T00:00:00Z", kNew = "2026-02-02T00:00:00Z";
const std::string kHttp = "{port: {number: 80, name: http, protocol: HTTP}, hosts: [shop.example]}";
const std::string kShop =
    http_service("shop", "web", "10.96.0.10") + pod_yaml("shop", "w1", "10.244.0.1", "{app: web}") +
    gateway("shop", kOld, kHttp) + route("shop", kOld, "edge", http_to("web"));

// "evil" comes before "shop" by name.
TEST(Tenants, ALaterGatewayDoesNotTakeAHostThatIsServed) {
  L7World world;
  world.put(kShop + http_service("evil", "web", "10.96.0.66") +
            pod_yaml("evil", "w1", "10.244.0.66", "{app: web}") + gateway("evil", kNew, kHttp) +
            route("evil", kNew, "edge", http_to("web")));
  const std::string plan = text(world.plans["gateway~weft-system/istio-ingressgateway"]);
  EXPECT_LT(plan.find("web.shop.svc"), plan.find("web.evil.svc")) << plan;
}

TEST(Tenants, ALaterGatewayDoesNotTakeAPortThatIsServed) {
  L7World world;
  world.put(kShop +
            gateway("evil", kNew,
                    "{port: {number: 80, name: tls, protocol: TLS}, hosts: [\"*\"], tls: "
                    "{mode: PASSTHROUGH}}") +
            kEvil +
            route("evil", kNew, "edge",
                  "tls: [{match: [{sniHosts: [shop.example]}], route: [{destination: "
                  "{host: sink.evil.svc.cluster.local}}]}]"));
  EXPECT_THAT(text(world.plans["gateway~weft-system/istio-ingressgateway"]),
              HasSubstr("    host shop.example\n"));
}

TEST(Tenants, AGatewaysHostsOfANamespaceAreForTcpToo) {
  L7World world;
  world.put(
      kBare + kEvil +
      gateway("shop", kOld, "{port: {number: 6379, name: tcp, protocol: TCP}, hosts: [shop/*]}") +
      route("evil", kOld, "shop/edge", kToSink));
  EXPECT_THAT(text(world.plans["gateway~weft-system/istio-ingressgateway"]),
              Not(HasSubstr("sink.evil")));
}

TEST(Tenants, ASecondTcpRouteOfAListenerIsLeftOut) {
  L7World world;
  const std::string to_store =
      "tcp: [{route: [{destination: {host: store.shop.svc.cluster.local, port: {number: 6379}}}]}]";
  world.put(
      kBare + kEvil +
      gateway("shop", kOld, "{port: {number: 6379, name: tcp, protocol: TCP}, hosts: [\"*\"]}") +
      route("shop", kOld, "edge", to_store) + route("evil", kNew, "shop/edge", kToSink));
  const auto& plan = world.plans["gateway~weft-system/istio-ingressgateway"];
  ASSERT_EQ(plan.listeners.size(), 1u);
  ASSERT_EQ(plan.listeners[0].chains.size(), 1u) << "Envoy refuses two chains that match the same";
  EXPECT_THAT(text(plan), HasSubstr("store.shop"));
}

TEST(Tenants, ALaterServiceEntryDoesNotTakeAHostThatIsKnown) {
  L7World world;
  auto entry = [](const std::string& ns, const std::string& since, const std::string& host,
                  const std::string& ip) {
    return "---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: api, "
           "namespace: " +
           ns + ", creationTimestamp: \"" + since + "\"}\nspec: {hosts: [\"" + host +
           "\"], ports: [{number: 80, name: http, protocol: HTTP}], resolution: STATIC, "
           "endpoints: [{address: " +
           ip + "}]}\n";
  };
  world.put(gateway("shop", kOld, kHttp) + entry("shop", kOld, "api.example", "192.0.2.1") +
            entry("evil", kNew, "api.example", "192.0.2.66") +
            entry("away", kOld, "*.example", "192.0.2.67") +
            route("shop", kOld, "edge",
                  "http: [{route: [{destination: {host: api.example, port: {number: 80}}}]}]"));
  EXPECT_THAT(text(world.plans["gateway~weft-system/istio-ingressgateway"]),
              HasSubstr("outbound|80||api.example {192.0.2.1:80}"));
}

// Each value of a key is copied and written by recursion: half a million brackets ended the
// process, and again after each restart.
TEST(Tenants, AKeySetNestedToTheSkyStopsNobody) {
  constexpr std::size_t kDeep = 500'000;
  const std::string keys = R"({"keys": [{"kty": "oct", "k": "c2VjcmV0", "x": )" +
                           std::string(kDeep, '[') + std::string(kDeep, ']') + "}]}";
  L7World world;
  world.put(kShop + R"(
---
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: jwt, namespace: shop}
spec: {selector: {matchLabels: {app: web}}, jwtRules: [{issuer: me, jwksUri: "http://keys/a"}]}
)");
  world.world.fetched("http://keys/a", keys);
  world.put("");
  EXPECT_THAT(
      world.condition({"RequestAuthentication.security.istio.io", "shop", "jwt"}, "JwksResolved"),
      HasSubstr("nested too deeply"));
}

}  // namespace
}  // namespace weft::controlplane
