// Gateway API routes beside VirtualServices, tokens, and the edge.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <nlohmann/json.hpp>

#include "controlplane/ca/x509.h"
#include "controlplane/translate/l7/certificate.h"
#include "controlplane/translate/l7/routing.h"
#include "l7_world.h"

namespace weft::controlplane {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

const std::string kTwo = http_service("shop", "web", "10.96.0.10") +
                         http_service("shop", "web-v2", "10.96.0.11") +
                         pod_yaml("shop", "w1", "10.244.0.1", "{app: web}") +
                         pod_yaml("shop", "w2", "10.244.0.2", "{app: web-v2}");
const std::string kWeb = "outbound|9080||web.shop.svc.cluster.local";
const std::string kWeb2 = "outbound|9080||web-v2.shop.svc.cluster.local";

std::string http_route(const std::string& ns, const std::string& name, const std::string& rules,
                       const std::string& parent =
                           "{group: \"\", kind: Service, name: web, "
                           "namespace: shop, port: 9080}") {
  return "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: " +
         name + ", namespace: " + ns + "}\nspec: {parentRefs: [" + parent + "], rules: " + rules +
         "}\n";
}
std::string to(const std::string& name, const std::string& more = "") {
  return "{name: " + name + ", namespace: shop, port: 9080" + more + "}";
}

const translate::ParentStatus* parent(const L7World& world, const std::string& name,
                                      const std::string& ns = "shop") {
  const auto* status = world.world.status({"HTTPRoute.gateway.networking.k8s.io", ns, name});
  return status == nullptr || status->parents.empty() ? nullptr : &status->parents[0];
}
std::string parent_condition(const L7World& world, const std::string& name, const std::string& type,
                             const std::string& ns = "shop") {
  const auto* found = parent(world, name, ns);
  if (found == nullptr) return "no parent";
  for (const auto& one : found->conditions) {
    if (one.type == type) return (one.status ? "True " : "False ") + one.reason;
  }
  return "no condition";
}

TEST(MeshRoutes, TheMostSpecificMatchComesFirstWhateverItsPlace) {
  L7World world;
  world.put(kTwo +
            http_route("shop", "web",
                       "[{backendRefs: [" + to("web") +
                           "]}, {matches: [{path: {type: "
                           "PathPrefix, value: /a}}, {path: {type: PathPrefix, value: /a/b}}, "
                           "{path: {type: Exact, value: /a}}], backendRefs: [" +
                           to("web-v2") + "]}]"));
  EXPECT_THAT(world.plan("shop"),
              HasSubstr("  path=/a -> " + kWeb2 + "*1\n  path^//a/b -> " + kWeb2 +
                        "*1\n  path^//a -> " + kWeb2 + "*1\n  * -> " + kWeb + "*1\n"));
  EXPECT_EQ(parent_condition(world, "web", "Accepted"), "True Accepted");
  EXPECT_EQ(parent_condition(world, "web", "ResolvedRefs"), "True ResolvedRefs");
}

TEST(MeshRoutes, GatewayApiBeatsAVirtualServiceWhichIsTold) {
  L7World world;
  world.put(kTwo + http_route("shop", "web", "[{backendRefs: [" + to("web") + "]}]") + R"(
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web, namespace: shop}
spec: {hosts: [web], http: [{route: [{destination: {host: web-v2}}]}]}
)");
  EXPECT_THAT(world.plan("shop"), HasSubstr("authz=-\n  * -> " + kWeb + "*1\n"));
  world.serve("shop");
  const source::ObjectKey loser{"VirtualService.networking.istio.io", "shop", "web"};
  EXPECT_THAT(world.condition(loser, "Reconciled"),
              HasSubstr("False PartiallyInvalid: HTTPRoute shop/web routes port 9080"));
  EXPECT_EQ(world.condition(loser, "Conflict"),
            "True TakesPrecedence: HTTPRoute shop/web routes port 9080 of "
            "web.shop.svc.cluster.local and takes precedence");
  EXPECT_THAT(world.condition(loser, "WeftL7Enforced"),
              HasSubstr("False Conflict: shop/web: HTTPRoute shop/web routes port 9080"));
  EXPECT_EQ(parent_condition(world, "web", "WeftL7Enforced"), "True Enforced");
  world.drop("HTTPRoute.gateway.networking.k8s.io", "shop", "web");
  world.ack("shop");
  EXPECT_EQ(world.condition(loser, "Conflict"), "no condition");
  EXPECT_THAT(world.condition(loser, "WeftL7Enforced"), HasSubstr("True Enforced"));
}

