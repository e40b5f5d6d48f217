// weftctl analyze: a clean world is clean; each thing that is broken in it is found, with its code,
// object and line.
#include "controlplane/frontends/analyze/analyze.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weft::controlplane::analyze {
namespace {

// Bookinfo in small, and nothing wrong with it.
constexpr const char* kWorld = R"(apiVersion: v1
kind: Namespace
metadata: {name: default, labels: {istio-injection: enabled}}
---
apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: default}
spec: {selector: {app: reviews}, ports: [{name: http, port: 9080}]}
---
apiVersion: v1
kind: Service
metadata: {name: ratings, namespace: default}
spec: {selector: {app: ratings}, ports: [{name: http, port: 9080}, {name: http-admin, port: 9081}]}
---
apiVersion: v1
kind: Pod
metadata: {name: reviews-v1, namespace: default, labels: {app: reviews, version: v1}}
spec: {nodeName: node1, containers: [{name: c}]}
---
apiVersion: networking.istio.io/v1alpha3
kind: DestinationRule
metadata: {name: reviews, namespace: default}
spec: {host: reviews, subsets: [{name: v1, labels: {version: v1}}]}
---
apiVersion: networking.istio.io/v1alpha3
kind: Gateway
metadata: {name: edge, namespace: default}
spec: {selector: {istio: ingressgateway}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: [shop.example.com]}]}
---
apiVersion: networking.istio.io/v1alpha3
kind: VirtualService
metadata: {name: reviews, namespace: default}
spec: {hosts: [reviews], http: [{route: [{destination: {host: reviews, subset: v1}}]}]}
---
apiVersion: networking.istio.io/v1alpha3
kind: VirtualService
metadata: {name: edge, namespace: default}
spec: {hosts: [shop.example.com], gateways: [edge], http: [{route: [{destination: {host: ratings, port: {number: 9080}}}]}]}
)";

void put(source::ObjectSet& set, const std::string& yaml, const char* file) {
  const auto objects = source::parse_manifest(yaml, file);
  ASSERT_TRUE(objects) << objects.error().text;
  for (const auto& object : *objects) set[object->key()] = object;
}

std::string line(const Finding& finding) {
  return std::string(to_string(finding.level)) + " [" + finding.code + "] (" +
         finding.object.str() + " " + finding.place + ") " + finding.message;
}

std::vector<std::string> findings(const std::string& more) {
  source::ObjectSet set;
  put(set, kWorld, "world.yaml");
  if (!more.empty()) put(set, more, "f.yaml");
  std::vector<std::string> out;
  for (const Finding& finding : analyze(set)) out.push_back(line(finding));
  return out;
}

std::string virtual_service(const std::string& spec) {
  return "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: x, namespace: "
         "default}\nspec: " +
         spec + "\n";
}
std::string any(const char* api, const char* kind, const std::string& spec,
                const char* name = "x") {
  return std::string("apiVersion: ") + api + "\nkind: " + kind + "\nmetadata: {name: " + name +
         ", namespace: default}\nspec: " + spec + "\n---\n";
}

TEST(Analyze, ACleanWorldIsClean) { EXPECT_THAT(findings(""), testing::IsEmpty()); }

