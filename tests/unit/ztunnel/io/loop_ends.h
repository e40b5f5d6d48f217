// Of the suite that every Loop passes (loop_suite.h). How connections end: half, whole, by reset,
// by being closed here.
#pragma once

#include "tests/unit/ztunnel/io/loop_fixture.h"

namespace weft::io {

inline Task<void> half_close(Loop& loop, int a, int b) {
  loop.shutdown_write(a);
  auto end = co_await read_all(loop, b);
  EXPECT_EQ(end.value_or("?"), "");
  auto sent = co_await send_all(loop, b, as_bytes("still open"), loop.in(5s));
  EXPECT_TRUE(sent.has_value());
  auto got = co_await read_exactly(loop, a, 10);
  EXPECT_EQ(got.value_or("?"), "still open");
}
TYPED_TEST_P(LoopSuite, AHalfClosedConnectionStillCarriesTheOtherDirection) {
  auto [a, b] = this->net_.pair();
  run_until_done(this->net_.loop(), half_close(this->net_.loop(), a.get(), b.get()));
  this->net_.loop().close(std::move(a));
  this->net_.loop().close(std::move(b));
}

inline Spawned send_pieces(Scope&, Loop& loop, int fd, std::span<const std::byte> bytes,
                           bool& sent) {
  auto first = co_await send_all(loop, fd, bytes.first(bytes.size() / 2));
  EXPECT_TRUE(first.has_value()) << (first ? "" : describe(first.error()));
  std::array<iovec, 2> pieces;
  const auto rest = bytes.subspan(bytes.size() / 2);
  pieces[0] = {const_cast<std::byte*>(rest.data()), 1000};
  pieces[1] = {const_cast<std::byte*>(rest.data()) + 1000, rest.size() - 1000};
  auto second = co_await send_gather(loop, fd, pieces);
  EXPECT_TRUE(second.has_value()) << (second ? "" : describe(second.error()));
  sent = first.has_value() && second.has_value();
}
inline Task<void> send_to_one_that_ended(Loop& loop, int a, int b, bool end_is_read) {
  loop.shutdown_write(b);
  co_await sleep_for(loop, 5ms);
  if (end_is_read) {
    auto end = co_await recv_buffer(loop, a, loop.in(5s));
    EXPECT_TRUE(end.has_value() && end->empty());
  }
  std::vector<std::byte> bytes(16 << 20);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * 7 / 3);
  Scope scope;
  bool sent = false;
  send_pieces(scope, loop, a, bytes, sent);
  std::vector<std::byte> room(1 << 16);
  std::size_t got = 0;
  bool same = true;
  co_await sleep_for(loop, 50ms);  // it has to wait
  while (got < bytes.size()) {
    auto more = co_await recv_some(loop, b, room, loop.in(5s));
    EXPECT_TRUE(more.has_value() && *more > 0);
    if (!more || *more == 0) break;
    same = same && std::memcmp(room.data(), bytes.data() + got, *more) == 0;
    got += *more;
    if (got % 32 == 0) co_await sleep_for(loop, 1ms);
  }
  co_await scope.join();
  EXPECT_TRUE(sent && same);
}
TYPED_TEST_P(LoopSuite, ASlowReaderThatHasEndedItsOwnDirectionGetsEverything) {
  for (const bool end_is_read : {true, false}) {
    auto [a, b] = this->net_.pair();
    run_until_done(this->net_.loop(),
                   send_to_one_that_ended(this->net_.loop(), a.get(), b.get(), end_is_read));
    this->net_.loop().close(std::move(a));
    this->net_.loop().close(std::move(b));
  }
}

inline Spawned wait_in_send(Scope&, Loop& loop, int fd, std::span<const std::byte> bytes,
                            Error& error) {
  auto sent = co_await send_all(loop, fd, bytes);
  EXPECT_FALSE(sent.has_value());
  if (!sent) error = sent.error();
}
inline Task<void> cancel_a_send_to_one_that_ended(Loop& loop, int a, int b) {
  loop.shutdown_write(b);
  co_await sleep_for(loop, 5ms);
  auto end = co_await recv_buffer(loop, a, loop.in(5s));
  EXPECT_TRUE(end.has_value() && end->empty());
  const std::vector<std::byte> bytes(32 << 20);
  Scope scope;
  Error error{Code::kSystem};
  wait_in_send(scope, loop, a, bytes, error);
  co_await sleep_for(loop, 20ms);
  loop.cancel(a);
  co_await scope.join();
  EXPECT_TRUE(is_cancelled(error)) << describe(error);
}
TYPED_TEST_P(LoopSuite, ASendThatWaitsForOneThatHasEndedIsCancelled) {
  auto [a, b] = this->net_.pair();
  run_until_done(this->net_.loop(),
                 cancel_a_send_to_one_that_ended(this->net_.loop(), a.get(), b.get()));
  this->net_.loop().close(std::move(a));
  this->net_.loop().close(std::move(b));
}