TEST(MeshRoutes, WhatARuleThatIsNotInForceNamesIsResolvedAllTheSame) {
  L7World world;
  world.put(kTwo + http_route("shop", "a-first", "[{backendRefs: [" + to("web") + "]}]") +
            http_route("shop", "b-shadowed", "[{backendRefs: [" + to("nobody") + "]}]") +
            http_route("shop", "c-elsewhere", "[{backendRefs: [" + to("nobody") + "]}]",
                       "{group: \"\", kind: Service, name: not-there}") +
            "---\napiVersion: gateway.networking.k8s.io/v1\nkind: GRPCRoute\nmetadata: {name: d, "
            "namespace: shop}\nspec: {parentRefs: [{group: \"\", kind: Service, name: web-v2}], "
            "rules: [{backendRefs: [" +
            to("web") + "]}]}\n" +
            http_route("shop", "e-conflicted", "[{backendRefs: [" + to("nobody") + "]}]",
                       "{group: \"\", kind: Service, name: web-v2}"));
  for (const char* name : {"b-shadowed", "c-elsewhere", "e-conflicted"})
    EXPECT_EQ(parent_condition(world, name, "ResolvedRefs"), "False BackendNotFound") << name;
  EXPECT_EQ(parent_condition(world, "c-elsewhere", "Accepted"), "False NoMatchingParent");
  EXPECT_EQ(parent_condition(world, "e-conflicted", "Accepted"), "False Conflicted");
  EXPECT_EQ(parent_condition(world, "a-first", "ResolvedRefs"), "True ResolvedRefs");
  world.put(http_service("shop", "nobody", "10.96.0.77"));
  for (const char* name : {"b-shadowed", "e-conflicted"})
    EXPECT_EQ(parent_condition(world, name, "ResolvedRefs"), "True ResolvedRefs") << name;
}

// What a rule with this redirect is at a listener: "port", in parentheses when it is not written.
std::string redirected(model::Redirect redirect, translate::l7::Entrance at) {
  model::RouteTable table;
  table.api = model::Api::kGatewayApi;
  model::HttpRule rule;
  rule.redirect = std::move(redirect);
  table.http.push_back(std::move(rule));
  const auto routes = translate::l7::order_routes({&table}, at, nullptr);
  const model::Redirect& out = *routes.at(0).rule.redirect;
  if (!out.port) return "none";
  const std::string port = std::to_string(*out.port);
  return out.port_unsaid ? "(" + port + ")" : port;
}

TEST(DestinationRules, ASecretThatIsNotThereIsSaidAndItsClusterIsEmpty) {
  L7World world;
  world.put(kTwo + R"(
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: web, namespace: shop}
spec: {host: web, trafficPolicy: {outlierDetection: {}, tls: {mode: MUTUAL, credentialName: own}}}
)");
  const source::ObjectKey rule{"DestinationRule.networking.istio.io", "shop", "web"};
  EXPECT_THAT(world.condition(rule, "Reconciled"),
              HasSubstr("False PartiallyInvalid: Secret shop/own is not there: requests for "
                        "web.shop.svc.cluster.local get a 503"));
  EXPECT_THAT(world.plan("shop"), HasSubstr(kWeb + " {} outlier"));
  const auto key = ca::make_key();
  const auto now = WallClock::now();
  const auto cert = ca::make_root(key.get(), "td", now, now + std::chrono::hours(24));
  const auto quoted = [](const std::string& pem) { return nlohmann::json(pem).dump(); };
  world.put(
      "---\napiVersion: v1\nkind: Secret\nmetadata: {name: own, namespace: shop}\n"
      "stringData: {tls.crt: " +
      quoted(ca::cert_pem(cert.get())) + ", tls.key: " + quoted(ca::key_pem(key.get())) + "}\n");
  EXPECT_THAT(world.condition(rule, "Reconciled"), HasSubstr("True Reconciled"));
  EXPECT_THAT(world.plan("shop"), HasSubstr(kWeb + " {10.244.0.1:8080} outlier"));
  const model::Plan& plan = world.plans["waypoint~shop/weft-waypoint"];
  ASSERT_EQ(plan.certificates.size(), 1u);
  EXPECT_EQ(plan.certificates[0].name, "shop/own");
  EXPECT_EQ(plan.clusters.at(kWeb).policy.tls->credential_name, "shop/own");
  world.drop("Secret", "shop", "own");
  EXPECT_THAT(world.condition(rule, "Reconciled"), HasSubstr("Secret shop/own is not there"));
  EXPECT_THAT(world.plan("shop"), HasSubstr(kWeb + " {} outlier"));
}

