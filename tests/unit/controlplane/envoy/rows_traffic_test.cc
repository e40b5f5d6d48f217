// Rows T of the seed table, by id, asked of the real Envoy. What is about the path between nodes is
// in tests/netns (test_labs.py, test_callista.py).
#include <gmock/gmock.h>

#include "issuer.h"
#include "routed.h"

namespace weft::controlplane {
namespace {

using envoy::Answer;
using envoy::Ask;
using testing::HasSubstr;
using testing::Not;

using Shares = std::map<std::string, int>;

const std::string kSubsets = R"(---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews, namespace: default}
spec:
  host: reviews
  subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}, {name: v3, labels: {version: v3}}]
)";

// `http`: the list of a VirtualService for reviews.
std::string virtual_service(const std::string& http) {
  return kSubsets +
         "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: reviews, "
         "namespace: default}\nspec:\n  hosts: [reviews]\n  http:\n" +
         http;
}
// `rules`: the list of an HTTPRoute for reviews.
std::string http_route(const std::string& rules) {
  return "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: "
         "reviews, namespace: default}\nspec:\n  parentRefs: [{group: \"\", kind: Service, name: "
         "reviews}]\n  rules:\n" +
         rules;
}
std::string subset(const std::string& version) {
  return "{destination: {host: reviews, subset: " + version + "}}";
}
std::string route_to(const std::string& version) { return "route: [" + subset(version) + "]"; }
std::string backend(const std::string& version) {
  return "backendRefs: [{name: reviews-" + version + ", port: 9080}]";
}
std::string split(int v1, int v2) {
  return virtual_service(
      "  - route: [{destination: {host: reviews, subset: v1}, weight: " + std::to_string(v1) +
      "}, {destination: {host: reviews, subset: v2}, weight: " + std::to_string(v2) + "}]\n");
}

class RowT : public Routed {};

TEST_F(RowT, T1_JasonReachesV2AloneAndAllOthersV1Alone) {
  for (const std::string& objects :
       {virtual_service("  - match: [{headers: {end-user: {exact: jason}}}]\n    " +
                        route_to("v2") + "\n  - " + route_to("v1") + "\n"),
        http_route("  - matches: [{headers: [{name: end-user, value: jason}]}]\n    " +
                   backend("v2") + "\n  - " + backend("v1") + "\n")}) {
    forget();
    say(objects);
    EXPECT_EQ(shares(1000, {.headers = {"end-user: jason"}}), (Shares{{"v2", 1000}})) << objects;
    EXPECT_EQ(shares(1000), (Shares{{"v1", 1000}})) << objects;
    EXPECT_EQ(shares(20, {.headers = {"end-user: bob"}}), (Shares{{"v1", 20}})) << objects;
  }
}

TEST_F(RowT, T2_HalfAndHalfThenAllInTwoSecondsAndNoneFails) {
  say(split(50, 50));
  Shares got = shares(1600);
  EXPECT_EQ(got.size(), 2u);
  EXPECT_NEAR(got["v1"], 800, 80);
  std::atomic<bool> done = false;
  std::atomic<int> failed = 0, asked = 0;
  std::thread load([&] {
    while (!done) {
      const std::string from = who();
      ++asked;
      failed += from != "v1" && from != "v2";
    }
  });
  auto plan = planned(split(100, 0));
  plan->id = kId;
  set(*plan);
  const auto changed = Clock::now();
  while (shares(30) != Shares{{"v1", 30}} && Clock::now() - changed < 10s) {
  }
  EXPECT_LT(Clock::now() - changed, 2s);
  EXPECT_EQ(shares(300), (Shares{{"v1", 300}}));
  done = true;
  load.join();
  EXPECT_EQ(failed, 0);
  EXPECT_GT(asked, 20);
}

