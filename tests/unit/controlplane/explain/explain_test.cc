// explain: a world by manifests, questions by name.
#include "controlplane/explain/explain.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "controlplane/explain/picture.h"
#include "l7_world.h"

namespace weft::controlplane {
namespace {

using nlohmann::json;
using testing::HasSubstr;

constexpr const char* kWorld = R"(
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {weft.dev/mesh: enabled}}
---
apiVersion: v1
kind: Namespace
metadata: {name: street}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: l4, namespace: shop}
spec:
  selector: {matchLabels: {app: bank}}
  rules:
  - {from: [{source: {namespaces: [nobody]}}]}
  - {from: [{source: {principals: [cluster.local/ns/shop/sa/web]}}]}
)";

class Explain : public testing::Test {
 protected:
  Explain() {
    put(std::string(kWorld) + pod_yaml("shop", "web-1", "10.244.1.1", "{app: web}") +
        pod_yaml("street", "walker", "10.244.1.2", "{app: walker}") +
        http_service("shop", "reviews", "10.96.0.1") +
        pod_yaml("shop", "reviews-1", "10.244.2.1", "{app: reviews, version: v1}") +
        pod_yaml("shop", "reviews-2", "10.244.2.2", "{app: reviews, version: v2}") +
        http_service("shop", "bank", "10.96.0.2") +
        pod_yaml("shop", "bank-1", "10.244.2.3", "{app: bank}"));
  }
  void put(const std::string& yaml) {
    world_.put(yaml);
    picture_.take(world_.last);
  }
  void serve() {
    world_.put(L7World::waypoint_pod("shop", "weft-waypoint", true));
    picture_.take(world_.last);
    world_.ack("shop");
    picture_.take(world_.last);
  }
  Parsed<json> ask(explain::Query query) {
    return explain::explain(world_.world, picture_.snapshot(), query, WallClock::now());
  }
  json answer(const explain::Query& query) {
    auto out = ask(query);
    EXPECT_TRUE(out) << out.error().text;
    return out ? *out : json();
  }
  std::string refusal(const std::string& source, const std::string& destination) {
    const auto out = ask({.source = source, .destination = destination, .headers = {}});
    return out ? "answered" : out.error().text;
  }
  static std::string policy(const json& out) {
    std::string text;
    for (const auto& one : out["policy"]) text += one["text"].get<std::string>() + "\n";
    return text;
  }

  L7World world_;
  explain::Picture picture_;
};

TEST_F(Explain, WithoutAWaypointNodesJudge) {
  const json free = answer({.source = "shop/web-1", .destination = "reviews", .headers = {}});
  EXPECT_EQ(free["verdict"], "allowed");
  EXPECT_EQ(free["transport"], "hbone");
  EXPECT_EQ(free["endpoints"].size(), 2u);
  const json bank =
      answer({.source = "shop/web-1", .destination = "bank.shop:9080", .headers = {}});
  EXPECT_EQ(bank["verdict"], "allowed");
  EXPECT_EQ(policy(bank), "ALLOW by AuthorizationPolicy shop/l4 rule 2\n");
  const json plain = answer({.source = "street/walker", .destination = "shop/bank", .headers = {}});
  EXPECT_EQ(plain["verdict"], "denied");
  EXPECT_EQ(plain["source"]["identity"], nullptr);
  EXPECT_EQ(policy(plain), "denied: no ALLOW matched of: AuthorizationPolicy shop/l4\n");
}

TEST_F(Explain, AWaypointThatIsNotReadyLetsRoutesOpenAndPoliciesClosed) {
  put(R"(
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews, namespace: shop}
spec: {hosts: [reviews], http: [{directResponse: {status: 418}}]}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: l7, namespace: shop}
spec: {selector: {matchLabels: {app: bank}}, action: DENY, rules: [{to: [{operation: {paths: [/x]}}]}]}
)");
  const json route = answer({.source = "shop/web-1", .destination = "reviews", .headers = {}});
  EXPECT_EQ(route["verdict"], "allowed");
  EXPECT_THAT(route["notes"].dump(), HasSubstr("until then requests go straight to its pods"));
  const json policed = answer({.source = "shop/web-1", .destination = "bank", .headers = {}});
  EXPECT_EQ(policed["verdict"], "denied");
  EXPECT_THAT(policy(policed), HasSubstr("can only be judged by a waypoint"));
  EXPECT_THAT(policed["notes"].dump(), HasSubstr("fails closed"));
  serve();
  const json served = answer({.source = "shop/web-1", .destination = "reviews", .headers = {}});
  EXPECT_EQ(served["verdict"], "answered");
  EXPECT_EQ(served["status"], 418);
  EXPECT_EQ(served["route"]["object"], "VirtualService shop/reviews");
  EXPECT_EQ(served["route"]["rule"], 1);
  const json judged = answer({.source = "shop/web-1",
                              .destination = "bank",
                              .method = "GET",
                              .path = "/x",
                              .headers = {}});
  EXPECT_EQ(judged["status"], 403);
  EXPECT_EQ(policy(judged), "DENY by AuthorizationPolicy shop/l7 rule 1\n");
  EXPECT_EQ(answer({.source = "shop/web-1", .destination = "bank", .headers = {}})["verdict"],
            "allowed");
}