TEST(Redirects, APortThatIsItsSchemesOwnIsNotWritten) {
  using enum model::Redirect::Port;
  const translate::l7::Entrance http{80, false}, http_8080{8080, false}, https{443, true},
      plain_443{443, false}, tls_8443{8443, true};
  EXPECT_EQ(redirected({.port_from = kOfListener}, http), "(80)");
  EXPECT_EQ(redirected({.port_from = kOfListener}, http_8080), "8080");
  EXPECT_EQ(redirected({.port_from = kOfListener}, https), "(443)");
  EXPECT_EQ(redirected({.port_from = kOfListener}, plain_443), "443");
  EXPECT_EQ(redirected({.port_from = kOfListener}, tls_8443), "8443");
  EXPECT_EQ(redirected({.scheme = "https", .port_from = kOfScheme}, http_8080), "(443)");
  EXPECT_EQ(redirected({.scheme = "http", .port_from = kOfScheme}, tls_8443), "(80)");
  EXPECT_EQ(redirected({.port_from = kOfScheme}, tls_8443), "(443)");
  EXPECT_EQ(redirected({.port = 443}, tls_8443), "(443)");
  EXPECT_EQ(redirected({.port = 443}, http), "443");
  EXPECT_EQ(redirected({}, http_8080), "none");
}

TEST(MeshRoutes, AConsumersRouteIsForItsNamespaceAloneAndReplacesTheProducers) {
  L7World world;
  world.put(kTwo + http_route("shop", "web", "[{backendRefs: [" + to("web") + "]}]") +
            http_route("client", "mine",
                       "[{matches: [{path: {value: /x}}], backendRefs: [" + to("web-v2") + "]}]"));
  EXPECT_THAT(world.plan("shop"), HasSubstr("  path^//x from:client -> " + kWeb2 +
                                            "*1\n  * from:client -> direct "
                                            "404\n  * -> " +
                                            kWeb + "*1\n"));
  EXPECT_EQ(parent_condition(world, "mine", "Accepted", "client"), "True Accepted");
}

TEST(MeshRoutes, ABrokenBackendsShareIsBrokenAndSaid) {
  L7World world;
  world.put(kTwo + http_route("shop", "web",
                              "[{backendRefs: [" + to("web") + ", " + to("nobody") + "]}]"));
  EXPECT_THAT(world.plan("shop"), HasSubstr("  * -> " + kWeb + "*1 BROKEN*1\n"));
  EXPECT_EQ(parent_condition(world, "web", "ResolvedRefs"), "False BackendNotFound");
  world.put(http_service("shop", "nobody", "10.96.0.77"));
  EXPECT_THAT(world.plan("shop"), Not(HasSubstr("BROKEN"))) << "it came to be";
  EXPECT_EQ(parent_condition(world, "web", "ResolvedRefs"), "True ResolvedRefs");
}

TEST(MeshRoutes, AMissingSubsetIsAClusterWithNobody) {
  L7World world;
  world.put(kTwo + R"(
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web, namespace: shop}
spec: {hosts: [web], http: [{route: [{destination: {host: web, subset: v9}}]}]}
)");
  EXPECT_THAT(world.plan("shop"), HasSubstr("outbound|9080|v9|web.shop.svc.cluster.local {}"));
  EXPECT_THAT(world.condition({"VirtualService.networking.istio.io", "shop", "web"}, "Reconciled"),
              HasSubstr("no DestinationRule defines subset v9"));
}

TEST(MeshRoutes, OutlierDetectionAloneNeedsAWaypointSubsetsAloneDoNot) {
  L7World world;
  world.put(kTwo + R"(
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: web, namespace: shop}
spec: {host: web, trafficPolicy: {outlierDetection: {consecutive5xxErrors: 3}}}
)");
  EXPECT_THAT(world.plan("shop"), HasSubstr(kWeb + " {10.244.0.1:8080} outlier"));
}

const std::string kTokens = R"(
---
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: jwt, namespace: shop}
spec: {selector: {matchLabels: {app: web}}, jwtRules: [{issuer: me, jwksUri: "http://keys/a"}]}
)";

