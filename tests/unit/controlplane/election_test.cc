#include "controlplane/leader/election.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>

namespace weft::controlplane::leader {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::seconds;

// The API server's part: one Lease with optimistic locking.
struct Server {
  std::optional<json> lease;
  int version = 0;

  std::pair<long, std::string> take(const LeaseCall& call) {
    if (call.kind == LeaseCall::Kind::kGet)
      return lease ? std::pair(200L, lease->dump()) : std::pair(404L, std::string("{}"));
    json body = json::parse(call.body);
    const json held = lease ? (*lease)["metadata"]["resourceVersion"] : json();
    if (call.kind == LeaseCall::Kind::kCreate ? lease.has_value()
                                              : body["metadata"]["resourceVersion"] != held)
      return {409, "{}"};
    body["metadata"]["resourceVersion"] = std::to_string(++version);
    lease = body;
    return {200, body.dump()};
  }
};

struct Replica {
  explicit Replica(const char* name) : election("weft-system", "weft", name) {}
  Election election;
  bool stopped = false;

  void turn(Server& server, Clock::time_point now) {
    if (stopped || now < election.due()) return;
    const auto [status, body] = server.take(election.next(now, WallClock::time_point{}));
    election.answer(status, body, now);
  }
  bool leads(Clock::time_point now) const { return now < election.leads_until(); }
};

constexpr milliseconds kStep{50};
const Clock::time_point kStart{seconds(1000)};

TEST(Election, OneLeadsAndKeepsIt) {
  Server server;
  Replica a("a"), b("b");
  for (auto now = kStart; now < kStart + seconds(60); now += kStep) {
    a.turn(server, now);
    b.turn(server, now);
    EXPECT_EQ(a.leads(now), now > kStart) << "it looks, then it makes the lease";
    EXPECT_FALSE(b.leads(now));
  }
  EXPECT_EQ((*server.lease)["spec"]["holderIdentity"], "a");
  EXPECT_EQ((*server.lease)["spec"]["leaseTransitions"], 0);
  EXPECT_EQ(b.election.holder(), "a");
}

TEST(Election, ADeadLeaderIsFollowedWithin17SecondsAndNeverOverlaps) {
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    Server server;
    Replica a("a"), b("b");
    const auto stop = kStart + milliseconds(3000 + random() % 5000);
    const auto resume = stop + milliseconds(random() % 40'000);
    std::optional<Clock::time_point> taken;
    for (auto now = kStart; now < kStart + seconds(60); now += kStep) {
      a.stopped = now >= stop && now < resume;
      a.turn(server, now);
      b.turn(server, now);
      // While it is stopped it writes nothing; when it goes on, its own clock tells it.
      EXPECT_FALSE(!a.stopped && a.leads(now) && b.leads(now)) << round;
      if (!taken && b.leads(now)) taken = now;
    }
    if (resume - stop < seconds(14)) EXPECT_FALSE(taken) << "it was not gone for long enough";
    if (resume - stop > seconds(17)) {
      ASSERT_TRUE(taken);
      EXPECT_LE(*taken - stop, seconds(17));
      EXPECT_EQ((*server.lease)["spec"]["leaseTransitions"], 1);
    }
  }
}

TEST(Election, WhoResignsIsFollowedWithinASecond) {
  Server server;
  Replica a("a"), b("b");
  auto now = kStart;
  for (; now < kStart + seconds(5); now += kStep) {
    a.turn(server, now);
    b.turn(server, now);
  }
  const auto call = a.election.resign(WallClock::time_point{});
  ASSERT_TRUE(call);
  EXPECT_EQ(server.take(*call).first, 200);
  EXPECT_FALSE(b.election.resign(WallClock::time_point{})) << "it is not b's";
  const auto end = now + seconds(1) + kStep;
  for (; now <= end; now += kStep) b.turn(server, now);
  EXPECT_TRUE(b.leads(now));
}

TEST(Election, WithoutAnAnswerALeaderStopsInTime) {
  Server server;
  Replica a("a");
  a.turn(server, kStart);  // there is none
  a.turn(server, kStart);  // make it
  ASSERT_TRUE(a.leads(kStart + seconds(9)));
  for (auto now = kStart + seconds(1); now < kStart + seconds(20); now += kStep) {
    if (now < a.election.due()) continue;
    (void)a.election.next(now, WallClock::time_point{});
    a.election.answer(0, "", now);
    EXPECT_EQ(a.leads(now), now < kStart + kRenewMost);
  }
  a.turn(server, kStart + seconds(30));
  a.turn(server, kStart + seconds(30));
  EXPECT_TRUE(a.leads(kStart + seconds(30))) << "nobody took it";
}

TEST(Election, WhatIsNoLeaseIsNoAnswer) {
  for (const char* body : {"", "{", "[]", "{}", R"({"metadata":1})", R"({"metadata":{}})",
                           R"({"metadata":{"resourceVersion":7},"spec":{"holderIdentity":"a"}})"}) {
    Election one("ns", "n", "a");
    (void)one.next(kStart, WallClock::time_point{});
    one.answer(200, body, kStart);
    EXPECT_EQ(one.next(kStart + seconds(1), WallClock::time_point{}).kind, LeaseCall::Kind::kGet)
        << body;
    EXPECT_LT(one.leads_until(), kStart);
  }
}

}  // namespace
}  // namespace weft::controlplane::leader
