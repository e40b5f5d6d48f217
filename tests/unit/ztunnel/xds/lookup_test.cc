#include "ztunnel/xds/lookup.h"

#include <gtest/gtest.h>

#include "ztunnel/io/run.h"
#include "ztunnel/io/sim_loop.h"

namespace weft::xds {
namespace {

using namespace std::chrono_literals;

class LookupTest : public ::testing::Test {
 protected:
  io::Spawned fetch_later(io::Scope&, std::string name, Clock::duration wait, std::vector<Result<void>>& out) {
    const auto got = co_await lookup_.fetch(loop_, std::move(name), loop_.in(wait));
    out.push_back(got);
  }
  io::Task<void> wait(io::Scope& scope) { co_await scope.join(); }

  io::SimLoop loop_;
  std::vector<std::string> asked_;
  OnDemand lookup_{[this](std::string name) { asked_.push_back(std::move(name)); }};
};

TEST_F(LookupTest, AsksOnceAndWakesAll) {
  io::Scope scope;
  std::vector<Result<void>> got;
  for (int i = 0; i < 3; ++i) fetch_later(scope, "n/1", 5s, got);
  EXPECT_EQ(asked_, std::vector<std::string>{"n/1"});
  EXPECT_TRUE(got.empty());
  lookup_.answered({"n/1"});
  io::run_until_done(loop_, wait(scope));
  ASSERT_EQ(got.size(), 3u);
  for (const auto& each : got) EXPECT_TRUE(each);
  fetch_later(scope, "n/1", 5s, got);
  EXPECT_EQ(got.size(), 4u) << "known now";
  EXPECT_EQ(asked_.size(), 1u);
}

TEST_F(LookupTest, AWaitIsBounded) {
  io::Scope scope;
  std::vector<Result<void>> got;
  fetch_later(scope, "n/1", 5s, got);
  io::run_until_done(loop_, wait(scope));
  ASSERT_FALSE(got.at(0));
  EXPECT_EQ(got[0].error().code, Code::kTimedOut);
}

}  // namespace
}  // namespace weft::xds