inline Task<void> expect_reset(Loop& loop, int fd, bool by_buffer) {
  Error error{Code::kSystem};
  if (by_buffer) {
    auto got = co_await recv_buffer(loop, fd, loop.in(5s));
    EXPECT_FALSE(got.has_value());
    if (!got) error = got.error();
  } else {
    std::byte byte;
    auto got = co_await recv_some(loop, fd, {&byte, 1}, loop.in(5s));
    EXPECT_FALSE(got.has_value());
    if (!got) error = got.error();
  }
  EXPECT_EQ(error.code, Code::kClosed);
  EXPECT_EQ(error.os, ECONNRESET);
}
TYPED_TEST_P(LoopSuite, AResetIsSeenAsEconnreset) {
  for (const bool by_buffer : {false, true}) {
    auto [a, b] = this->net_.pair();
    this->net_.loop().reset(std::move(a));
    run_until_done(this->net_.loop(), expect_reset(this->net_.loop(), b.get(), by_buffer));
    this->net_.loop().close(std::move(b));
  }
}

inline Task<void> look_at_a_reset(Loop& loop, Fd a, int b, bool half_closed) {
  EXPECT_FALSE(loop.is_broken(b));
  if (half_closed) loop.shutdown_write(a.get());
  co_await sleep_for(loop, 5ms);
  EXPECT_FALSE(loop.is_broken(b)) << "half closed is not broken";
  loop.reset(std::move(a));
  for (int i = 0; i < 100 && !loop.is_broken(b); ++i) co_await sleep_for(loop, 5ms);
  EXPECT_TRUE(loop.is_broken(b));
  if (half_closed) co_return;  // Linux tells the reader of the end alone
  EXPECT_TRUE(loop.is_broken(b)) << "looking took the error away";
  co_await expect_reset(loop, b, true);
}
TYPED_TEST_P(LoopSuite, IsBrokenTellsOfAResetThatNobodyReads) {
  for (const bool half_closed : {false, true}) {
    auto [a, b] = this->net_.pair();
    run_until_done(this->net_.loop(),
                   look_at_a_reset(this->net_.loop(), std::move(a), b.get(), half_closed));
    this->net_.loop().close(std::move(b));
  }
}

inline Spawned wait_for_reset(Scope&, Loop& loop, int fd) { co_await expect_reset(loop, fd, true); }
inline Spawned wait_for_cancel(Scope&, Loop& loop, int fd, int& cancelled) {
  auto got = co_await recv_buffer(loop, fd);
  EXPECT_FALSE(got.has_value());
  if (!got && is_cancelled(got.error())) ++cancelled;
}
inline Task<void> reset_with_both_waiting(Loop& loop, Fd a, int b) {
  Scope scope;
  int cancelled = 0;
  wait_for_cancel(scope, loop, a.get(), cancelled);
  wait_for_reset(scope, loop, b);
  co_await sleep_for(loop, 2ms);
  loop.reset(std::move(a));
  co_await scope.join();
  EXPECT_EQ(cancelled, 1);
}
TYPED_TEST_P(LoopSuite, AResetReachesThePeerThoughAReceiveWasPending) {
  auto [a, b] = this->net_.pair();
  run_until_done(this->net_.loop(),
                 reset_with_both_waiting(this->net_.loop(), std::move(a), b.get()));
  this->net_.loop().close(std::move(b));
}

inline Task<void> close_with_receive(Loop& loop, Fd a, int b) {
  Scope scope;
  int cancelled = 0;
  wait_for_cancel(scope, loop, a.get(), cancelled);
  co_await sleep_for(loop, 2ms);
  loop.close(std::move(a));
  co_await scope.join();
  EXPECT_EQ(cancelled, 1);
  auto end = co_await read_all(loop, b);
  EXPECT_EQ(end.value_or("?"), "");
}
TYPED_TEST_P(LoopSuite, CloseEndsAPendingReceiveAndSendsFin) {
  auto [a, b] = this->net_.pair();
  run_until_done(this->net_.loop(), close_with_receive(this->net_.loop(), std::move(a), b.get()));
  this->net_.loop().close(std::move(b));
}

inline Task<void> send_into_closed(Loop& loop, int fd) {
  std::vector<std::byte> bytes(64 * 1024);
  Result<void> sent;
  for (int i = 0; i < 1000 && sent; ++i) {
    sent = co_await send_all(loop, fd, bytes, loop.in(5s));
    co_await sleep_for(loop, 100us);
  }
  EXPECT_FALSE(sent.has_value());
  EXPECT_TRUE(!sent && sent.error().code == Code::kClosed);
}
TYPED_TEST_P(LoopSuite, SendingToAClosedPeerGivesClosedAndNoSignal) {
  auto [a, b] = this->net_.pair();
  this->net_.loop().close(std::move(b));
  run_until_done(this->net_.loop(), send_into_closed(this->net_.loop(), a.get()));
  this->net_.loop().close(std::move(a));
}

}  // namespace weft::io