TEST_F(RowT, T4_OneEditFlipsNewRequestsAndWhatIsUnderWayIsFinished) {
  say(virtual_service("  - " + route_to("v1") + "\n"));
  v1_.delay_ms = 1500;
  std::string old;
  const int before = v1_.requests();
  std::thread slow([&] { old = who(); });
  for (int i = 0; i < 400 && v1_.requests() == before; ++i) std::this_thread::sleep_for(5ms);
  say(virtual_service("  - " + route_to("v2") + "\n"));
  EXPECT_EQ(shares(300), (Shares{{"v2", 300}}));
  slow.join();
  EXPECT_EQ(old, "v1");
  EXPECT_EQ(v1_.requests(), before + 1);
}

TEST_F(RowT, T5_BrowserOrCookieSteers) {
  const Ask firefox{.headers = {"user-agent: Mozilla/5.0 (X11) Gecko Firefox/140.0"}};
  const Ask chrome{.headers = {"user-agent: Mozilla/5.0 (X11) Chrome/130 Safari/537"}};
  const Ask group_b{.headers = {"cookie: a=1; group=b; c=3"}},
      other{.headers = {"cookie: group=bb"}};
  for (const std::string& objects :
       {virtual_service(
            "  - match: [{headers: {user-agent: {regex: '.*Firefox.*'}}}, {headers: {cookie: "
            "{regex: '(.*; ?)?group=b(;.*)?'}}}]\n    " +
            route_to("v2") + "\n  - " + route_to("v1") + "\n"),
        http_route(
            "  - matches: [{headers: [{type: RegularExpression, name: user-agent, value: "
            "'.*Firefox.*'}]}, {headers: [{type: RegularExpression, name: cookie, value: '(.*; "
            "?)?group=b(;.*)?'}]}]\n    " +
            backend("v2") + "\n  - " + backend("v1") + "\n")}) {
    forget();
    say(objects);
    EXPECT_EQ(shares(50, firefox), (Shares{{"v2", 50}})) << objects;
    EXPECT_EQ(shares(50, chrome), (Shares{{"v1", 50}})) << objects;
    EXPECT_EQ(who(group_b), "v2") << objects;
    EXPECT_EQ(who(other), "v1") << objects;
    EXPECT_EQ(who(), "v1") << objects;
  }
}

TEST_F(RowT, T6_HalfIsMirroredInEverySpellingAndTheClientSeesNoneOfIt) {
  const std::string v3 = route_to("v3") + "\n    ";
  const std::string to = "{host: reviews, subset: v2}";
  constexpr int kRequests = 800;
  for (const std::string& objects :
       {virtual_service("  - " + v3 + "mirror: " + to + "\n    mirror_percent: 50\n"),
        virtual_service("  - " + v3 + "mirror: " + to + "\n    mirrorPercentage: {value: 50}\n"),
        virtual_service("  - " + v3 + "mirrors: [{destination: " + to +
                        ", percentage: {value: 50}}]\n"),
        http_route("  - " + backend("v3") +
                   "\n    filters: [{type: RequestMirror, requestMirror: {backendRef: {name: "
                   "reviews-v2, port: 9080}, percent: 50}}]\n")}) {
    forget();
    say(objects);
    v2_.status = 500;  // what a copy's answer is does not matter
    const int before = v2_.requests();
    EXPECT_EQ(shares(kRequests), (Shares{{"v3", kRequests}})) << objects;
    std::this_thread::sleep_for(100ms);
    EXPECT_NEAR(v2_.requests() - before, kRequests / 2, kRequests * 0.07) << objects;
    EXPECT_THAT(v2_.last_head(), HasSubstr("host: reviews-shadow:9080\r\n")) << objects;
  }
}

TEST_F(RowT, T6_ADeadOrSlowMirrorIsNothingToTheClient) {
  const auto mirrored = [](const std::string& host) {
    return virtual_service("  - " + route_to("v3") + "\n    mirror: {host: " + host + "}\n");
  };
  for (const char* host : {"gone", "reviews-v2"}) {
    say(mirrored(host));
    v2_.delay_ms = 2000;
    const auto time = took([&] { EXPECT_EQ(shares(100), (Shares{{"v3", 100}})) << host; });
    EXPECT_LT(time, 1900ms) << host;
  }
  v2_.delay_ms = 0;
}

