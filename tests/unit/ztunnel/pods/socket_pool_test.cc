#include "ztunnel/pods/socket_pool.h"

#include <gtest/gtest.h>

#include "ztunnel/io/ops.h"
#include "ztunnel/io/run.h"
#include "ztunnel/io/scope.h"
#include "ztunnel/io/sim_loop.h"
#include "ztunnel/pods/zds.h"

namespace weft::pods {
namespace {

using namespace std::chrono_literals;

class SocketPoolTest : public ::testing::Test {
 protected:
  SocketPoolTest() : pool_(loop_, [this](SocketAsk ask) { asks_.push_back(std::move(ask)); }) {}

  void grant(const SocketAsk& ask, std::uint32_t count) {
    std::vector<Fd> sockets;
    for (std::uint32_t i = 0; i < count; ++i) sockets.push_back(loop_.socket());
    pool_.granted(ask, std::move(sockets));
  }
  // Grants all that was asked so far.
  std::uint32_t grant_all() {
    std::uint32_t sum = 0;
    for (auto& ask : std::exchange(asks_, {})) {
      sum += ask.count;
      grant(ask, ask.count);
    }
    return sum;
  }
  io::Spawned take_later(io::Scope&, std::string uid, Deadline deadline, std::vector<Result<Fd>>& out) {
    auto taken = co_await pool_.take(std::move(uid), false, false, deadline);
    out.push_back(std::move(taken));
  }
  io::Task<void> wait(io::Scope& scope) { co_await scope.join(); }
  io::Task<void> sleep(Clock::duration duration) { co_await io::sleep_for(loop_, duration); }

