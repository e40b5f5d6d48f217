// What is wrong is refused with file, line, field and value, and where it should have been.
#include "refusals.h"

#include <gtest/gtest.h>

#include "controlplane/frontends/values.h"

namespace weft::controlplane {
namespace {

constexpr const char* kNetworking = "networking.istio.io/v1";

// mesh-apis facts §2.1.9: the workshops' slides.
TEST(Refusals, VirtualServicesOfTheSlidesAreExplained) {
  const Row rows[] = {
      {R"(
  hosts: [reviews]
  http:
  - route:
    - destination: {host: reviews, subset: v3}
    mirror:
      host: reviews
      subset: v2
      mirror_percent: 50)",
       "f.yaml:12: spec.http[0].mirror.mirror_percent: unknown field: did you mean "
       "spec.http[0].mirror_percent?"},
      {R"(
  hosts: [reviews]
  http:
  - route:
    - destination:
        host: reviews
        subset: v2
        timeout: 0.5s)",
       "f.yaml:11: spec.http[0].route[0].destination.timeout: unknown field: did you mean "
       "spec.http[0].timeout?"},
      {R"(
  hosts: [ratings]
  http:
  - fault: {delay: {percentage: {value: 100}, fixedDelay: 7s}}
    route:
    - destination: {host: ratings, subset: v1}
    - route:
      - destination: {host: ratings, subset: v1})",
       "f.yaml:11: spec.http[0].route[1].route: unknown field: did you mean a new entry of "
       "spec.http with its own route?"},
      {R"(
  hosts: [reviews]
  http:
  - match:
    - headers:
      end-user:
        exact: jason
    route:
    - destination: {host: reviews, subset: v2})",
       "f.yaml:10: spec.http[0].match[0].end-user: unknown field: did you mean "
       "spec.http[0].match[0].headers.end-user?"},
      {R"(
  hosts: [reviews]
  http:
  - match:
    - headers:
        end-user:
        exact: jason
    route:
    - destination: {host: reviews, subset: v2})",
       "f.yaml:9: spec.http[0].match[0].headers: \"end-user\" must not be empty: write exact, "
       "prefix "
       "or regex below it"},
      {R"(
  hosts: [reviews]
  http:
  - match:
      headers: {end-user: {exact: jason}}
    route:
    - destination: {host: reviews})",
       "f.yaml:8: spec.http[0].match: must be a list"},
      {R"(
  hosts: [reviews]
  http:
  - route:
    - destination: {host: reviews}
      mirror: {host: reviews})",
       "did you mean spec.http[0].mirror?"},
      {R"(
  hosts: [reviews]
  http:
  - route:
    - destination: {host: reviews}
    mirror: {host: reviews}
    mirror_percentage: {value: 5})",
       "did you mean spec.http[0].mirrorPercentage?"},
  };
  expect_refused(kNetworking, "VirtualService", rows);
}

