// What is wrong with Gateway API objects, entries of the world outside and tokens.
#include <gtest/gtest.h>

#include "refusals.h"

namespace weft::controlplane {
namespace {

constexpr const char* kGatewayApi = "gateway.networking.k8s.io/v1";

TEST(Refusals, HttpRouteValuesAreJudged) {
  const Row rows[] = {
      {"{parentRef: []}", "spec.parentRef: unknown field: did you mean spec.parentRefs?"},
      {"{parentRefs: [{kind: Service, group: ''}]}", "spec.parentRefs[0].name: is required"},
      {"{hostnames: ['*']}", "spec.hostnames[0]: must be a DNS name"},
      {"{hostnames: [1.2.3.4]}", "spec.hostnames[0]: must be a name, not an address"},
      {"{rules: [{match: []}]}", "spec.rules[0].match: unknown field: did you mean"},
      {"{rules: [{matches: [{path: {type: Prefix, value: /}}]}]}",
       "path.type: must be Exact, PathPrefix or RegularExpression, got \"Prefix\""},
      {"{rules: [{matches: [{path: {value: a}}]}]}", "path.value: must start with /"},
      {"{rules: [{matches: [{path: {value: /a//b}}]}]}", "path.value: must not hold \"//\""},
      {"{rules: [{matches: [{path: {value: /a/..}}]}]}", "path.value: must not end with"},
      {"{rules: [{matches: [{path: {type: RegularExpression, value: '('}}]}]}",
       "must be a regular expression (RE2)"},
      {"{rules: [{matches: [{method: get}]}]}", "method: must be a method in capitals"},
      {"{rules: [{matches: [{headers: [{name: a b, value: c}]}]}]}", "name: must be a name"},
      {"{rules: [{matches: [{headers: [{name: a}]}]}]}", "value: is required"},
      {"{rules: [{matches: [{headers: {a: b}}]}]}", "headers: must be a list"},
      {"{rules: [{filters: [{type: Magic}]}]}", "type: must be a filter type"},
      {"{rules: [{filters: [{type: RequestRedirect}]}]}",
       "requestRedirect: is required by the type"},
      {"{rules: [{filters: [{type: URLRewrite, urlRewrite: {}, requestRedirect: {}}]}]}",
       "requestRedirect: is not of type URLRewrite"},
      {"{rules: [{filters: [{type: RequestRedirect, requestRedirect: {statusCode: 200}}]}]}",
       "statusCode: must be a whole number from 300 to 399"},
      {"{rules: [{filters: [{type: RequestRedirect, requestRedirect: {}}, {type: URLRewrite, "
       "urlRewrite: {}}]}]}",
       "RequestRedirect and URLRewrite exclude each other"},
      {"{rules: [{filters: [{type: RequestRedirect, requestRedirect: {}}], backendRefs: [{name: a, "
       "port: 80}]}]}",
       "backendRefs: cannot be set together with a RequestRedirect filter"},
      {"{rules: [{matches: [{path: {type: Exact, value: /a}}], filters: [{type: URLRewrite, "
       "urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}}]}]}",
       "ReplacePrefixMatch needs exactly one match, of type PathPrefix"},
      {"{rules: [{filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplaceFullPath, "
       "replacePrefixMatch: /}}}]}]}",
       "replaceFullPath: is required by the type"},
      {"{rules: [{filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: a, "
       "value: b}, {name: A, value: c}]}}]}]}",
       "set[1].name: is there twice"},
      {"{rules: [{filters: [{type: RequestMirror, requestMirror: {backendRef: {name: a, port: 1}, "
       "fraction: {numerator: 2, denominator: 1}}}]}]}",
       "fraction: must be at most 1"},
      {"{rules: [{filters: [{type: CORS, cors: {}}, {type: CORS, cors: {}}]}]}",
       "filters[1].type: is there twice"},
      {"{rules: [{backendRefs: [{name: a}]}]}", "port: is required for a Service"},
      {"{rules: [{backendRefs: [{port: 80}]}]}", "name: is required"},
      {"{rules: [{backendRefs: [{name: a, port: 80, weight: 1000001}]}]}",
       "weight: must be a whole number from 0 to 1000000"},
      {"{rules: [{backendRefs: [{name: a, port: 80, timeouts: {request: 1s}}]}]}",
       "backendRefs[0].timeouts: unknown field: did you mean spec.rules[0].timeouts?"},
      {"{rules: [{timeouts: {request: 0.5s}}]}", "request: must be a duration like"},
      {"{rules: [{timeouts: {request: 1s, backendRequest: 2s}}]}",
       "backendRequest: must not be longer than request"},
      {"{rules: [{retry: {codes: [200]}}]}", "codes[0]: must be a whole number from 400 to 599"},
  };
  expect_refused(kGatewayApi, "HTTPRoute", rows);
  const Row grpc[] = {
      {"{rules: [{matches: [{method: {}}]}]}", "method: must have service or method"},
      {"{rules: [{matches: [{method: {service: a/b}}]}]}", "service: must be a name of gRPC"},
      {"{rules: [{matches: [{path: {value: /}}]}]}", "path: unknown field"},
      {"{rules: [{filters: [{type: URLRewrite, urlRewrite: {}}]}]}", "is no filter of a GRPCRoute"},
  };
  expect_refused(kGatewayApi, "GRPCRoute", grpc);
}

TEST(Refusals, GatewayValuesAreJudged) {
  const Row rows[] = {
      {"{}", "spec.gatewayClassName: is required"},
      {"{gatewayClassName: weft}", "spec.listeners: must have a listener"},
      {"{gatewayClassName: weft, listeners: [{name: a, protocol: HTTP}]}", "port: is required"},
      {"{gatewayClassName: weft, listeners: [{name: a, port: 80}]}", "protocol: is required"},
      {"{gatewayClassName: weft, listeners: [{name: a, port: 80, protocol: HTTPS}]}",
       "tls: is required by the protocol"},
      {"{gatewayClassName: weft, listeners: [{name: a, port: 80, protocol: HTTP, tls: {}}]}",
       "tls: is only for HTTPS and TLS"},
      {"{gatewayClassName: weft, listeners: [{name: a, port: 80, protocol: HTTPS, tls: {}}]}",
       "certificateRefs: is required to terminate TLS"},
      {"{gatewayClassName: weft, listeners: [{name: a, port: 80, protocol: HTTP}, {name: a, port: "
       "81, protocol: HTTP}]}",
       "listeners[1].name: is there twice"},
      {"{gatewayClassName: weft, listeners: [{name: a, port: 80, protocol: HTTP}, {name: b, port: "
       "80, protocol: HTTP}]}",
       "another listener has the same port, protocol and hostname"},
      {"{gatewayClassName: weft, listeners: [{name: a, port: 80, protocol: HTTP, allowedRoutes: "
       "{namespaces: {from: Selector}}}]}",
       "selector: is required by from: Selector"},
      {"{gatewayClassName: weft, listeners: [{name: a, port: 80, protocol: HTTP, hostname: '*'}]}",
       "hostname: must be a DNS name"},
  };
  expect_refused(kGatewayApi, "Gateway", rows);
  const Row istio[] = {
      {"{}", "spec.servers: must have a server"},
      {"{servers: [{hosts: [a]}]}", "port.number: is required"},
      {"{servers: [{port: {number: 80, name: a, protocol: HTTP}}]}", "hosts: is required"},
      {"{servers: [{port: {number: 80, name: a, protocol: SPDY}, hosts: [a]}]}",
       "protocol: must be HTTP, HTTPS"},
      {"{servers: [{port: {number: 80, name: a, protocol: HTTPS}, hosts: [a]}]}",
       "tls: is required by the protocol"},
      {"{servers: [{port: {number: 80, name: a, protocol: HTTPS}, hosts: [a], tls: {mode: "
       "SIMPLE}}]}",
       "credentialName: is required for SIMPLE"},
      {"{servers: [{port: {number: 80, name: a, protocol: HTTPS}, hosts: [a], tls: {mode: SIMPLE, "
       "privateKey: /k}}]}",
       "privateKey: a file is not there"},
      {"{servers: [{port: {number: 80, name: a, protocol: HTTP}, hosts: ['A B/c']}]}",
       "hosts[0]: must be [NAMESPACE/]NAME"},
      {"{server: []}", "spec.server: unknown field: did you mean spec.servers?"},
  };
  expect_refused("networking.istio.io/v1", "Gateway", istio);
}

TEST(Refusals, ServiceEntryValuesAreJudged) {
  const Row rows[] = {
      {"{}", "spec.hosts: is required"},
      {"{hosts: ['*']}", "spec.hosts[0]: must be more than \"*\""},
      {"{hosts: [a.b], resolution: DNS}", "spec.ports: is required"},
      {"{hosts: [a.b], ports: [{number: 80}]}", "ports[0].name: is required"},
      {"{hosts: [a.b], ports: [{number: 80, name: a}, {number: 80, name: b}]}",
       "ports[1].number: is there twice"},
      {"{hosts: [a.b], resolution: MAYBE}", "spec.resolution: must be NONE"},
      {"{hosts: [a.b], endpoints: [{address: 1.2.3.4}]}",
       "spec.endpoints: cannot be set for resolution NONE"},
      {"{hosts: [a.b], ports: [{number: 80, name: a}], resolution: STATIC, endpoints: [{address: "
       "a.b}]}",
       "address: must be an IP address for resolution STATIC"},
      {"{hosts: [a.b], ports: [{number: 80, name: a}], resolution: STATIC, endpoints: [{address: "
       "1.2.3.4, ports: {b: 1}}]}",
       "ports.b: is no port of spec.ports"},
      {"{hosts: ['*.b'], ports: [{number: 80, name: a}], resolution: DNS}",
       "a wildcard cannot be resolved by DNS"},
      {"{hosts: [a.b], ports: [{number: 80, name: a}], resolution: DNS, addresses: [10.0.0.0/8]}",
       "addresses[0]: a CIDR block is only for"},
      {"{hosts: [a.b], location: OUTSIDE}", "spec.location: must be MESH_EXTERNAL"},
      {"{hosts: [a.b], ports: [{number: 80, name: a}], resolution: DYNAMIC_DNS}",
       "DYNAMIC_DNS needs a wildcard host"},
  };
  expect_refused("networking.istio.io/v1", "ServiceEntry", rows);
}

TEST(Refusals, TokensAreJudged) {
  const Row rows[] = {
      {"{jwtRules: [{}]}", "spec.jwtRules[0].issuer: is required"},
      {"{jwtRules: [{issuer: a, jwks: '{}', jwksUri: 'http://x/y'}]}",
       "jwks: cannot be set together with jwksUri"},
      {"{jwtRules: [{issuer: a, jwksUri: 'file:///etc/passwd'}]}",
       "jwksUri: must be an http or https URL"},
      {"{jwtRules: [{issuer: a, jwksUri: 'https:///x'}]}", "jwksUri: must be an http or https URL"},
      {"{jwtRules: [{issuer: a, jwks: 'not json'}]}", "jwks: must be a JSON Web Key Set"},
      {"{jwtRules: [{issuer: a, jwks: '[]'}]}", "jwks: must be a JSON Web Key Set"},
      {"{jwtRules: [{issuer: a, fromHeaders: [{prefix: x}]}]}", "name: must be a header's name"},
      {"{jwtRules: [{issuer: a, outputClaimToHeaders: [{header: x}]}]}", "claim: is required"},
      {"{selector: {matchLabels: {a: b}}, targetRefs: [{kind: Service, name: x}]}",
       "cannot be set together with targetRefs"},
      {"{jwtRule: []}", "spec.jwtRule: unknown field: did you mean spec.jwtRules?"},
  };
  expect_refused("security.istio.io/v1", "RequestAuthentication", rows);
  const Row telemetry[] = {
      {"{tracing: [{randomSamplingPercentage: 101}]}", "must be a percentage from 0 to 100"},
      {"{accessLog: []}", "spec.accessLog: unknown field: did you mean spec.accessLogging?"},
  };
  expect_refused("telemetry.istio.io/v1", "Telemetry", telemetry);
}

}  // namespace
}  // namespace weft::controlplane