TEST_F(RowT, T7_PathsByTheRuleOfEachApi) {
  const auto istio = [](const std::string& uri) {
    return virtual_service("  - match: [{uri: " + uri + "}]\n    " + route_to("v2") + "\n  - " +
                           route_to("v1") + "\n");
  };
  const auto gateway = [](const std::string& type, const std::string& value) {
    return http_route("  - matches: [{path: {type: " + type + ", value: '" + value + "'}}]\n    " +
                      backend("v2") + "\n  - " + backend("v1") + "\n");
  };
  struct Row {
    std::string objects;
    std::vector<std::string> in, out;
  };
  const std::vector<Row> rows = {
      {istio("{exact: /foo}"), {"/foo", "/foo?q"}, {"/foo/", "/foobar", "/Foo", "/"}},
      {gateway("Exact", "/foo"), {"/foo", "/foo?q"}, {"/foo/", "/foobar", "/Foo", "/"}},
      {istio("{prefix: /foo}"), {"/foo", "/foobar", "/foo/bar", "/foo?q"}, {"/fo", "/x/foo"}},
      {gateway("PathPrefix", "/foo"), {"/foo", "/foo/", "/foo/bar", "/foo?q"}, {"/foobar", "/fo"}},
      {gateway("PathPrefix", "/foo/"), {"/foo", "/foo/bar"}, {"/foobar"}},
      {istio("{regex: '/a+'}"), {"/a", "/aaa", "/aa?q"}, {"/aab", "/x/a"}},
      {gateway("RegularExpression", "/a+"), {"/a", "/aaa", "/aa?q"}, {"/aab", "/x/a"}},
  };
  for (const Row& row : rows) {
    say(row.objects);
    for (const auto& path : row.in) EXPECT_EQ(who({.path = path}), "v2") << path << row.objects;
    for (const auto& path : row.out) EXPECT_EQ(who({.path = path}), "v1") << path << row.objects;
  }
}