TEST(Refusals, VirtualServiceValuesAreJudged) {
  const Row rows[] = {
      {"{}", "spec: must have http, tls or tcp rules"},
      {"{hosts: [a], http: []}", "spec: must have http, tls or tcp rules"},
      {"{host: [a]}", "spec.host: unknown field: did you mean spec.hosts?"},
      {"{hosts: ['*'], http: [{route: [{destination: {host: a}}]}]}", "cannot be everything"},
      {"{hosts: [10.0.0.1], http: [{route: [{destination: {host: a}}]}]}",
       "spec.hosts[0]: must be a name"},
      {"{hosts: ['a*.b'], http: [{route: [{destination: {host: a}}]}]}",
       "spec.hosts[0]: a wildcard"},
      {"{hosts: ['a..b'], http: [{route: [{destination: {host: a}}]}]}",
       "spec.hosts[0]: must be a DNS name, got \"a..b\""},
      {"{hosts: [a, a], http: [{route: [{destination: {host: a}}]}]}",
       "spec.hosts[1]: is there twice"},
      {"{hosts: [a], gateways: [x/y/z], http: [{route: [{destination: {host: a}}]}]}",
       "spec.gateways[0]: must be mesh, NAME or NAMESPACE/NAME"},
      {"{hosts: [a], exportTo: ['a b'], http: [{route: [{destination: {host: a}}]}]}",
       "spec.exportTo[0]: must be"},
      {"{hosts: [a], http: [{}]}", "spec.http[0]: must have route, redirect or directResponse"},
      {"{hosts: [a], http: [{route: []}]}", "spec.http[0].route: must have a destination"},
      {"{hosts: [a], http: [{route: [{destination: {host: a}}], redirect: {uri: /}}]}",
       "spec.http[0]: must have only one of route, redirect, directResponse"},
      {"{hosts: [a], http: [{redirect: {uri: /}, directResponse: {status: 200}}]}",
       "must have only one of"},
      {"{hosts: [a], http: [{redirect: {uri: /}, fault: {abort: {httpStatus: 500}}}]}",
       "spec.http[0].fault: cannot be set together with redirect"},
      {"{hosts: [a], http: [{redirect: {}}]}", "spec.http[0].redirect: must have uri"},
      {"{hosts: [a], http: [{redirect: {uri: /, redirectCode: 200}}]}",
       "redirectCode: must be a whole number from 300 to 399, got 200"},
      {"{hosts: [a], http: [{redirect: {uri: /, redirectCode: 304}}]}",
       "redirectCode: must be 301, 302, 303, 307 or 308, got 304"},
      {"{hosts: [a], http: [{redirect: {scheme: ftp}}]}", "scheme: must be http or https"},
      {"{hosts: [a], http: [{redirect: {port: 1, derivePort: FROM_REQUEST_PORT}}]}",
       "derivePort: cannot be set together with port"},
      {"{hosts: [a], http: [{directResponse: {}}]}", "directResponse.status: is required"},
      {"{hosts: [a], http: [{directResponse: {status: 99}}]}", "must be a whole number from 200"},
      {"{hosts: [a], http: [{directResponse: {status: 200, body: {bytes: aGk=}}}]}",
       "body.bytes: is not supported"},
      {"{hosts: [a], http: [{route: [{destination: {}}]}]}", "destination.host: is required"},
      {"{hosts: [a], http: [{route: [{weight: 1}]}]}", "route[0].destination: is required"},
      {"{hosts: [a], http: [{route: [{destination: {host: 10.0.0.1}}]}]}",
       "host: must be the name of a service, not an address"},
      {"{hosts: [a], http: [{route: [{destination: {host: '*.a'}}]}]}",
       "host: must not hold a wildcard"},
      {"{hosts: [a], http: [{route: [{destination: {host: a, subset: V1}}]}]}",
       "subset: must be a subset's name"},
      {"{hosts: [a], http: [{route: [{destination: {host: a, port: {number: 0}}}]}]}",
       "port.number: must be a port (1-65535), got 0"},
      {"{hosts: [a], http: [{route: [{destination: {host: a, port: 80}}]}]}",
       "destination.port: must be a map, got 80"},
      {"{hosts: [a], http: [{route: [{destination: {host: a}, weight: -1}]}]}",
       "weight: must be a whole number from 0 to 2147483647, got -1"},
      {"{hosts: [a], http: [{route: [{destination: {host: a}}, {destination: {host: b}}]}]}",
       "spec.http[0].route: at least one weight must be above 0"},
      {"{hosts: [a], http: [{route: [{destination: {host: a}}], timeout: 5}]}",
       "timeout: must be a duration in quotes or with a unit"},
      {"{hosts: [a], http: [{route: [{destination: {host: a}}], timeout: 5x}]}",
       "timeout: must be a duration like 1.5s"},
      {"{hosts: [a], http: [{route: [{destination: {host: a}}], timeout: -1s}]}",
       "timeout: must be a duration like"},
      {"{hosts: [a], http: [{route: [{destination: {host: a}}], timeout: 10us}]}",
       "timeout: must be 0 or at least 1ms"},
      {"{hosts: [a], http: [{route: [{destination: {host: a}}], retries: {attempts: -1}}]}",
       "retries.attempts: must be a whole number"},
      {"{hosts: [a], http: [{route: [{destination: {host: a}}], retries: {retryOn: 5xx}}]}",
       "retries: attempts is 0 (off)"},
      {"{hosts: [a], http: [{route: [{destination: {host: a}}], retries: {attempts: 1, retryOn: "
       "sometimes}}]}",
       "retryOn: \"sometimes\" is no condition to retry on"},
      {"{hosts: [a], http: [{route: [{destination: {host: a}}], fault: {}}]}",
       "fault: must have delay or abort"},
      {"{hosts: [a], http: [{route: [{destination: {host: a}}], fault: {delay: {percent: 101, "
       "fixedDelay: 1s}}}]}",
       "delay.percent: must be a percentage from 0 to 100, got 101"},
      {"{hosts: [a], http: [{route: [{destination: {host: a}}], fault: {delay: {percent: 1}}}]}",
       "delay.fixedDelay: is required"},
      {"{hosts: [a], http: [{route: [{destination: {host: a}}], fault: {delay: {percentage: 50, "
       "fixedDelay: 1s}}}]}",
       "delay.percentage: must be a map, got 50"},
      {"{hosts: [a], http: [{route: [{destination: {host: a}}], fault: {abort: {percentage: "
       "{value: "
       "1}}}}]}",
       "abort: must have one of httpStatus, grpcStatus"},
      {"{hosts: [a], http: [{route: [{destination: {host: a}}], fault: {abort: {grpcStatus: "
       "MAYBE}}}]}",
       "grpcStatus: must be a gRPC status"},
      {"{hosts: [a], http: [{route: [{destination: {host: a}}], mirror: {host: b}, mirrors: "
       "[{destination: {host: c}}]}]}",
       "mirrors: cannot be set together with mirror"},
      {"{hosts: [a], http: [{route: [{destination: {host: a}}], mirrorPercentage: {value: 5}}]}",
       "mirrorPercentage: needs mirror"},
      {"{hosts: [a], http: [{match: [{uri: {}}], route: [{destination: {host: a}}]}]}",
       "uri: must have one of exact, prefix, regex"},
      {"{hosts: [a], http: [{match: [{uri: {exact: /, prefix: /}}], route: [{destination: {host: "
       "a}}]}]}",
       "uri: must have one of exact, prefix, regex"},
      {"{hosts: [a], http: [{match: [{uri: /x}], route: [{destination: {host: a}}]}]}",
       "uri: must be a map, got \"/x\""},
      {"{hosts: [a], http: [{match: [{uri: {regex: '['}}], route: [{destination: {host: a}}]}]}",
       "uri.regex: must be a regular expression (RE2): missing ]"},
      {"{hosts: [a], http: [{match: [{uri: {regex: '(?=x)'}}], route: [{destination: {host: "
       "a}}]}]}",
       "must be a regular expression (RE2)"},
      {"{hosts: [a], http: [{match: [{headers: {'a b': {exact: x}}}], route: [{destination: {host: "
       "a}}]}]}",
       "the key must be a header's name"},
      {"{hosts: [a], http: [{match: [{headers: {'@request.auth.claims[': {exact: x}}}], route: "
       "[{destination: {host: a}}]}]}",
       "the claim must be written"},
      {"{hosts: [a], http: [{match: [{headers: {a: null}}], route: [{destination: {host: a}}]}]}",
       "headers: \"a\" must not be empty"},
      {"{hosts: [a], http: [{route: [{destination: {host: a}}], rewrite: {}}]}",
       "rewrite: must have uri, authority or uriRegexRewrite"},
      {"{hosts: [a], http: [{route: [{destination: {host: a}}], headers: {request: {set: {'a b': "
       "c}}}}]}",
       "the key must be a header's name"},
      {"{hosts: [a], http: [{route: [{destination: {host: a}}], corsPolicy: {unmatchedPreflights: "
       "MAYBE}}]}",
       "unmatchedPreflights: must be FORWARD or IGNORE"},
      {"{hosts: [a.com], tls: [{route: [{destination: {host: a}}]}]}", "tls[0].match: is required"},
      {"{hosts: [a.com], tls: [{match: [{port: 443}], route: [{destination: {host: a}}]}]}",
       "sniHosts: is required"},
      {"{hosts: [a.com], tls: [{match: [{sniHosts: [b.com]}], route: [{destination: {host: a}}]}]}",
       "sniHosts[0]: must be one of spec.hosts, got \"b.com\""},
      {"{hosts: [a.com], tcp: [{match: [{destinationSubnets: [x]}], route: [{destination: {host: "
       "a}}]}]}",
       "destinationSubnets[0]: must be an IP address or a CIDR block"},
  };
  expect_refused(kNetworking, "VirtualService", rows);
  const std::string longest(read::kRegexMax + 1, 'a');
  const std::string spec = "{hosts: [a], http: [{match: [{uri: {regex: " + longest +
                           "}}], route: [{destination: {host: a}}]}]}";
  const Row too_long[] = {{spec.c_str(), "uri.regex: must be at most 1024 characters long"}};
  expect_refused(kNetworking, "VirtualService", too_long);
}

