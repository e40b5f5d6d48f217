// Traces, asked of the real Envoy: which headers go on, which spans are sent.
#include <gmock/gmock.h>

#include <regex>

#include "live.h"
#include "plans.h"

namespace weft::controlplane::envoy {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr const char* kTrace = "463ac35c9f6413ad48485a3953bb6124";
constexpr const char* kSpan = "a2fb4a1d1a96d312";
constexpr std::uint16_t kCollector = 9411;

// The value of a header in a head (or in what the upstream says it got); "" when it is not there.
std::string header(const std::string& head, const std::string& name) {
  std::smatch found;
  const bool there = std::regex_search(head, found, std::regex("\n" + name + ": ([^\r\n]*)"));
  return there ? found[1].str() : "";
}

class Traced : public LiveEnvoy {
 protected:
  Settings settings() const override {
    return {.tracing = {.kind = kind_,
                        .host = name_,
                        .port = kCollector,
                        .sampling_percent = sampling_},
            .headers_timeout = 2s};
  }
  void serve(double sampling, mesh::Tracing::Kind kind = mesh::Tracing::Kind::kZipkin) {
    sampling_ = sampling;
    kind_ = kind;
    restart_feed();
    model::Plan plan = waypoint();
    add(plan, cluster("reviews", app_.port()));
    plan.services = {service("reviews", "10.96.0.1")};
    apply(plan);
  }
  // Until the collector has a request more than `before`.
  bool collected(int before) {
    const auto end = Clock::now() + 8s;  // Envoy sends five spans at once, or what it has after 5 s
    while (collector_.requests() <= before && Clock::now() < end) std::this_thread::sleep_for(20ms);
    return collector_.requests() > before;
  }