TEST_F(Explain, WeightsSubsetsAndRewritesAreSaid) {
  put(R"(
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews, namespace: shop}
spec: {host: reviews, subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews, namespace: shop}
spec:
  hosts: [reviews]
  http:
  - match: [{headers: {x: {exact: "1"}}}]
    rewrite: {uri: /y}
    timeout: 3s
    route: [{destination: {host: reviews, subset: v1}, weight: 90}, {destination: {host: reviews, subset: v2}, weight: 10}]
  - route: [{destination: {host: bank}}]
)");
  serve();
  const json split = answer(
      {.source = "shop/web-1", .destination = "reviews", .path = "/z?q", .headers = {{"X", "1"}}});
  EXPECT_EQ(split["route"]["destinations"][0]["percent"], 90.0);
  EXPECT_EQ(split["route"]["destinations"][1]["subset"], "v2");
  EXPECT_EQ(split["route"]["pathBecomes"], "/yz?q") << "without a path to match, all begin with /";
  EXPECT_EQ(split["route"]["timeoutMs"], 3000);
  EXPECT_EQ(split["endpoints"].size(), 2u);
  const json other = answer({.source = "shop/web-1", .destination = "reviews", .headers = {}});
  EXPECT_EQ(other["route"]["rule"], 2);
  EXPECT_EQ(other["endpoints"][0]["pod"], "shop/bank-1");
  EXPECT_THAT(policy(other), HasSubstr("ALLOW by AuthorizationPolicy shop/l4 rule 2"));
}

TEST_F(Explain, NamesAreFoundAsPeopleWriteThem) {
  for (const char* name :
       {"reviews", "reviews:9080", "reviews.shop", "reviews.shop.svc:9080",
        "reviews.shop.svc.cluster.local", "shop/reviews", "service/reviews", "10.96.0.1:9080"}) {
    const json out = answer({.source = "web-1", .destination = name, .ns = "shop", .headers = {}});
    EXPECT_EQ(out["destination"]["address"], "10.96.0.1:9080") << name;
  }
  for (const char* name : {"pod/bank-1:8080", "bank-1:8080", "10.244.2.3:8080"}) {
    const json out =
        answer({.source = "pod/web-1", .destination = name, .ns = "shop", .headers = {}});
    EXPECT_EQ(out["destination"]["pod"], "shop/bank-1") << name;
  }
  EXPECT_THAT(refusal("shop/nobody", "reviews"), HasSubstr("\"nobody\" in namespace shop"));
  EXPECT_THAT(refusal("a/b/c/d", "reviews"), HasSubstr("source: \"a/b/c/d\" is no POD"));
  EXPECT_THAT(refusal("shop/web-1", "nothing"), HasSubstr("no Service or pod \"nothing\""));
  EXPECT_THAT(refusal("shop/web-1", "reviews:77"), HasSubstr("has no port 77, it has 9080"));
  EXPECT_THAT(refusal("shop/web-1", "reviews:0"), HasSubstr("is no port"));
  EXPECT_THAT(refusal("shop/web-1", "10.96.0.1"), HasSubstr("needs a port"));
  EXPECT_THAT(refusal("shop/web-1", "bank-1"), HasSubstr("needs a port"));
  EXPECT_THAT(refusal("shop/web-1", "/"), HasSubstr("is no SERVICE"));
}

TEST_F(Explain, WhatNobodyKnowsPassesThrough) {
  const json out = answer({.source = "shop/web-1", .destination = "192.0.2.1:80", .headers = {}});
  EXPECT_EQ(out["transport"], "passthrough");
  EXPECT_EQ(out["verdict"], "allowed");
}

TEST(ExplainQuery, IsReadOrRefusedByField) {
  const auto text = [](const json& request) {
    const auto query = explain::read_query(request);
    return query ? "read" : query.error().text;
  };
  EXPECT_EQ(
      text({{"source", "a"}, {"destination", "b"}, {"headers", json::array({"x=1=2", "y="})}}),
      "read");
  EXPECT_THAT(text({{"destination", "b"}}), HasSubstr("source"));
  EXPECT_THAT(text({{"source", "a"}}), HasSubstr("destination"));
  EXPECT_THAT(text({{"source", 7}, {"destination", "b"}}), HasSubstr("source: must be a text"));
  EXPECT_THAT(text({{"source", "a"}, {"destination", "b"}, {"headers", json::array({"x"})}}),
              HasSubstr("\"x\" is no NAME=VALUE"));
  EXPECT_THAT(text({{"source", "a"}, {"destination", "b"}, {"headers", "x"}}),
              HasSubstr("must be a list"));
}

TEST(ExplainTarget, AGoodTargetStaysAsItIs) {
  for (const char* text : {"/", "/a/b?c=/../d", "/a%20b", "/a/", "/%E2%82%AC"}) {
    const explain::Target target = explain::read_target(text);
    ASSERT_EQ(target.is, explain::Target::Is::kGood) << text;
    EXPECT_EQ(target.path + (target.query.empty() ? "" : "?" + target.query), text);
  }
  for (const char* text : {"", "a", "/a b", "/a#b", "http://x/"})
    EXPECT_EQ(explain::read_target(text).is, explain::Target::Is::kMalformed) << text;
}

}  // namespace
}  // namespace weft::controlplane
