// weftctl analyze: a clean world is clean; each thing that is broken in it is found, with its code,
// object and line.
#include "controlplane/frontends/analyze/analyze.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <regex>
#include <set>

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

// A VirtualService whose one rule is to reviews, with `more` in the rule.
std::string rule(const std::string& more) {
  return virtual_service("{hosts: [a.com], http: [{route: [{destination: {host: reviews}}]" +
                         (more.empty() ? "" : ", " + more) + "}]}");
}
std::string to(const std::string& destination) {
  return virtual_service("{hosts: [a.com], http: [{route: [{destination: {" + destination +
                         "}}]}]}");
}
std::string policy(const std::string& spec) {
  return any("security.istio.io/v1", "AuthorizationPolicy", spec);
}
std::string route(const std::string& spec) {
  return any("gateway.networking.k8s.io/v1", "HTTPRoute", spec);
}
std::string gateway(const std::string& selector, const std::string& server) {
  return any("networking.istio.io/v1", "Gateway",
             "{selector: " + selector +
                 ", servers: [{port: {number: 80, name: http, protocol: " + server + "}]}");
}
std::string marked(const std::string& where) {
  return "apiVersion: v1\nkind: Pod\nmetadata:\n  name: x\n  namespace: default\n  " + where +
         "\nspec: {containers: [{name: c}]}\n";
}
const std::string kSecret =
    "apiVersion: v1\nkind: Secret\nmetadata: {name: cert, namespace: default}\n---\n";

// What triggers a rule, what it says, and what nearly triggers it and must not.
struct Row {
  std::string yaml, found, near;
};