  std::string name_ = "127.0.0.1";
  double sampling_ = 0;
  mesh::Tracing::Kind kind_ = mesh::Tracing::Kind::kZipkin;
  Upstream app_{"app"}, collector_{"collector", "127.0.0.1:9411"};
};

TEST_F(Traced, AClientsTraceIsContinuedInBothForms) {
  serve(0);
  const std::string parent = "00-" + std::string(kTrace) + "-" + kSpan + "-01";
  const std::vector<std::vector<std::string>> clients = {
      {std::string("x-b3-traceid: ") + kTrace, std::string("x-b3-spanid: ") + kSpan,
       "x-b3-sampled: 1"},
      {std::string("b3: ") + kTrace + "-" + kSpan + "-1"},
      {"traceparent: " + parent, "tracestate: a=b"}};
  for (const auto& headers : clients) {
    const std::string got = send({.headers = headers}).body;
    SCOPED_TRACE(got);
    std::string span = header(got, "x-b3-spanid");
    if (headers[0].starts_with("b3: ")) {  // who speaks the single form is answered in it
      const std::string single = header(got, "b3");
      ASSERT_EQ(single.size(), 32u + 16 + 1 + 16 + 3);
      span = single.substr(33, 16);
      EXPECT_EQ(single, std::string(kTrace) + "-" + span + "-1-" + kSpan);
    } else {
      EXPECT_EQ(header(got, "x-b3-traceid"), kTrace);
      EXPECT_EQ(header(got, "x-b3-parentspanid"), kSpan);
      EXPECT_EQ(header(got, "x-b3-sampled"), "1");
    }
    EXPECT_EQ(span.size(), 16u);
    EXPECT_NE(span, kSpan);
    EXPECT_EQ(header(got, "traceparent"), "00-" + std::string(kTrace) + "-" + span + "-01");
  }
  EXPECT_EQ(header(send({.headers = clients[2]}).body, "tracestate"), "a=b");
}

TEST_F(Traced, SpansAreSentForWhatIsSampledAndForNothingElse) {
  serve(100);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(header(send({}).body, "x-b3-sampled"), "1");
  ASSERT_TRUE(collected(0));
  EXPECT_THAT(collector_.last_head(),
              AllOf(HasSubstr("POST /api/v2/spans"), HasSubstr("host: 127.0.0.1:9411")));
  serve(0);
  const int before = collector_.requests();
  for (int i = 0; i < 5; ++i) EXPECT_EQ(header(send({}).body, "x-b3-sampled"), "0");
  const std::string no = "00-" + std::string(kTrace) + "-" + kSpan + "-00";
  for (int i = 0; i < 5; ++i) {
    const std::string got = send({.headers = {"traceparent: " + no}}).body;
    EXPECT_EQ(header(got, "x-b3-traceid"), kTrace);
    EXPECT_EQ(header(got, "x-b3-sampled"), "0");
  }
  EXPECT_FALSE(collected(before));
}

TEST_F(Traced, WhatAClientSaysIsNeitherChangedNorBelieved) {
  serve(100);
  const std::string id = "4d6d9a5e-2f3c-4b1a-9d7e-0a1b2c3d4e5f";
  const Answer got =
      send({.headers = {"x-request-id: " + id, "x-envoy-decorator-operation: forged"}});
  EXPECT_EQ(header(got.body, "x-request-id"), id);
  EXPECT_THAT(got.head, Not(HasSubstr("x-envoy-decorator-operation")));
  EXPECT_THAT(got.body, Not(HasSubstr("forged")));
}

TEST_F(Traced, ACollectorThatIsNotThereCostsSpansAndNoAnswer) {
  model::Plan plan = waypoint();
  add(plan, cluster("reviews", app_.port()));
  plan.services = {service("reviews", "10.96.0.1")};
  sampling_ = 100;
  name_ = "nobody.nowhere.svc.cluster.local";
  restart_feed();
  const auto begun = Clock::now();
  apply(plan);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(send({}).status, 200);
  EXPECT_LT(Clock::now() - begun, 3s);
}

TEST_F(Traced, OpenTelemetryContinuesTraceparent) {
  serve(100, mesh::Tracing::Kind::kOtlp);
  const std::string parent = "00-" + std::string(kTrace) + "-" + kSpan + "-01";
  const std::string got = header(send({.headers = {"traceparent: " + parent}}).body, "traceparent");
  EXPECT_THAT(got, AllOf(HasSubstr(kTrace), Not(HasSubstr(kSpan))));
  EXPECT_EQ(header(send({}).body, "traceparent").size(), 55u);
}

TEST_F(Traced, AGatewayTracesAndCollectorsAreNot) {
  for (const auto kind : {mesh::Tracing::Kind::kZipkin, mesh::Tracing::Kind::kOtlp}) {
    sampling_ = 0;
    kind_ = kind;
    restart_feed();
    model::Plan plan = waypoint();
    plan.kind = model::Plan::Kind::kGateway;
    add(plan, cluster("reviews", app_.port()));
    model::PlanRoute route = service("reviews", "10.96.0.1").routes[0];
    plan.listeners = {{.name = "http", .port = 8081, .trace_sampling_percent = 100}};
    plan.listeners[0].chains = {{.http = {{.hosts = {"*"}, .routes = {route}}}}};
    apply(plan);
    const std::string got = parse(exchange(http({}), 8081)).body;
    EXPECT_THAT(header(got, "traceparent"), testing::EndsWith("-01")) << "as its Telemetry says";
  }
  kind_ = mesh::Tracing::Kind::kZipkin;
  sampling_ = 100;
  restart_feed();
  model::Plan plan = waypoint();
  add(plan, cluster("zipkin", app_.port()));
  plan.services = {service("zipkin", "127.0.0.1")};
  plan.services[0].addresses = {{*IpAddress::parse("127.0.0.1"), kCollector}};
  apply(plan);
  EXPECT_EQ(header(send({.to = "127.0.0.1:9411"}).body, "x-b3-sampled"), "0");
}

}  // namespace
}  // namespace weft::controlplane::envoy
