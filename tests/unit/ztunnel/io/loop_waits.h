// Of the suite that every Loop passes (loop_suite.h). Deadlines, cancelling, sleeping, waiting to
// be readable.
#pragma once

#include "tests/unit/ztunnel/io/loop_fixture.h"

namespace weft::io {

inline Task<void> receive_expires(Loop& loop, int fd) {
  const auto before = loop.now();
  auto got = co_await recv_buffer(loop, fd, loop.in(20ms));
  EXPECT_FALSE(got.has_value());
  if (!got) {
    EXPECT_EQ(got.error().code, Code::kTimedOut);
    EXPECT_EQ(got.error().os, 0);
  }
  EXPECT_GE(loop.now() - before, 20ms);
  EXPECT_LT(loop.now() - before, 5s);
}
TYPED_TEST_P(LoopSuite, AReceiveGivesUpAtItsDeadline) {
  auto [a, b] = this->net_.pair();
  run_until_done(this->net_.loop(), receive_expires(this->net_.loop(), a.get()));
  EXPECT_EQ(this->net_.loop().pending(), 0u);
  this->net_.loop().close(std::move(a));
  this->net_.loop().close(std::move(b));
}

inline Task<void> send_expires(Loop& loop, int fd) {
  std::vector<std::byte> bytes(32 << 20);
  auto sent = co_await send_all(loop, fd, bytes, loop.in(30ms));
  EXPECT_FALSE(sent.has_value());
  EXPECT_TRUE(!sent && sent.error().code == Code::kTimedOut);
}
TYPED_TEST_P(LoopSuite, ASendThatNobodyReadsGivesUpAtItsDeadline) {
  auto [a, b] = this->net_.pair();
  run_until_done(this->net_.loop(), send_expires(this->net_.loop(), a.get()));
  this->net_.loop().close(std::move(a));
  this->net_.loop().close(std::move(b));
}

inline Task<void> cancel_before_submit(Loop& loop, int fd) {
  Scope scope;
  int cancelled = 0;
  wait_for_cancel(scope, loop, fd, cancelled);
  loop.cancel(fd);  // in the same turn: the operation is only queued
  co_await scope.join();
  wait_for_cancel(scope, loop, fd, cancelled);
  co_await sleep_for(loop, 2ms);
  loop.cancel(fd);  // in flight
  loop.cancel(fd);
  co_await scope.join();
  EXPECT_EQ(cancelled, 2);
  auto got = co_await recv_buffer(loop, fd, loop.in(5ms));
  EXPECT_TRUE(!got && got.error().code == Code::kTimedOut);  // the descriptor itself is fine
}
TYPED_TEST_P(LoopSuite, CancelEndsAnOperationThatIsQueuedOrInFlight) {
  auto [a, b] = this->net_.pair();
  run_until_done(this->net_.loop(), cancel_before_submit(this->net_.loop(), a.get()));
  this->net_.loop().close(std::move(a));
  this->net_.loop().close(std::move(b));
}

inline Task<void> sleep_in_order(Loop& loop, std::vector<int>& order) {
  Scope scope;
  struct Sleeper {
    static Spawned sleep(Scope&, Loop& loop, int ms, std::vector<int>& order) {
      co_await sleep_until(loop, loop.now() + std::chrono::milliseconds(ms));
      order.push_back(ms);
    }
  };
  for (const int ms : {30, 10, 20, 0, 5}) Sleeper::sleep(scope, loop, ms, order);
  co_await scope.join();
}
TYPED_TEST_P(LoopSuite, SleepersWakeInOrderOfTheirTime) {
  std::vector<int> order;
  run_until_done(this->net_.loop(), sleep_in_order(this->net_.loop(), order));
  EXPECT_EQ(order, (std::vector<int>{0, 5, 10, 20, 30}));
}

inline Task<void> poll_readable(Loop& loop, int a, int b) {
  auto nothing = co_await readable(loop, b, loop.in(10ms));
  EXPECT_TRUE(!nothing && nothing.error().code == Code::kTimedOut);
  auto sent = co_await send_all(loop, a, as_bytes("x"), loop.in(5s));
  EXPECT_TRUE(sent.has_value());
  auto ready = co_await readable(loop, b, loop.in(5s));
  EXPECT_TRUE(ready.has_value());
  auto got = co_await read_exactly(loop, b, 1);
  EXPECT_EQ(got.value_or("?"), "x");
}
TYPED_TEST_P(LoopSuite, ReadableWaitsForBytesAndTakesNone) {
  auto [a, b] = this->net_.pair();
  run_until_done(this->net_.loop(), poll_readable(this->net_.loop(), a.get(), b.get()));
  this->net_.loop().close(std::move(a));
  this->net_.loop().close(std::move(b));
}

}  // namespace weft::io
