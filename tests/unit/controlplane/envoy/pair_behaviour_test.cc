// A VirtualService and an HTTPRoute that say the same (tests/data/route_pairs) get the same answers
// from the real Envoy, and those are the ones that the pair is about. The Envoy forgets the first
// before it hears the second.
#include <gmock/gmock.h>

#include <functional>
#include <regex>

#include "route_pairs.h"
#include "routed.h"

namespace weft::controlplane {
namespace {

using envoy::Answer;
using envoy::Ask;
using testing::HasSubstr;
using testing::Not;

// What is the same in two answers to the same request.
std::string told_twice(const Answer& answer) {
  static const std::regex kOwn(
      "(date|x-envoy-upstream-service-time|x-request-id|traceparent|x-b3-[a-z]*): [^\r]*\r\n");
  return std::regex_replace(answer.head + "\r\n\r\n" + answer.body, kOwn, "");
}

struct Step {
  Ask ask;
  int status = 200;
  std::vector<std::string> has, lacks;
};

struct Case {
  const char* pair;
  std::vector<Step> steps;
};

const std::string kV1 = "x-upstream: v1", kV2 = "x-upstream: v2", kV3 = "x-upstream: v3";

std::vector<Case> cases() {
  const Ask jason{.headers = {"End-User: jason"}};
  const Ask origin{.headers = {"origin: https://a.example.com"}};
  const Ask preflight{
      .method = "OPTIONS",
      .headers = {"origin: https://a.example.com", "access-control-request-method: POST"}};
  return {
      {"header-exact",
       {{jason, 200, {kV2}, {}},
        {{}, 200, {kV1}, {}},
        {{.headers = {"end-user: Jason"}}, 200, {kV1}, {}}}},
      {"headers-and",
       {{{.headers = {"a: x", "b: z"}}, 200, {kV2}, {}}, {{.headers = {"a: x"}}, 200, {kV1}, {}}}},
      {"matches-or",
       {{{.headers = {"a: x"}}, 200, {kV2}, {}},
        {{.headers = {"b: z"}}, 200, {kV2}, {}},
        {{.headers = {"b: x"}}, 200, {kV1}, {}}}},
      {"path-exact",
       {{{.path = "/login"}, 200, {kV2}, {}},
        {{.path = "/login?x"}, 200, {kV2}, {}},
        {{.path = "/login/x"}, 200, {kV1}, {}}}},
      {"path-regex",
       {{{.path = "/reviews/12"}, 200, {kV2}, {}}, {{.path = "/reviews/12/x"}, 200, {kV1}, {}}}},
      {"query-exact",
       {{{.path = "/?debug=true"}, 200, {kV2}, {}},
        {{.path = "/?debug=truex"}, 200, {kV1}, {}},
        {{.path = "/"}, 200, {kV1}, {}}}},
      {"method", {{{.method = "POST"}, 200, {kV2}, {}}, {{}, 200, {kV1}, {}}}},
      {"conditional",
       {{{.path = "/a", .headers = {"end-user: naruto"}}, 200, {kV2}, {}},
        {{.path = "/b", .headers = {"end-user: naruto"}}, 200, {kV1}, {}},
        {{.path = "/b", .headers = {"end-user: sasuke"}}, 200, {kV3}, {}}}},
      {"no-match-is-404",
       {{{.path = "/only"}, 200, {kV1}, {}}, {{.path = "/other"}, 404, {}, {kV1}}}},
      {"rewrite-path",
       {{{.path = "/one?q"}, 200, {kV1, "GET /two?q HTTP/1.1"}, {}},
        {{.path = "/three"}, 404, {}, {kV1}}}},
      {"rewrite-host", {{{}, 200, {kV1, "host: inner.example.com\r\n"}, {"\nhost: reviews"}}}},
      {"redirect-host", {{{.path = "/a?b"}, 302, {"location: http://example.com:9080/a?b"}, {kV1}}}},
      {"redirect-path",
       {{{.path = "/old?b"}, 302, {"location: http://reviews:9080/new?b"}, {kV1}},
        {{.path = "/older"}, 404, {}, {kV1}}}},
      {"request-headers",
       {{{.headers = {"x-set: 0", "x-add: 1", "x-gone: 2", "x-kept: 3"}},
         200,
         {kV1, "x-set: a\r\n", "x-add: b\r\n", "x-kept: 3\r\n"},
         {"x-set: 0", "x-gone"}}}},
      {"response-headers", {{{}, 200, {kV1, "x-set: a", "x-b: b", "x-a: a"}, {"server: "}}}},
      {"cors",
       {{preflight,
         200,
         {"access-control-allow-origin: https://a.example.com",
          "access-control-allow-methods: GET,POST", "access-control-allow-headers: x-a",
          "access-control-max-age: 3600", "access-control-allow-credentials: true"},
         {kV1}},
        {origin,
         200,
         {kV1, "access-control-allow-origin: https://a.example.com",
          "access-control-expose-headers: x-b"},
         {}},
        {{}, 200, {kV1}, {"access-control-allow-origin"}}}},
  };
}

class EqualBehaviour : public Routed {
 protected:
  // Does `what` with the one half and then with the other, from nothing each time.
  void with_both(const std::string& name, const std::function<void(const std::string&)>& what) {
    const Pair both = pair(name);
    for (const auto& [half, yaml] :
         {std::pair{"VirtualService", both.istio}, std::pair{"HTTPRoute", both.gateway}}) {
      forget();
      EXPECT_EQ(who(), "403") << "nothing is left of what was said before";
      say(yaml);
      what(half);
    }
  }
};

TEST_F(EqualBehaviour, TheSameRequestsGetTheSameAnswers) {
  for (const Case& one : cases()) {
    std::map<std::string, std::vector<std::string>> seen;
    with_both(one.pair, [&](const std::string& half) {
      for (const Step& step : one.steps) {
        SCOPED_TRACE(std::string(one.pair) + ", " + half + ": " + step.ask.method + " " +
                     step.ask.path + " " + testing::PrintToString(step.ask.headers));
        const Answer answer = get(step.ask);
        const std::string text = told_twice(answer);
        EXPECT_EQ(answer.status, step.status);
        for (const auto& part : step.has) EXPECT_THAT(text, HasSubstr(part));
        for (const auto& part : step.lacks) EXPECT_THAT(text, Not(HasSubstr(part)));
        seen[half].push_back(text);
      }
    });
    EXPECT_EQ(seen["VirtualService"], seen["HTTPRoute"]) << one.pair;
  }
}

TEST_F(EqualBehaviour, WeightsAndCopies) {
  constexpr int kRequests = 600;
  with_both("split-half", [&](const std::string& half) {
    const auto got = shares(kRequests);
    EXPECT_EQ(got.size(), 2u) << half;
    EXPECT_NEAR(got.at("v1"), kRequests / 2, kRequests * 0.1) << half;
  });
  with_both("split-zero", [&](const std::string& half) {
    EXPECT_EQ(shares(100), (std::map<std::string, int>{{"v1", 100}})) << half;
  });
  with_both("mirror-half", [&](const std::string& half) {
    const int before = v2_.requests();
    EXPECT_EQ(shares(kRequests), (std::map<std::string, int>{{"v3", kRequests}})) << half;
    std::this_thread::sleep_for(100ms);
    EXPECT_NEAR(v2_.requests() - before, kRequests / 2, kRequests * 0.1) << half;
  });
}

TEST_F(EqualBehaviour, TimeAndTries) {
  v1_.delay_ms = 1500;
  with_both("timeout", [&](const std::string& half) {
    Answer answer;
    const auto time = took([&] { answer = get(); });
    EXPECT_EQ(answer.status, 504) << half;
    EXPECT_EQ(answer.body, "upstream request timeout") << half;
    EXPECT_GE(time, 480ms) << half;
    EXPECT_LT(time, 1400ms) << half;
  });
  v1_.delay_ms = 0;
  with_both("retry", [&](const std::string& half) {
    const int before = v1_.requests();
    v1_.failing = 3;
    EXPECT_EQ(who(), "v1") << half;
    EXPECT_EQ(v1_.requests() - before, 4) << half;
    v1_.status = 502;
    EXPECT_EQ(who(), "502") << half << ": not one of its codes";
    v1_.status = 200;
    EXPECT_EQ(v1_.requests() - before, 5) << half;
  });
}

}  // namespace
}  // namespace weft::controlplane