TEST_F(RowT, T8_AVerifiedClaimRoutesAndAnUnverifiedOneNever) {
  const envoy::Issuer issuer, stranger;
  const std::string keys =
      "---\napiVersion: security.istio.io/v1\nkind: RequestAuthentication\n"
      "metadata: {name: tokens, namespace: default}\nspec:\n  selector: {matchLabels: {app: "
      "reviews}}\n  jwtRules: [{issuer: 'https://issuer', jwks: '" +
      issuer.jwks() + "'}]\n";
  const std::string routes = virtual_service(
      "  - match: [{headers: {'@request.auth.claims[group]': {exact: beta}}}]\n    " +
      route_to("v2") + "\n  - " + route_to("v1") + "\n");
  const auto bearer = [](const envoy::Issuer& who, const std::string& group) {
    return Ask{
        .headers = {"authorization: Bearer " +
                    who.sign(R"({"iss":"https://issuer","sub":"me","exp":4000000000,"group":")" +
                             group + R"("})")}};
  };
  say(keys + routes);
  EXPECT_EQ(who(bearer(issuer, "beta")), "v2");
  EXPECT_EQ(who(bearer(issuer, "stable")), "v1");
  EXPECT_EQ(who(), "v1");
  EXPECT_EQ(who(bearer(stranger, "beta")), "401") << "not one of the issuer's";
  EXPECT_EQ(who({.headers = {"@request.auth.claims[group]: beta"}}), "400");
  EXPECT_EQ(who({.headers = {"request.auth.claims: beta", "x-jwt-claim-group: beta"}}), "v1");
  say(routes);
  EXPECT_NE(who(bearer(issuer, "beta")), "v2") << "nobody verifies it now";
}

TEST_F(RowT, T9_RoundRobinIsExactAndTheDefaultPrefersWhoIsLessBusy) {
  say("apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: reviews, "
      "namespace: default}\nspec: {host: reviews, trafficPolicy: {loadBalancer: {simple: "
      "ROUND_ROBIN}}}\n---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: "
      "{name: reviews, namespace: default}\nspec: {hosts: [reviews], http: [{route: "
      "[{destination: {host: reviews}}]}]}\n");
  for (int client = 0; client < 2; ++client) {
    const Shares got = shares(300);
    ASSERT_EQ(got.size(), 3u) << testing::PrintToString(got);
    for (const auto& [name, count] : got) EXPECT_NEAR(count, 100, 1) << name;
  }
  say("apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: reviews, "
      "namespace: default}\nspec: {hosts: [reviews], http: [{route: [{destination: {host: "
      "reviews}}]}]}\n");
  v1_.delay_ms = 100;
  const int before = v1_.requests();
  std::vector<std::thread> clients;
  for (int i = 0; i < 4; ++i) clients.emplace_back([] { shares(100); });
  for (std::thread& one : clients) one.join();
  EXPECT_LT(v1_.requests() - before, 400 / 5) << "the slow one got its third";
  v1_.delay_ms = 0;
}

// T15: each field on the wire.
class RowT15 : public RowT {
 protected:
  Answer with(const std::string& action, const Ask& ask = {},
              const std::string& match = "{uri: {prefix: /}}") {
    say(virtual_service("  - match: [" + match + "]\n    " + action + "\n"));
    return get(ask);
  }
  Answer with_filter(const std::string& filter, const Ask& ask = {}, bool answers = false) {
    say(http_route("  - matches: [{path: {type: PathPrefix, value: /foo}}]\n    filters: [" +
                   filter + "]\n    " + (answers ? "" : backend("v1")) + "\n"));
    return get(ask);
  }
  static std::string line(const Answer& answer) {
    const auto start = answer.body.find('\n') + 1;
    return answer.body.substr(start, answer.body.find('\r') - start);
  }
};

TEST_F(RowT15, T15_Rewrite) {
  const std::string v1 = "\n    " + route_to("v1");
  const std::string foo = "{uri: {prefix: /foo}}";
  EXPECT_EQ(line(with("rewrite: {uri: /bar}" + v1, {.path = "/foo/x?q"}, foo)),
            "GET /bar/x?q HTTP/1.1");
  EXPECT_THAT(with("rewrite: {authority: in.side}" + v1).body, HasSubstr("host: in.side\r\n"));
  EXPECT_EQ(
      line(with("rewrite: {uriRegexRewrite: {match: '/foo/([a-z]+)', rewrite: '/x/\\1'}}" + v1,
                {.path = "/foo/abc?q"}, foo)),
      "GET /x/abc?q HTTP/1.1");
  EXPECT_EQ(line(with_filter("{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, "
                             "replacePrefixMatch: /bar}}}",
                             {.path = "/foo/x?q"})),
            "GET /bar/x?q HTTP/1.1");
  EXPECT_EQ(line(with_filter("{type: URLRewrite, urlRewrite: {hostname: in.side, path: {type: "
                             "ReplaceFullPath, replaceFullPath: /all}}}",
                             {.path = "/foo/x"})),
            "GET /all HTTP/1.1");
}

TEST_F(RowT15, T15_Redirect) {
  const auto location = [](const Answer& answer) {
    const auto found = answer.head.find("\r\nlocation: ");
    if (found == std::string::npos) return "none, " + std::to_string(answer.status);
    const auto start = found + 12;
    return std::to_string(answer.status) + " " +
           answer.head.substr(start, answer.head.find('\r', start) - start);
  };
  const Ask ask{.path = "/foo/x?q"};
  EXPECT_EQ(location(with("redirect: {uri: /bar}", ask)), "301 http://reviews:9080/bar?q");
  EXPECT_EQ(location(with("redirect: {authority: new.host, redirectCode: 307}", ask)),
            "307 http://new.host/foo/x?q");
  EXPECT_EQ(location(with("redirect: {scheme: https, port: 8443}", ask)),
            "301 https://reviews:8443/foo/x?q");
  EXPECT_EQ(location(with_filter("{type: RequestRedirect, requestRedirect: {scheme: https, "
                                 "hostname: new.host, statusCode: 301}}",
                                 ask, true)),
            "301 https://new.host/foo/x?q");
  EXPECT_EQ(location(with_filter("{type: RequestRedirect, requestRedirect: {path: {type: "
                                 "ReplacePrefixMatch, replacePrefixMatch: /bar}}}",
                                 ask, true)),
            "302 http://reviews:9080/bar/x?q");
  EXPECT_EQ(v1_.requests() + v2_.requests() + v3_.requests(), 0) << "a redirect asks nobody";
}

TEST_F(RowT15, T15_HeaderOps) {
  const Ask ask{.headers = {"x-a: 0", "x-b: 1", "x-c: 2"}};
  const Answer istio = with(
      "headers: {request: {set: {x-a: '9'}, add: {x-b: '8'}, remove: [x-c]}, response: {set: {x-d: "
      "'7'}, add: {x-e: '6'}, remove: [x-upstream]}}\n    " +
          route_to("v1"),
      ask);
  const Answer gateway = with_filter(
      "{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: x-a, value: '9'}], add: "
      "[{name: x-b, value: '8'}], remove: [x-c]}}, {type: ResponseHeaderModifier, "
      "responseHeaderModifier: {set: [{name: x-d, value: '7'}], add: [{name: x-e, value: '6'}], "
      "remove: [x-upstream]}}",
      {.path = "/foo", .headers = ask.headers});
  for (const Answer& answer : {istio, gateway}) {
    EXPECT_EQ(answer.status, 200);
    for (const char* there : {"x-a: 9\r\n", "x-b: 1\r\n", "x-b: 8\r\n"})
      EXPECT_THAT(answer.body, HasSubstr(there));
    for (const char* away : {"x-a: 0", "x-c"}) EXPECT_THAT(answer.body, Not(HasSubstr(away)));
    EXPECT_THAT(answer.head, HasSubstr("x-d: 7"));
    EXPECT_THAT(answer.head, HasSubstr("x-e: 6"));
    EXPECT_THAT(answer.head, Not(HasSubstr("x-upstream")));
  }
}

TEST_F(RowT15, T15_Cors) {
  const std::string policy =
      "corsPolicy: {allowOrigins: [{exact: 'https://a.example'}, {regex: "
      "'https://.*[.]b[.]example'}], "
      "allowMethods: [GET, PUT], allowHeaders: [x-a], exposeHeaders: [x-b], maxAge: 10m, "
      "allowCredentials: true}\n    " +
      route_to("v1");
  const auto preflight = [](const std::string& origin) {
    return Ask{.method = "OPTIONS",
               .headers = {"origin: " + origin, "access-control-request-method: PUT"}};
  };
  for (const char* origin : {"https://a.example", "https://x.b.example"}) {
    const Answer answer = with(policy, preflight(origin));
    EXPECT_EQ(answer.status, 200);
    EXPECT_THAT(answer.head, HasSubstr(std::string("access-control-allow-origin: ") + origin));
    EXPECT_THAT(answer.head, HasSubstr("access-control-allow-methods: GET,PUT"));
    EXPECT_THAT(answer.head, HasSubstr("access-control-allow-headers: x-a"));
    EXPECT_THAT(answer.head, HasSubstr("access-control-max-age: 600"));
    EXPECT_THAT(answer.head, HasSubstr("access-control-allow-credentials: true"));
  }
  EXPECT_EQ(v1_.requests(), 0) << "a preflight is answered here";
  EXPECT_THAT(get(preflight("https://evil.example")).head, Not(HasSubstr("access-control-allow")));
  const Answer simple = get({.headers = {"origin: https://a.example"}});
  EXPECT_THAT(simple.head, HasSubstr("access-control-allow-origin: https://a.example"));
  EXPECT_THAT(simple.head, HasSubstr("access-control-expose-headers: x-b"));
  EXPECT_THAT(simple.head, HasSubstr("x-upstream: v1"));
}

TEST_F(RowT15, T15_DirectResponse) {
  const Answer text = with("directResponse: {status: 418, body: {string: tea}}");
  EXPECT_EQ(text.status, 418);
  EXPECT_EQ(text.body, "tea");
  EXPECT_EQ(with("directResponse: {status: 503}").status, 503);
  EXPECT_EQ(v1_.requests() + v2_.requests() + v3_.requests(), 0);
}

}  // namespace
}  // namespace weft::controlplane
