#include "ztunnel/io/task.h"

#include <gtest/gtest.h>

#include "ztunnel/io/make_loop.h"
#include "ztunnel/io/ops.h"
#include "ztunnel/io/run.h"
#include "ztunnel/io/scope.h"

namespace weft::io {
namespace {

using namespace std::chrono_literals;

Task<int> one() { co_return 1; }
Task<int> count_down(int depth) {
  if (depth == 0) co_return 0;
  const int below = co_await count_down(depth - 1);
  co_return below + 1;
}
Task<long> many_times(int times) {
  long sum = 0;
  for (int i = 0; i < times; ++i) {
    const int got = co_await one();
    sum += got;
  }
  co_return sum;
}
std::unique_ptr<Loop> any_loop() { return std::move(*make_epoll_loop()); }

TEST(Task, GivesItsValue) {
  auto loop = any_loop();
  EXPECT_EQ(run_until_done(*loop, count_down(100)), 100);
}

// Without symmetric transfer a million finished children would be a million frames of stack.
TEST(Task, AMillionChildrenInALoopDoNotGrowTheStack) {
  auto loop = any_loop();
  EXPECT_EQ(run_until_done(*loop, many_times(1'000'000)), 1'000'000);
}

TEST(Task, OneThatWasNeverAwaitedDiesQuietly) {
  auto unused = one();
  auto moved = std::move(unused);
}

Task<Result<int>> fails() { co_return fail(Code::kDenied, "test"); }
TEST(Task, CarriesErrorsAsValues) {
  auto loop = any_loop();
  auto result = run_until_done(*loop, fails());
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().code, Code::kDenied);
}

struct Counter {
  Spawned run(Scope&, Loop& loop, int times) {
    for (int i = 0; i < times; ++i) {
      co_await sleep_for(loop, 1us);
      ++count;
    }
  }
  int count = 0;
};
Task<void> join_children(Loop& loop, Counter& counter) {
  Scope scope;
  for (int i = 0; i < 10; ++i) counter.run(scope, loop, i);
  EXPECT_EQ(scope.live(), 9u);  // the one of 0 times has ended already
  co_await scope.join();
  EXPECT_EQ(scope.live(), 0u);
  co_await scope.join();  // nobody there: ready at once
}
TEST(Scope, JoinWaitsForEveryChild) {
  auto loop = any_loop();
  Counter counter;
  run_until_done(*loop, join_children(*loop, counter));
  EXPECT_EQ(counter.count, 45);
}

Task<void> sleep_a_bit(Loop& loop) { co_await sleep_for(loop, 1ms); }
Task<void> spawn_task(Loop& loop) {
  Scope scope;
  scope.spawn(sleep_a_bit(loop));
  EXPECT_EQ(scope.live(), 1u);
  co_await scope.join();
}
TEST(Scope, SpawnRunsATaskAsAChild) {
  auto loop = any_loop();
  run_until_done(*loop, spawn_task(*loop));
}

TEST(ScopeDeathTest, DyingWithAChildIsABug) {
  ::testing::GTEST_FLAG(death_test_style) = "threadsafe";
  auto loop = any_loop();
  EXPECT_DEATH(
      {
        Scope scope;
        scope.spawn(sleep_a_bit(*loop));
      },
      "live_ == 0");
}

}  // namespace
}  // namespace weft::io
