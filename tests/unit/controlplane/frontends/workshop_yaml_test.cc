// The workshops' YAML as their readers find it, mistakes included: what is malformed is explained
// with file, line, field and value, what is merely old is taken and said to be old. Rows are those
// of the labs' facts §11 and of the APIs' facts §2.1.9.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "controlplane/frontends/admit.h"
#include "controlplane/frontends/analyze/analyze.h"

namespace weft::controlplane {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;

std::vector<std::string> findings(const std::string& yaml) {
  const auto objects = source::parse_manifest(yaml, "slide.yaml");
  if (!objects) return {"refused: " + objects.error().text};
  source::ObjectSet set;
  for (const auto& object : *objects) set[object->key()] = object;
  std::vector<std::string> out;
  for (const auto& one : analyze::analyze(set))
    out.push_back(std::string(analyze::to_string(one.level)) + " [" + one.code + "] " + one.place +
                  " " + one.message);
  return out;
}

// True when the file is taken as it is, notes apart.
bool admitted(const std::string& yaml) {
  const auto objects = source::parse_manifest(yaml, "slide.yaml");
  if (!objects) return false;
  for (const auto& object : *objects) {
    if (admit_mesh(*object)) return false;
  }
  return true;
}

std::string service(const std::string& http) {
  return "apiVersion: networking.istio.io/v1alpha3\nkind: VirtualService\nmetadata:\n  name: "
         "reviews\nspec:\n  hosts:\n  - reviews\n  http:\n" +
         http;
}

struct Row {
  const char* name;
  std::string yaml;
  bool taken;
  const char* says;
};

std::vector<Row> rows() {
  return {
      {"mirroring slide: the percentage within mirror",
       service("  - route:\n    - destination:\n        host: reviews\n    mirror:\n      host: "
               "reviews\n      subset: v2\n      mirror_percent: 50\n"),
       false,
       "Error [IST0108] slide.yaml:15 spec.http[0].mirror.mirror_percent: unknown field: did you "
       "mean spec.http[0].mirror_percent? (known: host, subset, port), got 50"},
      {"timeout slide: the timeout within destination",
       service("  - route:\n    - destination:\n        host: reviews\n        subset: v2\n        "
               "timeout: 0.5s\n"),
       false,
       "Error [IST0108] slide.yaml:13 spec.http[0].route[0].destination.timeout: unknown field: "
       "did you mean spec.http[0].timeout? (known: host, subset, port), got \"0.5s\""},
      {"fault slide: the second route in the first one's list",
       service("  - fault:\n      abort:\n        httpStatus: 500\n        percentage:\n          "
               "value: 100\n    route:\n    - destination:\n        host: ratings\n    - route:\n  "
               "    - destination:\n          host: ratings\n"),
       false,
       "Error [IST0108] slide.yaml:18 spec.http[0].route[1].route: unknown field: did you mean a "
       "new entry of spec.http with its own route? (known: destination, weight, headers)"},
      {"fault slide: a header beside headers",
       service("  - match:\n    - headers:\n      end-user:\n        exact: jason\n    route:\n    "
               "- destination:\n        host: ratings\n"),
       false,
       "Error [IST0108] slide.yaml:12 spec.http[0].match[0].end-user: unknown field: did you mean "
       "spec.http[0].match[0].headers.end-user?"},
      {"ServiceProfile slide: name and the rest within condition",
       "apiVersion: linkerd.io/v1alpha2\nkind: ServiceProfile\nmetadata:\n  name: "
       "authors.default.svc.cluster.local\nspec:\n  routes:\n  - condition:\n      method: HEAD\n  "
       "    pathRegex: /authors/[^/]*\\.json\n      name: HEAD /authors/{id}.json\n      "
       "isRetryable: true\n      timeout: 25ms\n",
       false,
       "Error [IST0108] slide.yaml:11 spec.routes[0].condition.isRetryable: unknown field: did you "
       "mean spec.routes[0].isRetryable? (known: pathRegex, method, all, any, not), got true"},
      {"ServiceProfile slide: a bare dot",
       "apiVersion: linkerd.io/v1alpha2\nkind: ServiceProfile\nmetadata:\n  name: "
       "authors.default.svc.cluster.local\nspec:\n  routes:\n  - name: HEAD\n    condition:\n      "
       "method: HEAD\n      pathRegex: /authors/[^/]*.json\n",
       true,
       "Info [WFT0002] slide.yaml:10 spec.routes[0].condition.pathRegex: the dot stands for any "
       "character: write \\., got \"/authors/[^/]*.json\""},
      {"lab 06: a ServiceProfile without a name",
       "apiVersion: linkerd.io/v1alpha2\nkind: ServiceProfile\nmetadata: {name: a}\nspec: {routes: "
       "[{condition: {method: GET}}]}\n",
       false, "Error [IST0106] slide.yaml:4 spec.routes[0].name: is required"},
      {"lab 06: a ServiceProfile without a condition",
       "apiVersion: linkerd.io/v1alpha2\nkind: ServiceProfile\nmetadata: {name: a}\nspec: {routes: "
       "[{name: a}]}\n",
       false, "Error [IST0106] slide.yaml:4 spec.routes[0].condition: is required"},
      {"lab 06: a timeout without its unit",
       "apiVersion: linkerd.io/v1alpha2\nkind: ServiceProfile\nmetadata: {name: a}\nspec: {routes: "
       "[{name: a, condition: {}, timeout: 25}]}\n",
       false,
       "spec.routes[0].timeout: must be a duration in quotes or with a unit, like 1.5s, got 25"},
      {"lab 06: a budget without ttl",
       "apiVersion: linkerd.io/v1alpha2\nkind: ServiceProfile\nmetadata: {name: a}\nspec: "
       "{retryBudget: {retryRatio: 0.2}}\n",
       false, "Error [IST0106] slide.yaml:4 spec.retryBudget.ttl: is required"},
      {"lab 06: a negative ratio",
       "apiVersion: linkerd.io/v1alpha2\nkind: ServiceProfile\nmetadata: {name: a}\nspec: "
       "{retryBudget: {retryRatio: -1, ttl: 10s}}\n",
       false, "spec.retryBudget.retryRatio: must not be negative, got -1"},
      {"TrafficSplit slide: no apiVersion",
       "kind: TrafficSplit\nmetadata: {name: reviews}\nspec: {service: reviews}\n", false,
       "refused: slide.yaml:1: apiVersion: is required (TrafficSplit is one of "
       "split.smi-spec.io/v1alpha4, split.smi-spec.io/v1alpha3"},
      {"lab 10: the integer percent",
       service("  - route: [{destination: {host: ratings}}]\n    fault: {delay: {percent: 100, "
               "fixedDelay: 7s}}\n"),
       true,
       "Warning [IST0002] slide.yaml:10 spec.http[0].fault.delay.percent: deprecated: use "
       "percentage.value"},
      {"lab 11: mirror_percent",
       service("  - route: [{destination: {host: ratings}}]\n    mirror: {host: reviews}\n    "
               "mirror_percent: 100\n"),
       true,
       "Warning [IST0002] slide.yaml:11 spec.http[0].mirror_percent: deprecated: use "
       "mirrorPercentage.value"},
      {"circuit breaking: consecutiveErrors",
       "apiVersion: networking.istio.io/v1alpha3\nkind: DestinationRule\nmetadata: {name: "
       "p}\nspec: "
       "{host: p, trafficPolicy: {outlierDetection: {consecutiveErrors: 1}}}\n",
       true,
       "Warning [IST0002] slide.yaml:4 spec.trafficPolicy.outlierDetection.consecutiveErrors: "
       "deprecated: stands for consecutive5xxErrors and consecutiveGatewayErrors"},
      {"mTLS: ISTIO_MUTUAL",
       "apiVersion: networking.istio.io/v1alpha3\nkind: DestinationRule\nmetadata: {name: "
       "p}\nspec: "
       "{host: p, trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}}\n",
       true,
       "Info [WFT0002] slide.yaml:4 spec.trafficPolicy.tls.mode: nothing to do: the mesh's "
       "connections are mTLS already"},
      {"image hub: an EnvoyFilter of API v2",
       "apiVersion: networking.istio.io/v1alpha3\nkind: EnvoyFilter\nmetadata: {name: f}\nspec: "
       "{configPatches: [{applyTo: HTTP_FILTER, patch: {operation: INSERT_BEFORE, value: {name: "
       "envoy.filters.http.wasm, config: {config: {name: rate}}}}}]}\n",
       true,
       "Warning [WFT0001] slide.yaml:2 kind EnvoyFilter of networking.istio.io/v1alpha3 is not "
       "supported yet: it has no effect (it is written for Envoy's API v2, which no Envoy takes "
       "any more; a WasmPlugin of extensions.istio.io/v1alpha1"},
      {"splitting with thousandths",
       "apiVersion: split.smi-spec.io/v1alpha1\nkind: TrafficSplit\nmetadata: {name: s}\nspec: "
       "{service: reviews, backends: [{service: reviews-v1, weight: 500m}]}\n",
       true, "kind TrafficSplit of split.smi-spec.io/v1alpha1 is not supported yet"},
      {"fault injection by a split: thousandths in v1alpha3",
       "apiVersion: split.smi-spec.io/v1alpha3\nkind: TrafficSplit\nmetadata: {name: s}\nspec: "
       "{service: books, backends: [{service: books, weight: 800m}]}\n",
       true, "kind TrafficSplit of split.smi-spec.io/v1alpha3 is not supported yet"},
      {"a split with a weight that is none",
       "apiVersion: split.smi-spec.io/v1alpha3\nkind: TrafficSplit\nmetadata: {name: s}\nspec: "
       "{service: books, backends: [{service: books, weight: most}]}\n",
       false,
       "Error [IST0106] slide.yaml:4 spec.backends[0].weight: must be a number, or thousandths "
       "like 500m, got \"most\""},
      {"tracing: the collector's annotation",
       "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  template:\n    "
       "metadata:\n      annotations:\n        config.linkerd.io/trace-collector: "
       "linkerd-collector.linkerd:55678\n",
       true,
       "Warning [WFT0001] slide.yaml:8 "
       "spec.template.metadata.annotations[\"config.linkerd.io/trace-collector\"]: annotation "
       "config.linkerd.io/trace-collector is not supported yet"},
      {"an Ingress that no Kubernetes serves",
       "apiVersion: extensions/v1beta1\nkind: Ingress\nmetadata: {name: web}\nspec: {rules: []}\n",
       true,
       "Warning [WFT0001] slide.yaml:2 Kubernetes serves extensions/v1beta1 no more since 1.22"},
      {"D5: an unknown field",
       service("  - route: [{destination: {host: ratings}}]\n    retrys: {attempts: 3}\n"), false,
       "Error [IST0108] slide.yaml:10 spec.http[0].retrys: unknown field: did you mean "
       "spec.http[0].retries?"},
  };
}

TEST(WorkshopYaml, EachRowIsExplainedAtItsLine) {
  for (const Row& row : rows()) {
    EXPECT_EQ(admitted(row.yaml), row.taken) << row.name;
    EXPECT_THAT(findings(row.yaml), Contains(HasSubstr(row.says))) << row.name << "\n" << row.yaml;
  }
}

// D5, D7, D8: what the labs write and what is right about it.
TEST(WorkshopYaml, WhatIsOnlyOldIsTakenWithoutAWord) {
  const std::string good[] = {
      "apiVersion: \"security.istio.io/v1beta1\"\nkind: \"AuthorizationPolicy\"\nmetadata: {name: "
      "deny-all, namespace: default}\nspec:\n  {}\n",
      "apiVersion: networking.istio.io/v1alpha3\nkind: Gateway\nmetadata: {name: g}\nspec: "
      "{selector: {istio: ingressgateway}, servers: [{port: {number: 80, name: http, protocol: "
      "HTTP}, hosts: ['*']}]}\n",
      "apiVersion: networking.istio.io/v1beta1\nkind: DestinationRule\nmetadata: {name: d}\nspec: "
      "{host: d, trafficPolicy: {loadBalancer: {simple: LEAST_CONN}}}\n"};
  for (const std::string& yaml : good) {
    EXPECT_TRUE(admitted(yaml)) << yaml;
    EXPECT_THAT(findings(yaml), IsEmpty()) << yaml;
  }
}

TEST(WorkshopYaml, EveryEnrollmentKeyEnrolls) {
  const std::string pod =
      "---\napiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: shop}\nspec: {containers: "
      "[{name: c}]}\n";
  for (const char* marks :
       {"labels: {istio-injection: enabled}", "labels: {istio.io/dataplane-mode: ambient}",
        "annotations: {linkerd.io/inject: enabled}", "labels: {weft.dev/mesh: enabled}"}) {
    EXPECT_THAT(findings("apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, " +
                         std::string(marks) + "}\n" + pod),
                IsEmpty())
        << marks;
  }
  EXPECT_THAT(findings("apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: "
                       "{istio-inject: enabled}}\n" +
                       pod),
              Contains(HasSubstr("[IST0102]")));
}

}  // namespace
}  // namespace weft::controlplane
