#include "ztunnel/ca/desk.h"

#include <gtest/gtest.h>

namespace weft::ca {
namespace {

using namespace std::chrono_literals;

mesh::Identity id(const std::string& account) { return {"td", "ns", account}; }

class DeskTest : public ::testing::Test {
 protected:
  Desk desk_{[this] { return chance_; }};
  double chance_ = 0;
  Desk::Time now_ = Desk::Time(1'000'000s);
};

TEST_F(DeskTest, AWaitingConnectionComesBeforeAWarmUpBeforeARefresh) {
  desk_.want(id("refresh"), Priority::kRefresh, now_);
  desk_.want(id("warm"), Priority::kWarmup, now_);
  desk_.want(id("waiting"), Priority::kConnection, now_);
  desk_.want(id("warm2"), Priority::kWarmup, now_);
  EXPECT_EQ(desk_.next(now_), id("waiting"));
  EXPECT_EQ(desk_.next(now_), id("warm"));
  EXPECT_EQ(desk_.next(now_), id("warm2"));
  EXPECT_EQ(desk_.next(now_), id("refresh"));
  EXPECT_EQ(desk_.next(now_), std::nullopt);
}

TEST_F(DeskTest, AConnectionMovesAQueuedWarmUpForward) {
  desk_.want(id("a"), Priority::kWarmup, now_);
  desk_.want(id("b"), Priority::kWarmup, now_);
  desk_.want(id("b"), Priority::kConnection, now_);
  EXPECT_EQ(desk_.next(now_), id("b"));
}

TEST_F(DeskTest, AtMostEightAreInFlight) {
  for (int i = 0; i < 20; ++i) desk_.want(id(std::to_string(i)), Priority::kWarmup, now_);
  std::vector<mesh::Identity> taken;
  for (auto next = desk_.next(now_); next; next = desk_.next(now_)) taken.push_back(*next);
  EXPECT_EQ(taken.size(), Desk::kInFlightMax);
  EXPECT_TRUE(desk_.succeeded(taken[0], now_ + 1h, now_));
  EXPECT_TRUE(desk_.next(now_));
  EXPECT_FALSE(desk_.next(now_));
}

TEST_F(DeskTest, RefreshesAtHalfOfWhatIsLeftOrALittleEarlier) {
  desk_.want(id("a"), Priority::kWarmup, now_);
  desk_.next(now_);
  desk_.succeeded(id("a"), now_ + 20s, now_);
  EXPECT_EQ(desk_.wake_at(), now_ + 9s);  // chance 0: the earliest
  chance_ = 1;
  desk_.want(id("b"), Priority::kWarmup, now_);
  desk_.next(now_);
  desk_.succeeded(id("b"), now_ + 20s, now_);
  desk_.drop(id("a"));
  EXPECT_EQ(desk_.wake_at(), now_ + 10s);
  EXPECT_FALSE(desk_.next(now_ + 9s));
  EXPECT_EQ(desk_.next(now_ + 10s), id("b"));
}

TEST_F(DeskTest, AKeptCertificateIsRefreshedAtTheHalfOfItsOwnLife) {
  desk_.adopt(id("a"), now_ - 4h, now_ + 20h, now_);
  EXPECT_EQ(desk_.wake_at(), now_ + 8h);
  desk_.adopt(id("b"), now_ - 20h, now_ + 4h, now_);
  EXPECT_EQ(desk_.next(now_), id("b"));
}

TEST_F(DeskTest, FailuresBackOffExponentiallyUpToAMaximum) {
  desk_.want(id("a"), Priority::kWarmup, now_);
  Desk::Time::duration last{};
  for (int i = 0; i < 12; ++i) {
    ASSERT_EQ(desk_.next(now_), id("a")) << i;
    desk_.failed(id("a"), now_);
    const auto wait = *desk_.wake_at() - now_;
    EXPECT_GE(wait, last);
    EXPECT_LE(wait, Desk::kRetryMax);
    last = wait;
    now_ += wait;
  }
  EXPECT_EQ(last, std::chrono::duration_cast<Desk::Time::duration>(Desk::kRetryMax * 0.8));
}

TEST_F(DeskTest, AWaitingConnectionShortensTheBackoffButNotBelowItsMinimum) {
  desk_.want(id("a"), Priority::kWarmup, now_);
  for (int i = 0; i < 8; ++i) {
    desk_.next(now_);
    desk_.failed(id("a"), now_);
    if (i < 7) now_ = *desk_.wake_at();
  }
  EXPECT_GT(*desk_.wake_at(), now_ + 10s);
  desk_.want(id("a"), Priority::kConnection, now_);
  EXPECT_EQ(desk_.wake_at(), now_ + Desk::kRetryMin);
  EXPECT_FALSE(desk_.next(now_));
  EXPECT_TRUE(desk_.next(now_ + Desk::kRetryMin));
}

TEST_F(DeskTest, AWarmUpDoesNotShortenTheBackoff) {
  desk_.want(id("a"), Priority::kWarmup, now_);
  desk_.next(now_);
  desk_.failed(id("a"), now_);
  const auto due = desk_.wake_at();
  desk_.want(id("a"), Priority::kWarmup, now_);
  EXPECT_EQ(desk_.wake_at(), due);
}

TEST_F(DeskTest, AnAnswerForADroppedIdentityIsForNobody) {
  desk_.want(id("a"), Priority::kWarmup, now_);
  desk_.next(now_);
  desk_.drop(id("a"));
  EXPECT_EQ(desk_.in_flight(), 0u);
  EXPECT_FALSE(desk_.succeeded(id("a"), now_ + 1h, now_));
  EXPECT_FALSE(desk_.failed(id("a"), now_));
}

TEST_F(DeskTest, RefreshAllAlsoAsksAgainForWhatIsInFlight) {
  desk_.want(id("flying"), Priority::kWarmup, now_);
  desk_.next(now_);
  desk_.want(id("planned"), Priority::kWarmup, now_);
  desk_.next(now_);
  desk_.succeeded(id("planned"), now_ + 24h, now_);
  desk_.refresh_all(now_, 1s);
  EXPECT_EQ(desk_.next(now_ + 1s), id("planned"));
  desk_.succeeded(id("flying"), now_ + 24h, now_);
  EXPECT_EQ(desk_.next(now_ + 1s), id("flying"));
}

}  // namespace
}  // namespace weft::ca
