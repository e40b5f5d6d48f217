// What plans mean, asked of the real Envoy.
#include "live.h"

#include <gmock/gmock.h>
#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

#include "plans.h"

namespace weft::controlplane::envoy {
namespace {

using Kind = model::TextMatch::Kind;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class Live : public LiveEnvoy {
 protected:
  Upstream v1_{"v1"}, v2_{"v2"};

  model::Plan two_services() {
    model::Plan plan = waypoint();
    add(plan, cluster("reviews", v1_.port()));
    add(plan, cluster("ratings", v2_.port()));
    plan.services = {service("reviews", "10.96.0.1"), service("ratings", "10.96.0.2")};
    return plan;
  }
  model::Plan with(const model::PlanAuthz& authz) {
    model::Plan plan = two_services();
    plan.services[0].authz = authz;
    return plan;
  }
};

TEST_F(Live, TheOriginalDestinationChoosesTheService) {
  model::Plan plan = two_services();
  plan.services[0].addresses.push_back(*SocketAddress::parse("[fd00::1]:80"));
  apply(plan);
  EXPECT_THAT(send({.to = "10.96.0.1:80"}).body, HasSubstr("v1\n"));
  EXPECT_THAT(send({.to = "10.96.0.2:80"}).body, HasSubstr("v2\n"));
  EXPECT_THAT(send({.to = "[fd00::1]:80", .from = "[fd00:244::7]:40000"}).body, HasSubstr("v1\n"));
  EXPECT_EQ(send({.to = "10.96.0.9:80"}).status, 403) << "nobody's address is closed";
  // The header that picks the routes is ours alone, and the application never sees it.
  const Answer forged =
      send({.to = "10.96.0.2:80", .headers = {"x-weft-dst: 10.96.0.1:80", "x-weft-dst: a"}});
  EXPECT_THAT(forged.body, HasSubstr("v2\n"));
  EXPECT_THAT(forged.body, Not(HasSubstr("x-weft-dst")));
}

TEST_F(Live, WithoutAGoodHeaderThereIsNoAnswer) {
  apply(two_services());
  EXPECT_EQ(exchange(http({})), "");
  EXPECT_EQ(exchange("PROXY TCP4 10.244.1.7 10.96.0.1 40000 80\r\n" + http({})), "");
  std::string cut = proxy_v2({});
  EXPECT_EQ(parse(exchange(cut + proxy_v2({}) + http({}))).status, 400);
}

TEST_F(Live, PolicySeesTheIdentityThatZtunnelVerified) {
  apply(with(only(allow({from({.principals = {{exact("cluster.local/ns/shop/sa/web")}, {}}})}))));
  EXPECT_EQ(send({}).status, 200);
  const Answer denied = send({.peer = "spiffe://cluster.local/ns/shop/sa/intern"});
  EXPECT_EQ(denied.status, 403);
  EXPECT_EQ(denied.body, "RBAC: access denied");
  for (const std::optional<std::string>& peer :
       {std::optional<std::string>(), std::optional<std::string>(""),
        std::optional<std::string>("-"), std::optional<std::string>(std::string(60'000, 'x')),
        std::optional<std::string>("spiffe://cluster.local/ns/shop/sa/web\xff"),
        std::optional<std::string>("spiffe://cluster.local/ns/shop/sa/web2")}) {
    EXPECT_EQ(send({.peer = peer}).status, 403) << peer.value_or("none").substr(0, 60);
  }
  EXPECT_EQ(
      send({.peer = std::nullopt,
            .headers = {"weft.peer: spiffe://cluster.local/ns/shop/sa/web",
                        "x-weft-peer: spiffe://cluster.local/ns/shop/sa/web",
                        "x-forwarded-client-cert: URI=spiffe://cluster.local/ns/shop/sa/web"}})
          .status,
      403);
  EXPECT_EQ(send({.to = "10.96.0.2:80", .peer = std::nullopt}).status, 200) << "has no policy";
}

TEST_F(Live, NegationDoesNotLetTheUnknownIn) {
  apply(with(only(allow({from({.principals = {{}, {exact("cluster.local/ns/shop/sa/bad")}}}),
                         from({.namespaces = {{}, {exact("evil")}}})}))));
  EXPECT_EQ(send({}).status, 200);
  EXPECT_EQ(send({.peer = std::nullopt}).status, 403);
  EXPECT_EQ(send({.peer = ""}).status, 403);
  apply(with(only(deny({from({.principals = {{}, {exact("cluster.local/ns/shop/sa/web")}}})}))));
  EXPECT_EQ(send({}).status, 200);
  EXPECT_EQ(send({.peer = std::nullopt}).status, 403) << "a DENY of all others denies him too";
}

TEST_F(Live, DenyGoesFirstAndEverySetMustAllow) {
  model::AuthzRule get{.to = {{.methods = {{exact("GET")}, {}}}}};
  model::AuthzRule admin{.to = {{.paths = {{match(Kind::kPrefix, "/admin")}, {}}}}};
  model::PlanAuthz authz;
  authz.sets.push_back({{allow({get}), deny({admin})}});
  authz.sets.push_back({{allow({from({.namespaces = {{exact("shop")}, {}}})})}});
  apply(with(authz));
  EXPECT_EQ(send({.path = "/x"}).status, 200);
  EXPECT_EQ(send({.path = "/admin/x"}).status, 403);
  EXPECT_EQ(send({.path = "//admin/x"}).status, 403) << "slashes are merged before";
  EXPECT_EQ(send({.path = "/a/../admin"}).status, 403);
  EXPECT_EQ(send({.path = "/x", .method = "DELETE"}).status, 403);
  EXPECT_EQ(send({.peer = "spiffe://cluster.local/ns/other/sa/web", .path = "/x"}).status, 403);
  authz.closed = true;
  apply(with(authz));
  EXPECT_EQ(send({.path = "/x"}).status, 403);
}

TEST_F(Live, AttributesOfRequestAndConnection) {
  auto verdict = [&](const model::AuthzRule& rule, const Ask& ask) {
    apply(with(only(allow({rule}))));
    return send(ask).status == 200;
  };
  const auto hosts = [](model::TextMatch text) {
    return model::AuthzRule{.to = {{.hosts = {{std::move(text)}, {}}}}};
  };
  EXPECT_TRUE(verdict(hosts(exact("Reviews.Shop")), {}));
  EXPECT_TRUE(verdict(hosts(exact("reviews.shop")), {.host = "reviews.shop:8080"}));
  EXPECT_FALSE(verdict(hosts(exact("reviews.shop")), {.host = "reviews.shop.evil"}));
  const auto header = [](model::Values values) {
    return model::AuthzRule{.when = {{.key = "request.headers[x-a]", .values = std::move(values)}}};
  };
  EXPECT_TRUE(verdict(header({{exact("1")}, {}}), {.headers = {"x-a: 1"}}));
  EXPECT_FALSE(verdict(header({{exact("1")}, {}}), {}));
  EXPECT_FALSE(verdict(header({{match(Kind::kPresent)}, {}}), {}));
  EXPECT_TRUE(verdict(header({{}, {exact("1")}}), {}));
  EXPECT_FALSE(verdict(header({{}, {exact("1")}}), {.headers = {"x-a: 1"}}));
  const auto ports = [](std::uint16_t port) { return model::AuthzRule{.to = {{.ports = {port}}}}; };
  EXPECT_TRUE(verdict(ports(8080), {}));
  EXPECT_FALSE(verdict(ports(80), {}));
  const model::AuthzRule block = from({.ip_blocks = {{*Cidr::parse("10.244.1.7/32")}, {}}});
  EXPECT_TRUE(verdict(block, {}));
  EXPECT_FALSE(
      verdict(block, {.headers = {"x-forwarded-for: 10.244.1.7"}, .from = "10.244.1.8:40000"}));
  const model::AuthzRule nothing{.when = {{.key = "connection.sni", .values = {{exact("a")}, {}}}}};
  EXPECT_FALSE(verdict(nothing, {})) << "what nobody knows here allows nothing";
  const model::AuthzRule templated{
      .to = {{.paths = {{match(Kind::kTemplate, "/a/{*}/b/{**}")}, {}}}}};
  EXPECT_TRUE(verdict(templated, {.path = "/a/1/b/2/3?x=y"}));
  EXPECT_FALSE(verdict(templated, {.path = "/a/1/2/b/3"}));
}

TEST_F(Live, RoutesByEveryKindOfMatch) {
  auto goes_to_v2 = [&](model::RequestMatch match, const Ask& ask,
                        std::vector<std::string> clients = {}) {
    model::Plan plan = two_services();
    model::PlanRoute first{
        .rule = {.matches = {std::move(match)}, .backends = {{.service = {"shop", "ratings", 80}}}},
        .clusters = {"outbound|80||ratings"},
        .client_namespaces = std::move(clients)};
    plan.services[0].routes.insert(plan.services[0].routes.begin(), first);
    apply(plan);
    return send(ask).body.starts_with("v2");
  };
  const auto path = [](Kind kind, const char* text) {
    return model::RequestMatch{.path = model::TextMatch{.kind = kind, .value = text}};
  };
  EXPECT_TRUE(goes_to_v2(path(Kind::kPrefix, "/foo"), {.path = "/foobar"}));
  EXPECT_FALSE(goes_to_v2(path(Kind::kSegmentPrefix, "/foo/"), {.path = "/foobar"}));
  EXPECT_TRUE(goes_to_v2(path(Kind::kSegmentPrefix, "/foo/"), {.path = "/foo?x"}));
  EXPECT_FALSE(goes_to_v2(path(Kind::kRegexFull, "/a+"), {.path = "/aab"}));
  EXPECT_TRUE(goes_to_v2(path(Kind::kRegexStart, "/a+"), {.path = "/aab"}));
  EXPECT_TRUE(goes_to_v2(path(Kind::kSuffix, ".css"), {.path = "/a.css"}));
  EXPECT_TRUE(
      goes_to_v2({.headers = {{"end-user", exact("jason")}}}, {.headers = {"end-user: jason"}}));
  EXPECT_FALSE(goes_to_v2({.headers = {{"end-user", exact("jason")}}}, {}));
  EXPECT_TRUE(goes_to_v2({.headers = {{"end-user", exact("jason"), true}}}, {}));
  EXPECT_TRUE(goes_to_v2({.headers = {{"end-user", match(Kind::kAbsent)}}}, {}));
  EXPECT_TRUE(goes_to_v2({.query = {{"v", exact("2")}}}, {.path = "/?v=2"}));
  EXPECT_TRUE(goes_to_v2({.method = exact("PUT")}, {.method = "PUT"}));
  EXPECT_FALSE(goes_to_v2({.port = 81}, {}));
  EXPECT_TRUE(goes_to_v2({.grpc_service = "shop.Cart"}, {.path = "/shop.Cart/Add"}));
  EXPECT_TRUE(goes_to_v2({.source_namespace = "shop"}, {}));
  EXPECT_FALSE(goes_to_v2({.source_namespace = "sho"}, {}));
  EXPECT_FALSE(goes_to_v2({.source_namespace = "shop"}, {.peer = std::nullopt}));
  EXPECT_TRUE(goes_to_v2({}, {}, {"other", "shop"}));
  EXPECT_FALSE(goes_to_v2({}, {}, {"other"}));
  model::RequestMatch labels{.source_labels = {{"app", "web"}}};
  EXPECT_FALSE(goes_to_v2(labels, {})) << "nobody looked who has them";
  labels.source_addresses = {*IpAddress::parse("10.244.1.7")};
  EXPECT_TRUE(goes_to_v2(labels, {}));
  EXPECT_FALSE(goes_to_v2(labels, {.from = "10.244.1.77:40000"}));
}

TEST_F(Live, WhatBecomesOfARequest) {
  auto answer = [&](const model::PlanRoute& route, const Ask& ask) {
    model::Plan plan = two_services();
    plan.services[0].routes = {route};
    apply(plan);
    return send(ask);
  };
  const model::PlanRoute plain = service("reviews", "10.96.0.1").routes[0];
  auto changed = [&](auto change) {
    model::PlanRoute route = plain;
    change(route);
    return route;
  };
  using Route = model::PlanRoute;
  EXPECT_EQ(
      answer(changed([](Route& r) { r.rule.backends.clear(), r.clusters.clear(); }), {}).status,
      500);
  EXPECT_EQ(answer(changed([](Route& r) {
                     r.rule.backends[0].broken = "BackendNotFound";
                     r.clusters[0] = "";
                   }),
                   {})
                .status,
            500);
  const auto half = changed([](Route& r) {
    r.rule.backends.push_back({.service = {}, .broken = "BackendNotFound"});
    r.clusters.push_back("");
    r.rule.backends[0].weight = 0;
  });
  EXPECT_EQ(answer(half, {}).status, 500);
  const auto redirect = changed(
      [](Route& r) { r.rule.redirect = model::Redirect{.code = 302, .authority = "new.shop"}; });
  EXPECT_THAT(answer(redirect, {.path = "/a?b"}).head, HasSubstr("location: http://new.shop/a?b"));
  const auto direct = changed([](Route& r) { r.rule.direct = model::DirectResponse{418, "tea"}; });
  EXPECT_EQ(answer(direct, {}).body, "tea");
  auto rewritten = [&](Kind kind, const char* from, model::Rewrite::Kind how, const char* to,
                       const char* path) {
    const auto route = changed([&](Route& r) {
      r.rule.matches = {{.path = model::TextMatch{.kind = kind, .value = from}}};
      r.rule.rewrite = {.path_kind = how, .path = to};
    });
    const std::string body = answer(route, {.path = path}).body;
    const auto start = body.find(' ');
    return body.substr(start + 1, body.find(' ', start + 1) - start - 1);
  };
  using How = model::Rewrite::Kind;
  EXPECT_EQ(rewritten(Kind::kPrefix, "/foo", How::kPrefix, "/bar", "/foobaz?q"), "/barbaz?q");
  EXPECT_EQ(rewritten(Kind::kSegmentPrefix, "/foo", How::kPrefix, "/", "/foo/baz"), "/baz");
  EXPECT_EQ(rewritten(Kind::kSegmentPrefix, "/foo", How::kPrefix, "/", "/foo?q"), "/?q");
  EXPECT_EQ(rewritten(Kind::kSegmentPrefix, "/foo", How::kPrefix, "/bar/", "/foo/baz"), "/bar/baz");
  EXPECT_EQ(rewritten(Kind::kExact, "/foo", How::kPrefix, "/bar", "/foo"), "/bar");
  EXPECT_EQ(rewritten(Kind::kRegexFull, "/f.*", How::kFull, "/bar", "/foo?q"), "/bar?q");
  const auto headers = changed([](Route& r) {
    r.rule.request = {.set = {{"x-a", "100%"}}, .add = {{"x-b", "2"}}, .remove = {"x-c"}};
    r.rule.response = {.set = {{"x-d", "4"}}, .add = {}, .remove = {"x-upstream"}};
    r.rule.backends[0].request.set = {{"host", "inner"}};
  });
  const Answer with_headers = answer(headers, {.headers = {"x-a: 0", "x-b: 1", "x-c: 3"}});
  EXPECT_THAT(with_headers.body, HasSubstr("x-a: 100%\r\n"));
  EXPECT_THAT(with_headers.body, HasSubstr("host: inner\r\n"));
  EXPECT_THAT(with_headers.body, HasSubstr("x-b: 2\r\n"));
  EXPECT_THAT(with_headers.body, Not(HasSubstr("x-c")));
  EXPECT_THAT(with_headers.head, HasSubstr("x-d: 4"));
  EXPECT_THAT(with_headers.head, Not(HasSubstr("x-upstream")));
  const auto abort = changed(
      [](Route& r) { r.rule.fault = model::Fault{.abort_ppm = 1'000'000, .abort_status = 418}; });
  EXPECT_EQ(answer(abort, {}).body, "fault filter abort");
  const auto delay = changed([](Route& r) {
    r.rule.fault = model::Fault{.delay_ppm = 1'000'000, .delay = model::Milliseconds{300}};
  });
  const auto start = Clock::now();
  EXPECT_EQ(answer(delay, {}).status, 200);
  EXPECT_GE(Clock::now() - start, 300ms);
  const auto mirror = changed([](Route& r) {
    r.rule.mirrors = {{.to = {.service = {"shop", "ratings", 80}}}};
    r.mirror_clusters = {"outbound|80||ratings"};
  });
  const int before = v2_.requests();
  EXPECT_THAT(answer(mirror, {}).body, HasSubstr("v1\n"));
  for (int i = 0; i < 200 && v2_.requests() == before; ++i) std::this_thread::sleep_for(5ms);
  EXPECT_EQ(v2_.requests(), before + 1);
  v1_.status = 503;
  const auto retried = changed([](Route& r) {
    r.rule.retry = model::Retry{.attempts = 3, .on = {}, .status_codes = {503}};
  });
  const int tries = v1_.requests();
  EXPECT_EQ(answer(retried, {}).status, 503);
  EXPECT_EQ(v1_.requests(), tries + 4);
  const auto by_default = changed([](Route& r) { r.default_retry = true; });
  const int plain_tries = v1_.requests();
  EXPECT_EQ(answer(by_default, {}).status, 503);
  EXPECT_EQ(v1_.requests(), plain_tries + 1) << "a 503 of the application is no default retry";
}

TEST_F(Live, WhatNoRouteTakesIs404AfterThePolicy) {
  model::Plan plan = with(only(allow({from({.namespaces = {{exact("shop")}, {}}})})));
  plan.services[0].routes[0].rule.matches = {{.path = exact("/there")}};
  apply(plan);
  EXPECT_EQ(send({.path = "/there"}).status, 200);
  EXPECT_EQ(send({.path = "/not"}).status, 404);
  EXPECT_EQ(send({.peer = std::nullopt, .path = "/not"}).status, 403);
}

TEST_F(Live, WeightsShareRequests) {
  model::Plan plan = two_services();
  plan.services[0].routes[0].rule.backends = {{.service = {"shop", "reviews", 80}, .weight = 90},
                                              {.service = {"shop", "ratings", 80}, .weight = 10}};
  plan.services[0].routes[0].clusters = {"outbound|80||reviews", "outbound|80||ratings"};
  apply(plan);
  int v2 = 0;
  for (int i = 0; i < 400; ++i) v2 += send({}).body.starts_with("v2");
  EXPECT_GT(v2, 10);
  EXPECT_LT(v2, 90);
}

TEST_F(Live, OneBadServiceIsNamedAndHoldsNoOtherBack) {
  model::Plan plan = two_services();
  add(plan, cluster("details", v1_.port()));
  plan.services.push_back(service("details", "10.96.0.3"));
  apply(plan);
  plan.services[1].routes[0].rule.matches = {{.headers = {{"a", match(Kind::kRegexFull, "[")}}}};
  for (int i : {0, 2}) plan.services[i].routes[0].rule.response.set = {{"x-new", "1"}};
  set(plan);
  const Progress progress = settle();
  EXPECT_EQ(progress.services.at("reviews:80").state, ServiceState::kAcked);
  EXPECT_EQ(progress.services.at("details:80").state, ServiceState::kAcked);
  EXPECT_EQ(progress.services.at("ratings:80").state, ServiceState::kRejected);
  EXPECT_TRUE(progress.services.at("ratings:80").served);
  EXPECT_THAT(progress.services.at("ratings:80").text, HasSubstr("missing ]"));
  std::this_thread::sleep_for(50ms);
  EXPECT_THAT(send({.to = "10.96.0.1:80"}).head, HasSubstr("x-new: 1"));
  EXPECT_THAT(send({.to = "10.96.0.3:80"}).head, HasSubstr("x-new: 1"));
  EXPECT_EQ(send({.to = "10.96.0.2:80"}).status, 200) << "its last good routes stay";
  plan.services[1].routes[0].rule.matches.clear();
  apply(plan);
}

TEST_F(Live, OneChangedRouteAmongFiveHundredServicesIsSentAlone) {
  model::Plan plan = waypoint();
  for (int i = 0; i < 500; ++i) {
    const std::string name = "s" + std::to_string(i);
    add(plan, cluster(name, v1_.port()));
    plan.services.push_back(
        service(name, "10.97." + std::to_string(i / 250) + "." + std::to_string(i % 250)));
  }
  apply(plan);
  const auto before = fleet_.status(kId).sent;
  plan.services[77].routes[0].rule.response.set = {{"x-new", "1"}};
  apply(plan);
  EXPECT_EQ(fleet_.status(kId).sent, before + 1);
  EXPECT_THAT(send({.to = "10.97.0.77:80"}).head, HasSubstr("x-new: 1"));
}

TEST_F(Live, AServiceComesAndGoesUnderLoad) {
  apply(two_services());
  std::atomic<bool> done = false;
  std::atomic<int> failed = 0, asked = 0;
  std::thread load([&] {
    while (!done) {
      ++asked;
      failed += send({}).status != 200;
    }
  });
  for (int i = 0; i < 5; ++i) {
    model::Plan plan = two_services();
    plan.services.pop_back();
    plan.clusters.erase("outbound|80||ratings");
    apply(plan);
    EXPECT_EQ(send({.to = "10.96.0.2:80"}).status, 403);
    apply(two_services());
    EXPECT_EQ(send({.to = "10.96.0.2:80"}).status, 200);
  }
  done = true;
  load.join();
  EXPECT_GT(asked, 50);
  EXPECT_EQ(failed, 0);
}

TEST_F(Live, AServiceThatLeavesEndsItsConnectionsAlone) {
  model::Plan plan = two_services();
  apply(plan);
  Kept leaving({}), staying({.to = "10.96.0.2:80"});
  EXPECT_THAT(leaving.get(), Not(HasSubstr("connection: close")));
  plan.services[0].leaving = true;
  apply(plan);
  const std::string last = leaving.get();
  EXPECT_THAT(last, HasSubstr("200")) << "the request is answered";
  EXPECT_THAT(last, HasSubstr("connection: close"));
  EXPECT_TRUE(leaving.is_closed());
  EXPECT_THAT(staying.get(), Not(HasSubstr("connection: close")));
  EXPECT_THAT(staying.get(), HasSubstr("200"));
}

TEST_F(Live, AWaypointThatDrainsEndsBusyAndIdleConnections) {
  model::Plan plan = two_services();
  apply(plan);
  Kept busy({}), idle({.to = "10.96.0.2:80"});
  ASSERT_THAT(busy.get(), HasSubstr("200"));
  ASSERT_THAT(idle.get(), Not(HasSubstr("connection: close")));
  plan.draining = true;
  apply(plan);
  EXPECT_THAT(busy.get(), AllOf(HasSubstr("200"), HasSubstr("connection: close")));
  EXPECT_TRUE(busy.is_closed());
  EXPECT_TRUE(idle.is_closed()) << "within the drain time";
  EXPECT_EQ(send({}).status, 200) << "who has not heard is served";
}

TEST_F(Live, LeavingAndDrainingSayGoAwayInHttp2) {
  model::Plan plan = two_services();
  apply(plan);
  Kept2 leaving({}), draining({.to = "10.96.0.2:80"}), idle({.to = "10.96.0.2:80"});
  for (Kept2* one : {&leaving, &draining, &idle}) ASSERT_TRUE(one->get());
  plan.services[0].leaving = true;
  apply(plan);
  EXPECT_TRUE(leaving.get());
  EXPECT_TRUE(leaving.is_closed() && leaving.going_away());
  EXPECT_TRUE(draining.get() && !draining.going_away());
  plan.draining = true;
  apply(plan);
  EXPECT_TRUE(draining.get());
  EXPECT_TRUE(draining.is_closed() && draining.going_away());
  EXPECT_TRUE(idle.is_closed()) << "within the drain time";
}

TEST_F(Live, AConnectionServiceHasItsOwnChain) {
  model::Plan plan = two_services();
  plan.services[1].protocol = mesh::AppProtocol::kTcp;
  plan.services[1].routes.clear();
  plan.services[1].tcp_clusters = {"outbound|80||ratings"};
  plan.clusters["outbound|80||ratings"].protocol = mesh::AppProtocol::kTcp;
  apply(plan);
  const Answer raw = send({.to = "10.96.0.2:80", .headers = {"x-weft-dst: kept"}});
  EXPECT_THAT(raw.body, HasSubstr("x-weft-dst: kept")) << "bytes pass as they are";
  EXPECT_THAT(send({}).body, HasSubstr("v1\n"));
  Kept open({.to = "10.96.0.2:80"});
  ASSERT_THAT(open.get(), HasSubstr("200"));
  plan.draining = true;
  apply(plan);
  EXPECT_THAT(open.get(), HasSubstr("200")) << "bytes go on";
  EXPECT_TRUE(open.is_closed()) << "until the drain time is over";
  plan.draining = false;
  plan.services[1].authz.closed = true;
  apply(plan);
  EXPECT_EQ(send({.to = "10.96.0.2:80"}).status, 0);
  EXPECT_EQ(send({}).status, 200);
}

TEST_F(Live, AGatewayServesItsHosts) {
  model::Plan plan = two_services();
  const model::PlanRoute route = plan.services[0].routes[0];
  plan.kind = model::Plan::Kind::kGateway;
  plan.services.clear();
  plan.listeners = {{.name = "http", .port = 8081}};
  plan.listeners[0].chains = {
      {.http = {{.hosts = {"shop.example", "*.shop.example"}, .routes = {route}},
                {.hosts = {"secure.example"}, .https_redirect = true}}}};
  apply(plan);
  auto get = [](const std::string& host) {
    return parse(exchange(http({.host = host, .headers = {"x-weft-dst: evil"}}), 8081));
  };
  EXPECT_EQ(get("shop.example").status, 200);
  EXPECT_EQ(get("a.shop.example:8081").status, 200);
  EXPECT_EQ(get("other.example").status, 404);
  EXPECT_EQ(get("secure.example").status, 301);
}

TEST_F(Live, AHeadThatNeverEndsEndsTheConnection) {
  apply(two_services());
  const std::string half = "GET / HTTP/1.1\r\nhost: a.example\r\nx-more: ";
  EXPECT_EQ(parse(exchange(proxy_v2({}) + half)).status, 408);
}

TEST_F(Live, AccessLogsBecomeMetrics) {
  apply(two_services());
  for (int i = 0; i < 7; ++i) EXPECT_EQ(send({}).status, 200);
  double total = 0;
  for (int i = 0; i < 400 && total < 7; ++i) {
    std::this_thread::sleep_for(10ms);
    total = 0;
    for (const auto& family : collector_.collectable()->Collect()) {
      if (family.name != "istio_requests_total") continue;
      for (const auto& metric : family.metric) {
        for (const auto& label : metric.label) {
          if (label.name == "reporter" && label.value == "waypoint") total += metric.counter.value;
        }
      }
    }
  }
  EXPECT_EQ(total, 7);
}

}  // namespace
}  // namespace weft::controlplane::envoy
