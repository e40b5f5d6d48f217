// Of the suite that every Loop passes (loop_suite.h). A thousand at once, and more readers than
// buffers.
#pragma once

#include "tests/unit/ztunnel/io/loop_fixture.h"

namespace weft::io {

inline Spawned echo(Scope&, Loop& loop, int fd) {
  for (;;) {
    auto got = co_await recv_buffer(loop, fd, loop.in(60s));
    if (!got || got->empty()) co_return;
    auto sent = co_await send_all(loop, fd, got->bytes(), loop.in(60s));
    if (!sent) co_return;
  }
}
inline Spawned ask(Scope&, Loop& loop, int fd, std::size_t number, int& right) {
  for (int round = 0; round < 3; ++round) {
    const std::string question =
        std::to_string(number * 10 + static_cast<std::size_t>(round)) + " bottles";
    auto sent = co_await send_all(loop, fd, as_bytes(question), loop.in(60s));
    if (!sent) co_return;
    auto answer = co_await read_exactly(loop, fd, question.size());
    if (!answer || *answer != question) co_return;
  }
  loop.shutdown_write(fd);
  ++right;
}
inline Task<void> many(Loop& loop, std::vector<std::pair<Fd, Fd>>& pairs, int& right) {
  Scope scope;
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    echo(scope, loop, pairs[i].second.get());
    ask(scope, loop, pairs[i].first.get(), i, right);
  }
  co_await scope.join();
}
TYPED_TEST_P(LoopSuite, AThousandConnectionsAtOnceGetTheirOwnAnswers) {
  std::vector<std::pair<Fd, Fd>> pairs;
  for (int i = 0; i < 1000; ++i) pairs.push_back(this->net_.pair());
  int right = 0;
  run_until_done(this->net_.loop(), many(this->net_.loop(), pairs, right));
  EXPECT_EQ(right, 1000);
  for (auto& [a, b] : pairs) {
    this->net_.loop().close(std::move(a));
    this->net_.loop().close(std::move(b));
  }
}

// More readers with bytes waiting than there are buffers (kBuffers, no heap behind them), and
// holders that sit on theirs.
inline Spawned hold_or_cancel(Scope&, Loop& loop, int fd, Event& release, int& held, int& cancelled,
                              bool* holds = nullptr, Share* share = nullptr) {
  auto got = co_await recv_buffer(loop, fd, loop.in(60s), Claim::kHeld, share);
  if (!got) {
    cancelled += is_cancelled(got.error()) ? 1 : 0;
    co_return;
  }
  ++held;
  if (holds != nullptr) *holds = true;
  auto released = co_await release.wait(loop.in(60s));
  EXPECT_TRUE(released.has_value());
}
inline Task<void> exhaust_buffers(Loop& loop, std::vector<std::pair<Fd, Fd>>& pairs, int buffers) {
  Scope scope;
  Event release(loop);
  int held = 0;
  int cancelled = 0;
  auto holds = std::make_unique<bool[]>(pairs.size());
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    auto sent = co_await send_all(loop, pairs[i].first.get(), as_bytes("x"), loop.in(5s));
    EXPECT_TRUE(sent.has_value());
    hold_or_cancel(scope, loop, pairs[i].second.get(), release, held, cancelled, &holds[i]);
  }
  co_await sleep_for(loop, 50ms);
  EXPECT_EQ(held, buffers);  // the others wait, nobody fails
  std::size_t waiting = 0;
  while (holds[waiting]) ++waiting;
  loop.cancel(pairs[waiting].second.get());
  co_await sleep_for(loop, 1ms);
  EXPECT_EQ(cancelled, 1);  // one that waits for a buffer can be ended
  release.set();
  co_await scope.join();
  EXPECT_EQ(held, static_cast<int>(pairs.size()) - 1);
}
TYPED_TEST_P(LoopSuite, WithoutBuffersReadersWaitAndAreServedLater) {
  std::vector<std::pair<Fd, Fd>> pairs;
  for (int i = 0; i < TypeParam::kBuffers * 4; ++i) pairs.push_back(this->net_.pair());
  run_until_done(this->net_.loop(), exhaust_buffers(this->net_.loop(), pairs, TypeParam::kBuffers));
  for (auto& [a, b] : pairs) {
    this->net_.loop().close(std::move(a));
    this->net_.loop().close(std::move(b));
  }
}

}  // namespace weft::io
