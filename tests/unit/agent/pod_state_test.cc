#include "agent/pod_state.h"

#include <gtest/gtest.h>

#include <set>

namespace weft::agent {
namespace {

using namespace std::chrono_literals;

TEST(Life, HasExactlyTheEdgesOfThePicture) {
  using enum State;
  const std::set<std::pair<State, State>> edges = {{kUnseen, kOffered},   {kOffered, kCaptured},  {kOffered, kUnseen},   {kUnseen, kDraining},
                                                   {kOffered, kDraining}, {kCaptured, kDraining}, {kDraining, kGone}};
  for (int from = 0; from < kStateCount; ++from) {
    for (int to = 0; to < kStateCount; ++to) {
      const auto edge = std::pair(static_cast<State>(from), static_cast<State>(to));
      EXPECT_EQ(is_edge(edge.first, edge.second), edges.contains(edge)) << to_string(edge.first) << " to " << to_string(edge.second);
    }
  }
}

TEST(Life, RemembersSinceWhen) {
  Life life(WallClock::time_point(1s));
  EXPECT_EQ(life.since(), WallClock::time_point(1s));
  life.change(State::kOffered, WallClock::time_point(5s));
  EXPECT_EQ(life.state(), State::kOffered);
  EXPECT_EQ(life.since(), WallClock::time_point(5s));
}

TEST(LifeDeathTest, StopsTheAgentOnAnEdgeThatIsNone) {
  Life life;
  EXPECT_DEATH(life.change(State::kGone, {}), "is_edge");
}

TEST(Backoff, DoublesFromOneSecondToSixty) {
  Backoff backoff;
  const Clock::time_point now(100s);
  for (const auto wait : {1s, 2s, 4s, 8s, 16s, 32s, 60s, 60s}) EXPECT_EQ(backoff.after_failure(now), now + wait);
  backoff.reset();
  EXPECT_EQ(backoff.after_failure(now), now + 1s);
}

TEST(Backoff, IsQuickWhileARuntimeIsStillAtWork) {
  Backoff backoff;
  const Clock::time_point now(100s);
  EXPECT_EQ(backoff.after_absence(now), now + 50ms);
  EXPECT_EQ(backoff.after_absence(now + 4s), now + 4s + 50ms);
  EXPECT_EQ(backoff.after_absence(now + 6s), now + 7s);
  EXPECT_EQ(backoff.after_absence(now + 7s), now + 9s);
}

}  // namespace
}  // namespace weft::agent