TEST(Analyze, EachCodeIsFoundWithItsObjectAndLine) {
  const struct {
    std::string yaml;
    const char* found;
  } rows[] = {
      {virtual_service("\n  hosts: [a.com]\n  http:\n  - route:\n    - destination:\n        host: "
                       "reviewz"),
       "Error [IST0101] (VirtualService.networking.istio.io default/x f.yaml:9) Referenced host "
       "not "
       "found: \"reviewz\" (did you mean reviews.default.svc.cluster.local?)"},
      {virtual_service("{hosts: [a.com], http: [{route: [{destination: {host: reviews, subset: "
                       "v9}}]}]}"),
       "Error [IST0101] (VirtualService.networking.istio.io default/x f.yaml:4) Referenced "
       "host+subset in destinationrule not found: \"reviews+v9\""},
      {virtual_service("{hosts: [a.com], gateways: [nothing], http: [{route: [{destination: {host: "
                       "reviews}}]}]}"),
       "Error [IST0101] (VirtualService.networking.istio.io default/x f.yaml:4) Referenced gateway "
       "not found: \"nothing\""},
      {virtual_service("{hosts: [a.com], http: [{route: [{destination: {host: reviews, port: "
                       "{number: 80}}}]}]}"),
       "Referenced host:port not found: \"reviews:80\""},
      {virtual_service("{hosts: [a.com], http: [{route: [{destination: {host: reviews}}], mirror: "
                       "{host: gone}}]}"),
       "Referenced host not found: \"gone\""},
      {virtual_service("{hosts: [a.com], http: [{route: [{destination: {host: ratings}}]}]}"),
       "Error [IST0112] (VirtualService.networking.istio.io default/x f.yaml:4) This "
       "VirtualService "
       "routes to a service \"ratings\" that exposes multiple ports."},
      {virtual_service("{hosts: [reviews.default.svc.cluster.local], http: [{route: [{destination: "
                       "{host: reviews}}]}]}"),
       "Error [IST0109] (VirtualService.networking.istio.io default/x f.yaml:4) The "
       "VirtualServices "
       "default/reviews,default/x associated with mesh gateway define the same host"},
      {virtual_service(
           "{hosts: [other.com], gateways: [edge], http: [{route: [{destination: {host: "
           "reviews}}]}]}"),
       "Warning [IST0132] (VirtualService.networking.istio.io default/x f.yaml:4) one or more host "
       "[other.com] defined in VirtualService default/x not found in Gateway default/edge"},
      {virtual_service("{hosts: [a.com], http: [{route: [{destination: {host: reviews}}]}, {match: "
                       "[{uri: {prefix: /a}}], route: [{destination: {host: reviews}}]}]}"),
       "Warning [IST0130] (VirtualService.networking.istio.io default/x f.yaml:4) VirtualService "
       "rule #1 not used"},
      {virtual_service("{hosts: [a.com], http: [{match: [{uri: {prefix: /a}}], route: "
                       "[{destination: {host: reviews}}]}, {match: [{uri: {exact: /abc}, headers: "
                       "{x: {exact: z}}}, {uri: {exact: /b}}], route: [{destination: {host: "
                       "reviews}}]}]}"),
       "Info [IST0131] (VirtualService.networking.istio.io default/x f.yaml:4) VirtualService rule "
       "#1 match is not used (rule #0 already matches this)"},
      {virtual_service("{hosts: [a.com], http: [{match: [{headers: {'@request.auth.claims.g': "
                       "{exact: a}}}], route: [{destination: {host: reviews}}]}]}"),
       "Error [IST0149] (VirtualService.networking.istio.io default/x f.yaml:4)"},
      {virtual_service("{hosts: [a.com], http: [{route: [{destination: {host: reviews}, timeout: "
                       "1s}]}]}"),
       "Error [IST0108] (VirtualService.networking.istio.io default/x f.yaml:4) "
       "spec.http[0].route[0].timeout: unknown field: did you mean spec.http[0].timeout?"},
      {virtual_service("{hosts: [a.com], http: [{route: [{destination: {host: reviews}}], timeout: "
                       "fast}]}"),
       "Error [IST0106] (VirtualService.networking.istio.io default/x f.yaml:4) "
       "spec.http[0].timeout: must be a duration"},
      {virtual_service("{hosts: [a.com], http: [{match: [{uri: {regex: '('}}], route: "
                       "[{destination: {host: reviews}}]}]}"),
       "Error [IST0122]"},
      {virtual_service("{hosts: [a.com], http: [{delegate: {name: d}}]}"),
       "Warning [WFT0001] (VirtualService.networking.istio.io default/x f.yaml:4) not supported "
       "yet: spec.http[0].delegate"},
      {virtual_service("{hosts: [a.com], http: [{route: [{destination: {host: reviews}}], mirror: "
                       "{host: reviews}, mirror_percent: 5}]}"),
       "Warning [IST0002] (VirtualService.networking.istio.io default/x f.yaml:4) "
       "spec.http[0].mirror_percent: deprecated"},
      {any("networking.istio.io/v1", "Gateway",
           "{selector: {app: nobody}, servers: [{port: {number: 80, name: http, protocol: HTTP}, "
           "hosts: ['*']}]}"),
       "Error [IST0101] (Gateway.networking.istio.io default/x f.yaml:4) Referenced selector not "
       "found: \"app=nobody\""},
      {any("networking.istio.io/v1", "Gateway",
           "{selector: {istio: ingressgateway}, servers: [{port: {number: 80, name: http, "
           "protocol: "
           "HTTP}, hosts: [shop.example.com]}]}"),
       "Error [IST0145] (Gateway.networking.istio.io default/x f.yaml:4) Conflict with gateways "
       "default/edge"},
      {any("security.istio.io/v1", "AuthorizationPolicy",
           "{selector: {matchLabels: {app: nobody}}}"),
       "Warning [IST0127] (AuthorizationPolicy.security.istio.io default/x f.yaml:4) No matching "
       "workloads for this resource with the following labels: app=nobody"},
      {any("security.istio.io/v1", "AuthorizationPolicy",
           "{targetRefs: [{kind: Service, group: '', name: gone}]}"),
       "Error [IST0101] (AuthorizationPolicy.security.istio.io default/x f.yaml:4) Referenced "
       "Service not found: \"default/gone\""},
      {any("telemetry.istio.io/v1", "Telemetry", "{tracing: []}", "t1") +
           any("telemetry.istio.io/v1", "Telemetry", "{tracing: []}", "t2"),
       "Error [IST0160] (Telemetry.telemetry.istio.io default/t1 f.yaml:3) The Telemetries "
       "[t1,t2]"},
      {any("gateway.networking.k8s.io/v1", "HTTPRoute",
           "{parentRefs: [{group: '', kind: Service, name: reviews}], rules: [{backendRefs: "
           "[{name: "
           "gone, port: 80}]}]}"),
       "Error [IST0101] (HTTPRoute.gateway.networking.k8s.io default/x f.yaml:4) Referenced "
       "service "
       "not found: \"default/gone\""},
      {any("gateway.networking.k8s.io/v1", "HTTPRoute", "{parentRefs: [{name: gone}]}"),
       "Referenced gateway not found: \"default/gone\""},
      {any("v1", "Service", "{selector: {app: x}, ports: [{name: web, port: 80}]}"),
       "Info [IST0118] (Service default/x f.yaml:4) Port name web (port: 80) doesn't follow the "
       "naming convention: missing prefix in service default/x"},
      {"apiVersion: v1\nkind: Namespace\nmetadata: {name: out}\n---\napiVersion: v1\nkind: "
       "Pod\nmetadata: {name: p, namespace: out}\nspec: {containers: [{name: c}]}\n",
       "Info [IST0102] (Namespace out f.yaml:3) The namespace is not enrolled in the mesh (1 "
       "pods)"},
      {any("v1", "Pod", "{hostNetwork: true, containers: [{name: c}]}"),
       "Warning [IST0103] (Pod default/x f.yaml:4)"},
      {any("networking.istio.io/v1alpha3", "EnvoyFilter", "{configPatches: []}"),
       "Warning [WFT0001] (EnvoyFilter.networking.istio.io default/x f.yaml:2) kind EnvoyFilter"},
  };
  for (const auto& row : rows)
    EXPECT_THAT(findings(row.yaml), testing::Contains(testing::HasSubstr(row.found))) << row.yaml;
}

TEST(Analyze, ManifestsAloneDoNotMissWhatTheyCannotKnow) {
  source::ObjectSet set;
  put(set, virtual_service("{hosts: [reviews], http: [{route: [{destination: {host: reviews}}]}]}"),
      "f.yaml");
  put(set,
      any("security.istio.io/v1", "AuthorizationPolicy",
          "{selector: {matchLabels: {app: reviews}}}"),
      "f.yaml");
  for (const Finding& finding : analyze(set)) ADD_FAILURE() << line(finding);
}

TEST(Analyze, DifferentRulesAreReached) {
  const auto found = findings(virtual_service(
      "{hosts: [a.com], http: [{match: [{uri: {exact: /a}}], route: [{destination: {host: "
      "reviews}}]}, {match: [{uri: {prefix: /a}}], route: [{destination: {host: reviews}}]}, "
      "{match: [{headers: {x: {exact: z}}}], route: [{destination: {host: reviews}}]}, {route: "
      "[{destination: {host: reviews}}]}]}"));
  EXPECT_THAT(found, testing::IsEmpty());
}

}  // namespace
}  // namespace weft::controlplane::analyze