TEST(Refusals, DestinationRuleValuesAreJudged) {
  const Row rows[] = {
      {"{}", "spec.host: is required"},
      {"{host: 'a b'}", "spec.host: must be a DNS name"},
      {"{host: a, subset: []}", "spec.subset: unknown field: did you mean spec.subsets?"},
      {"{host: a, subsets: [{name: V1}]}", "subsets[0].name: must be a subset's name"},
      {"{host: a, subsets: [{name: v1}, {name: v1}]}", "subsets[1].name: is there twice"},
      {"{host: a, subsets: [{name: v1, labels: {a: 1}}]}", "labels.a: must be a string, got 1"},
      {"{host: a, trafficPolicy: {loadBalancer: {simple: FASTEST}}}",
       "simple: must be LEAST_REQUEST, ROUND_ROBIN, RANDOM or PASSTHROUGH, got \"FASTEST\""},
      {"{host: a, trafficPolicy: {loadBalancer: {simple: RANDOM, consistentHash: {useSourceIp: "
       "true}}}}",
       "consistentHash: cannot be set together with simple"},
      {"{host: a, trafficPolicy: {loadBalancer: {consistentHash: {}}}}",
       "consistentHash: must have one of"},
      {"{host: a, trafficPolicy: {loadBalancer: {consistentHash: {httpCookie: {ttl: 1s}}}}}",
       "httpCookie.name: is required"},
      {"{host: a, trafficPolicy: {connectionPool: {maxConnections: 1}}}",
       "connectionPool.maxConnections: unknown field"},
      {"{host: a, trafficPolicy: {connectionPool: {tcp: {maxConnections: -1}}}}",
       "maxConnections: must be a whole number"},
      {"{host: a, trafficPolicy: {connectionPool: {http: {h2UpgradePolicy: YES}}}}",
       "h2UpgradePolicy: must be"},
      {"{host: a, trafficPolicy: {outlierDetection: {maxEjectionPercent: 101}}}",
       "maxEjectionPercent: must be a whole number from 0 to 100, got 101"},
      {"{host: a, trafficPolicy: {outlierDetection: {interval: 0s}}}",
       "interval: must be at least 1ms"},
      {"{host: a, trafficPolicy: {tls: {mode: TLS}}}", "tls.mode: must be DISABLE"},
      {"{host: a, trafficPolicy: {tls: {mode: MUTUAL}}}", "credentialName: is required for MUTUAL"},
      {"{host: a, trafficPolicy: {tls: {mode: SIMPLE, caCertificates: /etc/ca.pem}}}",
       "caCertificates: a file is not there in a shared proxy"},
      {"{host: a, trafficPolicy: {portLevelSettings: [{loadBalancer: {simple: RANDOM}}]}}",
       "port.number: is required"},
      {"{host: a, trafficPolicy: {portLevelSettings: [{port: {number: 1}}, {port: {number: 1}}]}}",
       "portLevelSettings[1].port.number: is there twice"},
      {"{host: a, loadBalancer: {simple: RANDOM}}", "spec.loadBalancer: unknown field"},
      {"{host: a, trafficPolicy: {loadBalancer: {simple: RANDOM, outlierDetection: {}}}}",
       "did you mean spec.trafficPolicy.outlierDetection?"},
  };
  expect_refused(kNetworking, "DestinationRule", rows);
}

