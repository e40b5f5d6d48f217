// Rows R of the seed table, by id, asked of the real Envoy. R1's "no limit unless one is set" takes
// longer than a unit test may: tests/netns/test_labs.py.
#include <gmock/gmock.h>
#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

#include "routed.h"

namespace weft::controlplane {
namespace {

using envoy::Answer;
using envoy::Ask;
using testing::HasSubstr;

// A VirtualService with one route to `subset` of reviews, and what else its rule says.
std::string virtual_service(const std::string& rule, const std::string& match = "",
                            const std::string& subset = "v1") {
  const std::string to = "route: [{destination: {host: reviews, subset: " + subset + "}}]";
  return "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: reviews, "
         "namespace: default}\nspec:\n  hosts: [reviews]\n  http:\n  - " +
         (match.empty() ? "" : "match: [" + match + "]\n    ") + to +
         (rule.empty() ? "" : "\n    " + rule) + (match.empty() ? "" : "\n  - " + to) + "\n";
}
std::string destination_rule(const std::string& policy = "{}") {
  return "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: reviews, "
         "namespace: default}\nspec:\n  host: reviews\n  trafficPolicy: " +
         policy +
         "\n  subsets: [{name: v1, labels: {version: v1}}, {name: all, labels: {app: reviews}}]\n";
}
std::string http_route(const std::string& rule) {
  return "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: reviews, "
         "namespace: default}\nspec:\n  parentRefs: [{group: \"\", kind: Service, name: "
         "reviews}]\n  rules:\n  - backendRefs: [{name: reviews-v1, port: 9080}]\n    " +
         rule + "\n";
}

class RowR : public Routed {
 protected:
  // `clients` at once, each with `n` requests on connections of their own; {answer → how often}.
  std::map<std::string, int> crowd(int clients, int n) {
    std::mutex mutex;
    std::map<std::string, int> out;
    std::vector<std::thread> threads;
    for (int i = 0; i < clients; ++i) {
      threads.emplace_back([&] {
        for (int left = n; left > 0; --left) {
          const Answer answer = get();
          std::lock_guard lock(mutex);
          ++out[answer.status == 200 ? "200" : std::to_string(answer.status) + " " + answer.body];
        }
      });
    }
    for (std::thread& one : threads) one.join();
    return out;
  }
  double counted(const std::string& flag) {
    double total = 0;
    for (const auto& family : collector_.collectable()->Collect()) {
      if (family.name != "istio_requests_total") continue;
      for (const auto& metric : family.metric) {
        bool flagged = false, here = false;
        for (const auto& label : metric.label) {
          flagged |= label.name == "response_flags" && label.value == flag;
          here |= label.name == "reporter" && label.value == "waypoint";
        }
        if (flagged && here) total += metric.counter.value;
      }
    }
    return total;
  }
  void expect_counted(const std::string& flag, int wanted) {
    for (int i = 0; i < 300 && counted(flag) < wanted; ++i) std::this_thread::sleep_for(10ms);
    EXPECT_EQ(counted(flag), wanted) << flag;
  }
};

TEST_F(RowR, R1_TheTimeoutIsOfAllTries) {
  v1_.delay_ms = 1500;
  auto limited = [&](const std::string& objects, std::chrono::milliseconds limit, int tries) {
    say(objects);
    const int before = v1_.requests();
    Answer answer;
    const auto time = took([&] { answer = get(); });
    EXPECT_EQ(answer.status, 504) << objects;
    EXPECT_EQ(answer.body, "upstream request timeout");
    EXPECT_GE(time, limit - 20ms) << objects;  // Envoy's timers may be some ms early
    EXPECT_LT(time, limit + 400ms) << objects;
    EXPECT_EQ(v1_.requests() - before, tries) << objects;
  };
  limited(destination_rule() + virtual_service("timeout: 0.5s"), 500ms, 1);
  limited(destination_rule() +
              virtual_service("timeout: 0.5s\n    retries: {attempts: 9, perTryTimeout: 200ms, "
                              "retryOn: '5xx', backoff: 1ms}"),
          500ms, 3);
  limited(http_route("timeouts: {request: 500ms}"), 500ms, 1);
  limited(http_route("timeouts: {request: 900ms, backendRequest: 300ms}"), 300ms, 1);
  v1_.delay_ms = 300;
  for (const std::string& objects :
       {destination_rule() + virtual_service("timeout: 0s"),
        destination_rule() + virtual_service(""), http_route("timeouts: {request: 0s}"),
        http_route("name: plain")}) {
    say(objects);
    EXPECT_EQ(who(), "v1") << objects;
  }
}

TEST_F(RowR, R2_TwoFailuresAndThenAnAnswerAreAnAnswer) {
  for (const std::string& objects :
       {destination_rule() + virtual_service("retries: {attempts: 2, retryOn: '5xx'}"),
        http_route("retry: {attempts: 2, codes: [503]}")}) {
    say(objects);
    v1_.failing = 2;
    const int before = v1_.requests();
    EXPECT_EQ(who(), "v1") << objects;
    EXPECT_EQ(v1_.requests() - before, 3) << objects;
    v1_.failing = 3;
    EXPECT_EQ(who(), "503") << objects;
    EXPECT_EQ(v1_.failing, 0);
  }
}

TEST_F(RowR, R2_UnlessSaidOtherwiseConnectionsThatFailAreTriedAgainAndAnswersAreNot) {
  const std::string dead = pod_at("default", "reviews-dead", 9, "{app: reviews, version: dead}");
  say(destination_rule() + dead + virtual_service("", "", "all"));
  EXPECT_EQ(shares(200).count("HTTP/1.1 503"), 0u) << "a fourth goes to a pod that does not listen";
  say(destination_rule() + dead + virtual_service("retries: {attempts: 0}", "", "all"));
  EXPECT_GT(shares(200)["HTTP/1.1 503"], 0);
  say(destination_rule() + virtual_service(""));
  v1_.failing = 1;
  const int before = v1_.requests();
  EXPECT_EQ(who(), "503") << "an application's 503 is its answer";
  EXPECT_EQ(v1_.requests() - before, 1);
}

TEST_F(RowR, R3_ABudgetLimitsTheShareOfRetries) {
  constexpr int kClients = 20, kEach = 25;
  const std::string retries = "retries: {attempts: 3, retryOn: '5xx', backoff: 1ms}";
  v1_.status = 503;
  v1_.delay_ms = 10;
  auto asked = [&](const std::string& policy) {
    say(destination_rule(policy) + virtual_service(retries));
    const int before = v1_.requests();
    crowd(kClients, kEach);
    return v1_.requests() - before;
  };
  const int first = kClients * kEach;
  EXPECT_EQ(asked("{}"), 4 * first) << "every one three times more";
  // Of 20 requests under way at most a fifth are retries: 4 for 16.
  const int limited = asked("{retryBudget: {percent: 20, minRetryConcurrency: 1}}");
  EXPECT_LE(limited, first * 5 / 4 + kClients);
  EXPECT_GT(limited, first * 21 / 20) << "a budget is no ban";
  EXPECT_EQ(asked("{retryBudget: {percent: 0, minRetryConcurrency: 0}}"), first);
}

TEST_F(RowR, R4_RetriesOfARequestKeepTheirDistanceAndNotAlwaysTheSame) {
  // Envoy waits a random part of base·(2ⁿ−1) before the n-th retry.
  auto gaps = [&](const std::string& backoff) {
    say(destination_rule() +
        virtual_service("retries: {attempts: 1, retryOn: '5xx'" + backoff + "}"));
    v1_.status = 503;
    std::vector<double> out;
    for (int i = 0; i < 30; ++i) {
      const auto before = v1_.arrivals().size();
      get();
      const auto arrivals = v1_.arrivals();
      EXPECT_EQ(arrivals.size(), before + 2);
      if (arrivals.size() == before + 2)
        out.push_back(
            std::chrono::duration<double, std::milli>(arrivals[before + 1] - arrivals[before])
                .count());
    }
    std::ranges::sort(out);
    return out;
  };
  const auto usual = gaps(""), wide = gaps(", backoff: 200ms");
  ASSERT_FALSE(HasFailure());
  EXPECT_LT(usual[15], 25 + 10) << "25 ms unless said otherwise";
  EXPECT_GT(wide[15], 40) << "the median of 0 to 200 is 100";
  EXPECT_LT(wide[15], 200);
  EXPECT_GT(wide.back() - wide.front(), 60) << "jitter";
}

TEST_F(RowR, R5_OneConnectionAndOneThatWaitsTheRestIsRefused) {
  say(destination_rule(
          "{connectionPool: {tcp: {maxConnections: 1}, http: {http1MaxPendingRequests: "
          "1, maxRequestsPerConnection: 1}}}") +
      virtual_service("retries: {attempts: 0}"));
  v1_.delay_ms = 50;
  EXPECT_EQ(crowd(1, 10), (std::map<std::string, int>{{"200", 10}}));
  const auto got = crowd(5, 12);
  const std::string refused =
      "503 upstream connect error or disconnect/reset before headers. reset reason: overflow";
  ASSERT_EQ(got.size(), 2u) << testing::PrintToString(got);
  EXPECT_GT(got.at("200"), 3);
  EXPECT_GT(got.at(refused), 3);
  EXPECT_EQ(v1_.peak(), 1) << "never more than one at the application";
  expect_counted("UO", got.at(refused));
}

TEST_F(RowR, R6_WhoFailsIsLeftOutAndTakenInAgain) {
  for (const auto& [spelling, errors] :
       {std::pair{"consecutive5xxErrors: 3", 3}, std::pair{"consecutiveErrors: 1", 1}}) {
    forget();
    say(destination_rule("{loadBalancer: {simple: ROUND_ROBIN}, outlierDetection: {" +
                         std::string(spelling) +
                         ", interval: 100ms, baseEjectionTime: 1500ms, maxEjectionPercent: 100}}") +
        virtual_service("retries: {attempts: 0}", "", "all"));
    v1_.status = 500;
    auto got = shares(30);
    EXPECT_EQ(got["v1"], errors) << spelling << ": then it is left out";
    EXPECT_EQ(shares(60).count("v1"), 0u) << spelling;
    v1_.status = 200;
    const auto end = Clock::now() + 8s;
    while (shares(6).count("v1") == 0 && Clock::now() < end) std::this_thread::sleep_for(20ms);
    EXPECT_EQ(shares(60)["v1"], 20) << spelling << ": after its time it is back";
  }
}

TEST_F(RowR, R7_ADelayForJasonAlone) {
  const std::string jason = "{headers: {end-user: {exact: jason}}}";
  const Ask his{.headers = {"end-user: jason"}};
  for (const char* percent : {"percent: 100", "percentage: {value: 100}"}) {
    say(destination_rule() +
        virtual_service("fault: {delay: {" + std::string(percent) + ", fixedDelay: 0.7s}}", jason));
    const auto time = took([&] { EXPECT_EQ(who(his), "v1"); });
    EXPECT_GE(time, 690ms) << percent;
    EXPECT_LT(time, 1200ms) << percent;
    EXPECT_LT(took([&] { EXPECT_EQ(who(), "v1"); }), 500ms) << percent;
  }
}

TEST_F(RowR, R8_AnAbortAsksNobody) {
  const std::string jason = "{headers: {end-user: {exact: jason}}}";
  for (const char* percent : {"percent: 100", "percentage: {value: 100}"}) {
    say(destination_rule() +
        virtual_service("fault: {abort: {" + std::string(percent) + ", httpStatus: 500}}", jason));
    const int before = v1_.requests();
    const Answer answer = get({.headers = {"end-user: jason"}});
    EXPECT_EQ(answer.status, 500);
    EXPECT_EQ(answer.body, "fault filter abort");
    EXPECT_EQ(v1_.requests(), before);
    EXPECT_EQ(who(), "v1");
  }
  expect_counted("FI", 2);
}

}  // namespace
}  // namespace weft::controlplane