TEST(Tokens, AnIssuerAloneIsAskedForItsDiscoveryDocument) {
  L7World world;
  std::string tokens = kTokens;
  const std::string uri = R"(issuer: me, jwksUri: "http://keys/a")";
  tokens.replace(tokens.find(uri), uri.size(), R"(issuer: "https://who.example/realm/")");
  world.put(kTwo + tokens);
  ASSERT_TRUE(world.last.jwks_uris);
  EXPECT_EQ(*world.last.jwks_uris,
            std::vector<std::string>{"https://who.example/realm/.well-known/openid-configuration"});
}

TEST(Tokens, AKeySetThatCannotBeHadAdmitsNoTokenAndIsSaid) {
  L7World world;
  world.put(kTwo + kTokens);
  ASSERT_TRUE(world.last.jwks_uris);
  EXPECT_EQ(*world.last.jwks_uris, std::vector<std::string>{"http://keys/a"});
  const auto& jwt = world.plans["waypoint~shop/weft-waypoint"].services[0].jwt;
  ASSERT_EQ(jwt.size(), 1u);
  EXPECT_THAT(jwt[0].jwks, HasSubstr("weft-nobody"));
  EXPECT_TRUE(jwt[0].jwks_uri.empty());
  const source::ObjectKey key{"RequestAuthentication.security.istio.io", "shop", "jwt"};
  EXPECT_THAT(world.condition(key, "JwksResolved"), HasSubstr("False NoKeys"));
  world.world.fetched("http://keys/a",
                      std::string("{\"keys\": [{\"kty\": \"RSA\", \"n\": \"AA\"}]}"));
  world.put("");
  EXPECT_THAT(world.plans["waypoint~shop/weft-waypoint"].services[0].jwt[0].jwks,
              HasSubstr("weft-nobody"))
      << "a key too short to be one";
  world.world.fetched("http://keys/a", std::string("{\"keys\": [{\"kty\": \"oct\", \"k\": "
                                                   "\"c2VjcmV0\"}, {\"kty\": \"bad\"}]}"));
  world.put("");
  EXPECT_EQ(world.plans["waypoint~shop/weft-waypoint"].services[0].jwt[0].jwks,
            "{\"keys\":[{\"k\":\"c2VjcmV0\",\"kty\":\"oct\"}]}");
  EXPECT_EQ(world.condition(key, "JwksResolved"), "no condition");
}

TEST(Tokens, NobodyButTheWaypointComesToPortsWhoseTokensAreChecked) {
  L7World world;
  world.put(kTwo + kTokens);
  EXPECT_THAT(world.workload("shop", "w1").authorization_policies,
              testing::ElementsAre("shop/weft_requests_web"));
  EXPECT_FALSE(world.admits("shop/weft_requests_web", "weft-waypoint"));
  world.serve("shop");
  EXPECT_TRUE(world.admits("shop/weft_requests_web", "weft-waypoint"));
  EXPECT_FALSE(world.admits("shop/weft_requests_web", "somebody"));
  world.drop("RequestAuthentication.security.istio.io", "shop", "jwt");
  EXPECT_THAT(world.workload("shop", "w1").authorization_policies, IsEmpty());
  EXPECT_FALSE(world.policies.contains("shop/weft_requests_web"));
}

const std::string kIngress = R"(
---
apiVersion: networking.istio.io/v1alpha3
kind: Gateway
metadata: {name: edge, namespace: shop}
spec:
  selector: {istio: ingressgateway}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]
---
apiVersion: networking.istio.io/v1alpha3
kind: VirtualService
metadata: {name: web, namespace: shop}
spec:
  hosts: ["*"]
  gateways: [edge]
  http: [{match: [{uri: {exact: /productpage}}], route: [{destination: {host: web, port: {number: 9080}}}]}]
)";

TEST(Edge, IstiosGatewayGetsOneOfOurs) {
  L7World world;
  world.put("apiVersion: v1\nkind: Namespace\nmetadata: {name: istio-system}\n" + kTwo + kIngress);
  EXPECT_EQ(text(world.plans["gateway~istio-system/istio-ingressgateway"]),
            "gateway~istio-system/istio-ingressgateway\nlistener port-80 80\n  chain authz=-\n"
            "    host *\n      path=/productpage -> " +
                kWeb + "*1 retry\n" + kWeb + " {10.244.0.1:8080}\n");
  ASSERT_EQ(world.gateways.size(), 1u);
  EXPECT_EQ(world.gateways[0].ports, std::vector<std::uint16_t>{80});
  EXPECT_EQ(world.gateways[0].pod_labels.at("istio"), "ingressgateway");
  EXPECT_THAT(world.condition({"Gateway.networking.istio.io", "shop", "edge"}, "Programmed"),
              HasSubstr("False Pending"));
}