std::vector<Row> rows() {
  return {
      {virtual_service("\n  hosts: [a.com]\n  http:\n  - route:\n    - destination:\n        host: "
                       "reviewz"),
       "Error [IST0101] (VirtualService.networking.istio.io default/x f.yaml:9) Referenced host "
       "not found: \"reviewz\" (did you mean reviews.default.svc.cluster.local?)",
       to("host: reviews.default.svc.cluster.local")},
      {to("host: reviews, subset: v9"),
       "Error [IST0101] (VirtualService.networking.istio.io default/x f.yaml:4) Referenced "
       "host+subset in destinationrule not found: \"reviews+v9\"",
       to("host: reviews, subset: v1")},
      {virtual_service("{hosts: [a.com], gateways: [nothing], http: [{route: [{destination: {host: "
                       "reviews}}]}]}"),
       "Error [IST0101] (VirtualService.networking.istio.io default/x f.yaml:4) Referenced gateway "
       "not found: \"nothing\"",
       virtual_service("{hosts: [shop.example.com], gateways: [default/edge], http: [{route: "
                       "[{destination: {host: reviews}}]}]}")},
      {to("host: reviews, port: {number: 80}"),
       "Error [IST0101] (VirtualService.networking.istio.io default/x f.yaml:4) Referenced "
       "host:port not found: \"reviews:80\"",
       to("host: reviews, port: {number: 9080}")},
      {rule("mirror: {host: gone}"),
       "Error [IST0101] (VirtualService.networking.istio.io default/x f.yaml:4) Referenced host "
       "not found: \"gone\"",
       rule("mirror: {host: ratings, port: {number: 9081}}")},
      {gateway("{app: nobody}", "HTTP}, hosts: ['*']"),
       "Error [IST0101] (Gateway.networking.istio.io default/x f.yaml:4) Referenced selector not "
       "found: \"app=nobody\"",
       gateway("{app: reviews}", "HTTP}, hosts: ['*']")},
      {kSecret + gateway("{istio: ingressgateway}",
                         "HTTPS}, hosts: [b.com], tls: {mode: SIMPLE, credentialName: gone}"),
       "Error [IST0101] (Gateway.networking.istio.io default/x f.yaml:8) Referenced credentialName "
       "not found: \"gone\"",
       kSecret + gateway("{istio: ingressgateway}",
                         "HTTPS}, hosts: [b.com], tls: {mode: SIMPLE, credentialName: cert}")},
      {policy("{targetRefs: [{kind: Service, group: '', name: gone}]}"),
       "Error [IST0101] (AuthorizationPolicy.security.istio.io default/x f.yaml:4) Referenced "
       "Service not found: \"default/gone\"",
       policy("{targetRefs: [{kind: Service, group: '', name: reviews}]}")},
      {route("{parentRefs: [{group: '', kind: Service, name: reviews}], rules: [{backendRefs: "
             "[{name: gone, port: 80}]}]}"),
       "Error [IST0101] (HTTPRoute.gateway.networking.k8s.io default/x f.yaml:4) Referenced "
       "service not found: \"default/gone\"",
       route("{parentRefs: [{group: '', kind: Service, name: reviews}], rules: [{backendRefs: "
             "[{name: reviews, port: 9080}]}]}")},
      {route("{parentRefs: [{name: gone}]}"),
       "Error [IST0101] (HTTPRoute.gateway.networking.k8s.io default/x f.yaml:4) Referenced "
       "gateway not found: \"default/gone\"",
       any("gateway.networking.k8s.io/v1", "Gateway",
           "{gatewayClassName: weft, listeners: [{name: http, port: 80, protocol: HTTP}]}") +
           route("{parentRefs: [{name: x}]}")},
      {"apiVersion: v1\nkind: Namespace\nmetadata: {name: out}\n---\napiVersion: v1\nkind: "
       "Pod\nmetadata: {name: p, namespace: out}\nspec: {containers: [{name: c}]}\n",
       "Info [IST0102] (Namespace out f.yaml:3) The namespace is not enrolled in the mesh (1 "
       "pods)",
       "apiVersion: v1\nkind: Namespace\nmetadata: {name: out, labels: {weft.dev/mesh: "
       "disabled}}\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: out}\nspec: "
       "{containers: [{name: c}]}\n"},
      {any("v1", "Pod", "{hostNetwork: true, containers: [{name: c}]}"),
       "Warning [IST0103] (Pod default/x f.yaml:4) The pod default/x is not in the mesh: it uses "
       "the node's own network",
       any("v1", "Pod", "{hostNetwork: false, containers: [{name: c}]}")},
      {rule("timeout: fast"),
       "Error [IST0106] (VirtualService.networking.istio.io default/x f.yaml:4) "
       "spec.http[0].timeout: must be a duration like 1.5s, 20ms or 1h30m, got \"fast\"",
       rule("timeout: 1m")},
      {any("networking.istio.io/v1", "VirtualServce", "{hosts: [a.com]}"),
       "Error [IST0106] (VirtualServce.networking.istio.io default/x f.yaml:2) kind: "
       "networking.istio.io has no kind VirtualServce (did you mean VirtualService?), got "
       "\"VirtualServce\"",
       any("example.com/v1", "VirtualServce", "{hosts: [a.com]}")},
      {any("security.istio.io/v1alpha9", "AuthorizationPolicy", "{}"),
       "Error [IST0106] (AuthorizationPolicy.security.istio.io default/x f.yaml:2) kind: "
       "AuthorizationPolicy has no such version (there are: security.istio.io/v1, "
       "security.istio.io/v1beta1)",
       any("security.istio.io/v1beta1", "AuthorizationPolicy", "{}")},
      {any("networking.istio.io/v1", "HTTPRoute", "{}"),
       "Error [IST0106] (HTTPRoute.networking.istio.io default/x f.yaml:2) kind: "
       "networking.istio.io has no kind HTTPRoute (it is one of gateway.networking.k8s.io/v1, ",
       route("{parentRefs: []}")},
      {virtual_service("{hosts: [a.com], http: [{route: [{destination: {host: reviews}, timeout: "
                       "1s}]}]}"),
       "Error [IST0108] (VirtualService.networking.istio.io default/x f.yaml:4) "
       "spec.http[0].route[0].timeout: unknown field: did you mean spec.http[0].timeout?",
       rule("timeout: 1s")},
      {"apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: x, "
       "namespace: default}\nspecc: {action: DENY}\n",
       "Error [IST0108] (AuthorizationPolicy.security.istio.io default/x f.yaml:4) specc: unknown "
       "field: did you mean spec?",
       "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: x, "
       "namespace: default}\nspec: {}\nstatus: {conditions: []}\n"},
      {virtual_service("{hosts: [reviews.default.svc.cluster.local], http: [{route: [{destination: "
                       "{host: reviews}}]}]}"),
       "Error [IST0109] (VirtualService.networking.istio.io default/x f.yaml:4) The "
       "VirtualServices default/reviews,default/x associated with mesh gateway define the same "
       "host reviews.default.svc.cluster.local",
       virtual_service("{hosts: [shop.example.com], gateways: [edge], http: [{route: "
                       "[{destination: {host: reviews}}]}]}")},
      {to("host: ratings"),
       "Error [IST0112] (VirtualService.networking.istio.io default/x f.yaml:4) This "
       "VirtualService routes to a service \"ratings\" that exposes multiple ports.",
       to("host: ratings, port: {number: 9081}")},
      {any("v1", "Service", "{selector: {app: x}, ports: [{name: web, port: 80}]}"),
       "Info [IST0118] (Service default/x f.yaml:4) Port name web (port: 80) doesn't follow the "
       "naming convention: missing prefix in service default/x",
       any("v1", "Service",
           "{selector: {app: x}, ports: [{name: http-web, port: 80}, {name: web, port: 81, "
           "appProtocol: http}, {name: dns, port: 53, protocol: UDP}]}")},
      {virtual_service("{hosts: [a.com], http: [{match: [{uri: {regex: '('}}], route: "
                       "[{destination: {host: reviews}}]}]}"),
       "Error [IST0122] (VirtualService.networking.istio.io default/x f.yaml:4) "
       "spec.http[0].match[0].uri.regex: must be a regular expression (RE2): missing ): (, got "
       "\"(\"",
       virtual_service("{hosts: [a.com], http: [{match: [{uri: {regex: '()'}}], route: "
                       "[{destination: {host: reviews}}]}]}")},
      {policy("{selector: {matchLabels: {app: nobody}}}"),
       "Warning [IST0127] (AuthorizationPolicy.security.istio.io default/x f.yaml:4) No matching "
       "workloads for this resource with the following labels: app=nobody",
       policy("{selector: {matchLabels: {app: reviews}}}")},
      {virtual_service("{hosts: [a.com], http: [{route: [{destination: {host: reviews}}]}, {match: "
                       "[{uri: {prefix: /a}}], route: [{destination: {host: reviews}}]}]}"),
       "Warning [IST0130] (VirtualService.networking.istio.io default/x f.yaml:4) VirtualService "
       "rule #1 not used (rule #0 takes everything that it matches)",
       virtual_service("{hosts: [a.com], http: [{match: [{uri: {prefix: /a}}], route: "
                       "[{destination: {host: reviews}}]}, {route: [{destination: {host: "
                       "reviews}}]}]}")},
      {virtual_service("{hosts: [a.com], http: [{match: [{uri: {prefix: /a}}], route: "
                       "[{destination: {host: reviews}}]}, {match: [{uri: {exact: /abc}, headers: "
                       "{x: {exact: z}}}, {uri: {exact: /b}}], route: [{destination: {host: "
                       "reviews}}]}]}"),
       "Info [IST0131] (VirtualService.networking.istio.io default/x f.yaml:4) VirtualService rule "
       "#1 match is not used (rule #0 already matches this)",
       virtual_service("{hosts: [a.com], http: [{match: [{uri: {exact: /abc}, headers: {x: {exact: "
                       "z}}}], route: [{destination: {host: reviews}}]}, {match: [{uri: {prefix: "
                       "/a}}, {uri: {exact: /b}}], route: [{destination: {host: reviews}}]}]}")},
      {virtual_service(
           "{hosts: [other.com], gateways: [edge], http: [{route: [{destination: {host: "
           "reviews}}]}]}"),
       "Warning [IST0132] (VirtualService.networking.istio.io default/x f.yaml:4) one or more host "
       "[other.com] defined in VirtualService default/x not found in Gateway default/edge",
       virtual_service("{hosts: ['*.example.com'], gateways: [edge], http: [{route: [{destination: "
                       "{host: reviews}}]}]}")},
      {gateway("{istio: ingressgateway}", "HTTP}, hosts: [shop.example.com]"),
       "Error [IST0145] (Gateway.networking.istio.io default/x f.yaml:4) Conflict with gateways "
       "default/edge",
       gateway("{istio: ingressgateway}", "HTTP}, hosts: [two.example.com]")},
      {virtual_service("{hosts: [a.com], http: [{match: [{headers: {'@request.auth.claims.g': "
                       "{exact: a}}}], route: [{destination: {host: reviews}}]}]}"),
       "Error [IST0149] (VirtualService.networking.istio.io default/x f.yaml:4) The virtual "
       "service "
       "uses the JWT claim based routing without request authentication",
       any("security.istio.io/v1", "RequestAuthentication", "{jwtRules: [{issuer: i}]}") +
           virtual_service(
               "{hosts: [a.com], http: [{match: [{headers: {'@request.auth.claims.g': {exact: "
               "a}}}], route: [{destination: {host: reviews}}]}]}")},
      {any("telemetry.istio.io/v1", "Telemetry", "{tracing: []}", "t1") +
           any("telemetry.istio.io/v1", "Telemetry", "{tracing: []}", "t2"),
       "Error [IST0160] (Telemetry.telemetry.istio.io default/t1 f.yaml:3) The Telemetries "
       "[t1,t2] in namespace \"default\" have no workload selector.",
       any("telemetry.istio.io/v1", "Telemetry", "{tracing: []}", "t1")},
      {rule("mirror: {host: reviews}, mirror_percent: 5"),
       "Warning [IST0002] (VirtualService.networking.istio.io default/x f.yaml:4) "
       "spec.http[0].mirror_percent: deprecated: use mirrorPercentage.value",
       rule("mirror: {host: reviews}, mirrorPercentage: {value: 5}")},
      {virtual_service("{hosts: [a.com], http: [{delegate: {name: d}}]}"),
       "Warning [WFT0001] (VirtualService.networking.istio.io default/x f.yaml:4) not supported "
       "yet: spec.http[0].delegate: delegation to another VirtualService; the rule answers 500, "
       "got {\"name\":\"d\"}",
       rule("")},
      {any("networking.istio.io/v1alpha3", "EnvoyFilter",
           "{configPatches: [{patch: {value: {name: envoy.filters.http.wasm, config: {}}}}]}"),
       "Warning [WFT0001] (EnvoyFilter.networking.istio.io default/x f.yaml:2) kind EnvoyFilter of "
       "networking.istio.io/v1alpha3 is not supported yet: it has no effect (it is written for "
       "Envoy's API v2, which no Envoy takes any more; a WasmPlugin of "
       "extensions.istio.io/v1alpha1 is the kind for this",
       any("example.com/v1", "EnvoyFilter", "{}")},
      {any("split.smi-spec.io/v1alpha1", "TrafficSplit", "{service: reviews}"),
       "Warning [WFT0001] (TrafficSplit.split.smi-spec.io default/x f.yaml:2) kind TrafficSplit of "
       "split.smi-spec.io/v1alpha1 is not supported yet: it has no effect (a VirtualService or an "
       "HTTPRoute with weights says it)",
       rule("")},
      {any("extensions/v1beta1", "Ingress", "{}"),
       "Warning [WFT0001] (Ingress.extensions default/x f.yaml:2) Kubernetes serves "
       "extensions/v1beta1 no more since 1.22: write networking.k8s.io/v1, or a Gateway",
       any("networking.k8s.io/v1", "Ingress", "{ingressClassName: nginx}")},
      {any("networking.k8s.io/v1", "Ingress", "{ingressClassName: istio}"),
       "Warning [WFT0001] (Ingress.networking.k8s.io default/x f.yaml:2) kind Ingress with class "
       "istio is not supported yet",
       any("networking.k8s.io/v1", "Ingress", "{}")},
      {policy("{action: CUSTOM, provider: {name: opa}, rules: [{}]}"),
       "Warning [WFT0001] (AuthorizationPolicy.security.istio.io default/x f.yaml:4) not supported "
       "yet: spec.action: CUSTOM, which asks provider opa: until then everything that the rules "
       "match is denied, got \"CUSTOM\"",
       policy("{action: DENY, rules: [{}]}")},
      {policy("{targetRefs: [{kind: ServiceEntry, group: networking.istio.io, name: e}]}"),
       "Warning [WFT0001] (AuthorizationPolicy.security.istio.io default/x f.yaml:4) not supported "
       "yet: spec.targetRefs[0]: a target of kind ServiceEntry; nothing is done for it",
       policy("{targetRefs: [{kind: Service, group: '', name: reviews}]}")},
      {marked("annotations: {config.linkerd.io/trace-collector: 'oc:55678'}"),
       "Warning [WFT0001] (Pod default/x f.yaml:6) "
       "metadata.annotations[\"config.linkerd.io/trace-collector\"]: annotation "
       "config.linkerd.io/trace-collector is not supported yet: it has no effect (a Telemetry says "
       "what is traced)",
       marked("annotations: {linkerd.io/inject: enabled}")},
      {marked("labels: {weft.dev/mesh: 'yes'}"),
       "Warning [WFT0001] (Pod default/x f.yaml:6) metadata.labels[\"weft.dev/mesh\"]: "
       "weft.dev/mesh: \"yes\" has no effect (there are: enabled disabled)",
       marked("labels: {weft.dev/mesh: disabled}")},
      {policy("{action: DENY}"),
       "Info [WFT0002] (AuthorizationPolicy.security.istio.io default/x f.yaml:4) spec.action: "
       "there are no rules, so the policy decides nothing",
       policy("{action: ALLOW}")},
      {rule("fault: {delay: {fixedDelay: 1s}}"),
       "Info [WFT0002] (VirtualService.networking.istio.io default/x f.yaml:4) "
       "spec.http[0].fault.delay: has no percentage, so it never happens",
       rule("fault: {delay: {fixedDelay: 1s, percentage: {value: 1}}}")},
  };
}