TEST(Refusals, AuthorizationRulesAreJudgedInFull) {
  const Row rows[] = {
      {"{rules: [{to: [{operation: {paths: ['/a/{**}/b/{**}']}}]}]}", "paths[0]: a path with {*}"},
      {"{rules: [{to: [{operation: {paths: ['/a/{**}/{*}']}}]}]}", "paths[0]: a path with {*}"},
      {"{rules: [{to: [{operation: {paths: ['/a{*}']}}]}]}", "paths[0]: a path with {*}"},
      {"{rules: [{to: [{operation: {paths: ['/a/{*}/b*']}}]}]}", "paths[0]: a path with {*}"},
      {"{rules: [{when: [{key: 'request.headers[]', values: [a]}]}]}",
       "when[0].key: must be request.headers[NAME], got \"request.headers[]\""},
      {"{rules: [{when: [{key: 'request.headers[a][b]', values: [a]}]}]}", "request.headers[NAME]"},
      {"{rules: [{when: [{key: 'request.headers[a', values: [a]}]}]}", "request.headers[NAME]"},
      {"{rules: [{when: [{key: 'request.auth.claims[a]b', values: [a]}]}]}",
       "must be request.auth.claims[NAME]"},
      {"{rules: [{when: [{key: 'experimental.envoy.filters.x[a]', values: [a]}]}]}",
       "key: is not supported"},
      {"{rules: [{when: [{key: remote.ip, values: [a]}]}]}", "must be an IP address"},
      {"{rules: [{from: [{source: {remoteIpBlocks: [a]}}]}]}",
       "remoteIpBlocks[0]: must be an IP address"},
      {"{rules: [{methods: [GET]}]}", "rules[0].methods: unknown field"},
      {"{rules: [{to: [{operation: {principals: [a]}}]}]}", "operation.principals: unknown field"},
  };
  expect_refused("security.istio.io/v1", "AuthorizationPolicy", rows);
}

}  // namespace
}  // namespace weft::controlplane