TEST(Edge, PolicyForItsPodsIsThereBeforeThemAndNotTheirNodesAffair) {
  L7World world;
  world.put(kTwo + kIngress + R"(
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: edge, namespace: weft-system}
spec: {selector: {matchLabels: {istio: ingressgateway}}, rules: [{from: [{source: {ipBlocks: [10.0.0.1]}}]}]}
)");
  EXPECT_THAT(text(world.plans["gateway~weft-system/istio-ingressgateway"]),
              Not(HasSubstr("chain authz=-")));
  auto pod = [](const std::string& account) {
    return "apiVersion: v1\nkind: Pod\nmetadata: {name: " + account +
           ", namespace: weft-system, labels: {istio: ingressgateway, weft.dev/mesh: enabled, "
           "weft.dev/gateway: istio-ingressgateway, app.kubernetes.io/managed-by: "
           "weft-controlplane}}\nspec: {nodeName: node1, serviceAccountName: " +
           account + "}\nstatus: {phase: Running, podIP: 10.244.1." +
           std::to_string(account.size()) + "}\n";
  };
  world.put(pod("istio-ingressgateway") + "---\n" + pod("somebody"));
  EXPECT_THAT(world.workload("weft-system", "istio-ingressgateway").authorization_policies,
              IsEmpty());
  EXPECT_EQ(world.workload("weft-system", "somebody").authorization_policies.size(), 1u);
}

TEST(Edge, ACertificateThatIsNoneIsNotServedAndReadsLikeNoKey) {
  using translate::l7::why_no_certificate;
  EXPECT_EQ(why_no_certificate("", "", ""), "tls.crt holds no PEM certificate");
  EXPECT_EQ(
      why_no_certificate("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "", ""),
      "tls.crt holds no PEM certificate");
  EXPECT_EQ(why_no_certificate("", "", "-----BEGIN"), "ca.crt holds no PEM certificate");
}

TEST(Edge, AServiceWithAWaypointIsReachedByItsAddress) {
  L7World world;
  world.put(kTwo + kIngress + http_route("shop", "web", "[{backendRefs: [" + to("web") + "]}]"));
  EXPECT_THAT(text(world.plans["gateway~weft-system/istio-ingressgateway"]),
              HasSubstr(kWeb + " {10.96.0.10:9080}"));
}

TEST(Edge, RoutesAttachWhereTheListenerLetsThemAndRemovalLeavesNothing) {
  L7World world;
  const std::string gateway = R"(
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw, namespace: shop}
spec:
  gatewayClassName: weft
  listeners: [{name: web, port: 80, protocol: HTTP, hostname: "*.example.com"}]
)";
  const std::string at = "{name: gw, namespace: shop}";
  world.put(kTwo + gateway + http_route("shop", "in", "[{backendRefs: [" + to("web") + "]}]", at) +
            http_route("away", "out", "[{backendRefs: [" + to("web") + "]}]", at));
  EXPECT_THAT(text(world.plans["gateway~shop/gw"]), HasSubstr("    host *.example.com\n"));
  EXPECT_EQ(parent_condition(world, "in", "Accepted"), "True Accepted");
  EXPECT_EQ(parent_condition(world, "out", "Accepted", "away"), "False NotAllowedByListeners");
  const auto* status = world.world.status({"Gateway.gateway.networking.k8s.io", "shop", "gw"});
  ASSERT_NE(status, nullptr);
  ASSERT_EQ(status->listeners.size(), 1u);
  EXPECT_EQ(status->listeners[0].attached_routes, 1u);
  world.drop("HTTPRoute.gateway.networking.k8s.io", "shop", "in");
  world.drop("HTTPRoute.gateway.networking.k8s.io", "away", "out");
  world.drop("Gateway.gateway.networking.k8s.io", "shop", "gw");
  EXPECT_THAT(world.plans, IsEmpty());
  EXPECT_THAT(world.gateways, IsEmpty());
}

TEST(Edge, ABackendOfAnotherNamespaceNeedsAGrant) {
  L7World world;
  world.put(kTwo + R"(
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw, namespace: edge}
spec: {gatewayClassName: weft, listeners: [{name: web, port: 80, protocol: HTTP}]}
)" + http_route("edge", "in", "[{backendRefs: [" + to("web") + "]}]", "{name: gw}"));
  EXPECT_EQ(parent_condition(world, "in", "ResolvedRefs", "edge"), "False RefNotPermitted");
  EXPECT_THAT(text(world.plans["gateway~edge/gw"]), HasSubstr("* -> BROKEN*1"));
  world.put(R"(
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {name: let-edge-in, namespace: shop}
spec:
  from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: edge}]
  to: [{group: "", kind: Service}]
)");
  EXPECT_EQ(parent_condition(world, "in", "ResolvedRefs", "edge"), "True ResolvedRefs");
}

}  // namespace
}  // namespace weft::controlplane