  io::SimLoop loop_;
  std::vector<SocketAsk> asks_;
  SocketPool pool_;
};

TEST_F(SocketPoolTest, TheFirstTakeWaitsForTheAgentAndTheNextDoesNot) {
  pool_.add_pod("u");
  io::Scope scope;
  std::vector<Result<Fd>> got;
  take_later(scope, "u", loop_.in(1s), got);
  ASSERT_EQ(asks_.size(), 1u);
  EXPECT_EQ(asks_[0].uid, "u");
  EXPECT_EQ(asks_[0].count, 1 + SocketPool::kTargetMin);
  grant_all();
  io::run_until_done(loop_, wait(scope));
  ASSERT_EQ(got.size(), 1u);
  EXPECT_TRUE(got[0]);
  EXPECT_EQ(pool_.pooled(), SocketPool::kTargetMin);
  take_later(scope, "u", loop_.in(1s), got);
  ASSERT_EQ(got.size(), 2u);  // at once
  EXPECT_TRUE(got[1]);
}

TEST_F(SocketPoolTest, APodThatNeverSpokeHasSocketsWhenTheAgentIsAway) {
  pool_.add_pod("u");
  pool_.stock_up("u", true, true);
  ASSERT_EQ(asks_.size(), 2u);
  EXPECT_NE(asks_[0].v6, asks_[1].v6);
  const SocketAsk last = asks_[0];
  grant_all();
  pool_.granted(last, fail(Code::kClosed, "the link is down"));
  for (const bool v6 : {false, true})
    EXPECT_TRUE(io::run_until_done(loop_, pool_.take("u", v6, false, loop_.in(1ms)))) << v6;
}

TEST_F(SocketPoolTest, KindsAreApart) {
  pool_.add_pod("u");
  const auto taken = io::run_until_done(loop_, pool_.take("u", true, true, loop_.in(1ms)));
  ASSERT_FALSE(taken);
  ASSERT_EQ(asks_.size(), 1u);
  EXPECT_TRUE(asks_[0].v6);
  EXPECT_TRUE(asks_[0].udp);
}

TEST_F(SocketPoolTest, ABusyKindIsRefilledBeforeItIsEmptyAndInBatches) {
  pool_.add_pod("u");
  io::Scope scope;
  std::vector<Result<Fd>> got;
  int waited = 0;
  for (int i = 0; i < 5000; ++i) {
    const auto before = got.size();
    take_later(scope, "u", loop_.in(1s), got);
    if (got.size() == before) ++waited;
    if (i % 20 == 0) grant_all();  // the agent answers a while later
  }
  grant_all();
  io::run_until_done(loop_, wait(scope));
  EXPECT_EQ(got.size(), 5000u);
  for (const auto& each : got) ASSERT_TRUE(each);
  EXPECT_LT(waited, 100);
  EXPECT_LE(pool_.pooled(), SocketPool::kTargetMax);
}

TEST_F(SocketPoolTest, AnAskIsNeverMoreThanAGrantMayBe) {
  pool_.add_pod("u");
  io::Scope scope;
  std::vector<Result<Fd>> got;
  for (int i = 0; i < 300; ++i) take_later(scope, "u", loop_.in(1s), got);
  for (const auto& ask : asks_) EXPECT_LE(ask.count, kGrantMax);
  while (!asks_.empty()) grant_all();
  io::run_until_done(loop_, wait(scope));
  EXPECT_EQ(got.size(), 300u);
}

TEST_F(SocketPoolTest, WithoutTheAgentWhatIsPooledIsUsedUpThenItIsExhausted) {
  pool_.add_pod("u");
  io::Scope scope;
  std::vector<Result<Fd>> got;
  take_later(scope, "u", loop_.in(1s), got);
  grant_all();
  io::run_until_done(loop_, wait(scope));
  for (std::uint32_t i = 0; i < SocketPool::kTargetMin; ++i) {
    take_later(scope, "u", loop_.in(1s), got);
    for (auto& ask : std::exchange(asks_, {})) pool_.granted(ask, fail(Code::kClosed, "away"));
  }
  EXPECT_EQ(got.size(), 1 + SocketPool::kTargetMin);
  take_later(scope, "u", loop_.in(1s), got);
  EXPECT_TRUE(asks_.empty());  // nobody to ask
  io::run_until_done(loop_, wait(scope));
  ASSERT_FALSE(got.back());
  EXPECT_EQ(got.back().error().code, Code::kExhausted);
}

TEST_F(SocketPoolTest, AWaitOutlivesARestartOfTheAgent) {
  pool_.add_pod("u");
  io::Scope scope;
  std::vector<Result<Fd>> got;
  take_later(scope, "u", loop_.in(5s), got);
  for (auto& ask : std::exchange(asks_, {})) pool_.granted(ask, fail(Code::kClosed, "away"));
  EXPECT_TRUE(got.empty());
  pool_.link_up();
  ASSERT_FALSE(asks_.empty());
  grant_all();
  io::run_until_done(loop_, wait(scope));
  EXPECT_TRUE(got.at(0));
}

TEST_F(SocketPoolTest, ALostAnswerIsAskedAgain) {
  pool_.add_pod("u");
  io::Scope scope;
  std::vector<Result<Fd>> got;
  take_later(scope, "u", loop_.in(6s), got);
  io::run_until_done(loop_, wait(scope));
  EXPECT_EQ(got.at(0).error().code, Code::kTimedOut);
  asks_.clear();
  take_later(scope, "u", loop_.in(1s), got);
  EXPECT_FALSE(asks_.empty());
  grant_all();
  io::run_until_done(loop_, wait(scope));
  EXPECT_TRUE(got.at(1));
}

TEST_F(SocketPoolTest, ARefusalFailsThoseWhoWait) {
  pool_.add_pod("u");
  io::Scope scope;
  std::vector<Result<Fd>> got;
  take_later(scope, "u", loop_.in(5s), got);
  pool_.granted(asks_.at(0), fail(Code::kSystem, "EMFILE"));
  io::run_until_done(loop_, wait(scope));
  EXPECT_EQ(got.at(0).error().code, Code::kSystem);
}

TEST_F(SocketPoolTest, APodThatLeftServesItsDrainAndIsThenForgotten) {
  pool_.add_pod("u");
  io::Scope scope;
  std::vector<Result<Fd>> got;
  take_later(scope, "u", loop_.in(1s), got);
  grant_all();
  io::run_until_done(loop_, wait(scope));
  pool_.remove_pod("u");
  take_later(scope, "u", loop_.in(1s), got);
  EXPECT_TRUE(got.at(1));
  pool_.trim(60s);
  EXPECT_GT(pool_.pooled(), 0u);
  io::run_until_done(loop_, sleep(SocketPool::kRetired));
  pool_.trim(60s);
  EXPECT_EQ(pool_.pooled(), 0u);
  take_later(scope, "u", loop_.in(1s), got);
  EXPECT_EQ(got.at(2).error().code, Code::kNotFound);
}

TEST_F(SocketPoolTest, SocketsOfAnEarlierNamespaceAreNotUsed) {
  pool_.add_pod("u");
  io::Scope scope;
  std::vector<Result<Fd>> got;
  take_later(scope, "u", loop_.in(1s), got);
  grant_all();
  io::run_until_done(loop_, wait(scope));
  EXPECT_GT(pool_.pooled(), 0u);
  pool_.add_pod("u");
  EXPECT_EQ(pool_.pooled(), 0u);
  EXPECT_FALSE(asks_.empty());  // and new ones are on their way
}

TEST_F(SocketPoolTest, AnIdleKindIsTrimmed) {
  pool_.add_pod("u");
  io::Scope scope;
  std::vector<Result<Fd>> got;
  for (int i = 0; i < 400; ++i) {
    take_later(scope, "u", loop_.in(1s), got);
    grant_all();
  }
  io::run_until_done(loop_, wait(scope));
  EXPECT_GT(pool_.pooled(), SocketPool::kTargetMin);
  io::run_until_done(loop_, sleep(61s));
  pool_.trim(60s);
  EXPECT_EQ(pool_.pooled(), SocketPool::kTargetMin);
}

}  // namespace
}  // namespace weft::pods