std::string code_of(const std::string& found) { return found.substr(found.find('['), 9); }

TEST(Analyze, EachRuleIsFoundWithItsObjectAndLine) {
  for (const Row& row : rows())
    EXPECT_THAT(findings(row.yaml), testing::Contains(testing::HasSubstr(row.found))) << row.yaml;
}

TEST(Analyze, WhatNearlyTriggersARuleDoesNot) {
  for (const Row& row : rows())
    EXPECT_THAT(findings(row.near),
                testing::Each(testing::Not(testing::HasSubstr(code_of(row.found)))))
        << row.near;
}

TEST(Analyze, EveryCodeInTheSourceHasARow) {
  std::set<std::string> written, tried;
  const std::regex code("\"((IST|WFT)[0-9]{4})\"");
  for (const auto& entry : std::filesystem::directory_iterator(WEFT_ANALYZE_DIR)) {
    std::ifstream file(entry.path());
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    for (auto at = std::sregex_iterator(text.begin(), text.end(), code);
         at != std::sregex_iterator(); ++at)
      written.insert("[" + (*at)[1].str() + "]");
  }
  for (const Row& row : rows()) tried.insert(code_of(row.found));
  EXPECT_FALSE(written.empty());
  EXPECT_EQ(written, tried);
}

TEST(Analyze, OneWrongFieldDoesNotHideTheOthers) {
  const auto found = findings(
      virtual_service("\n  hosts: [a.com]\n  tymeout: 3\n  http:\n  - route: [{destination: {host: "
                      "reviewz}, timeout: 1s}]\n    timeout: fast\n    retries: {attempts: 1, "
                      "retryIgnorePreviousHosts: true}"));
  EXPECT_THAT(found, testing::UnorderedElementsAre(
                         testing::HasSubstr("f.yaml:6) spec.tymeout: unknown field"),
                         testing::HasSubstr("f.yaml:8) spec.http[0].route[0].timeout: unknown "
                                            "field: did you mean a new entry of spec.http"),
                         testing::HasSubstr("f.yaml:9) spec.http[0].timeout: must be a duration"),
                         testing::HasSubstr("f.yaml:10) not supported yet: "
                                            "spec.http[0].retries.retryIgnorePreviousHosts"),
                         testing::HasSubstr("f.yaml:8) Referenced host not found: \"reviewz\"")));
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
