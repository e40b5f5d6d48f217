// The suite that every Loop passes. A Net gives a loop and sockets on it:
//   struct Net { bool ready(); std::string why(); Loop& loop(); std::pair<Fd, Fd> pair(); Fd
//   listen(SocketAddress&); Fd socket(); };
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "ztunnel/io/event.h"
#include "ztunnel/io/ops.h"
#include "ztunnel/io/run.h"
#include "ztunnel/io/scope.h"
#include "ztunnel/io/socket.h"

namespace weft::io {

using namespace std::chrono_literals;

inline std::span<const std::byte> as_bytes(std::string_view text) {
  return std::as_bytes(std::span(text));
}
inline std::string as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
// Byte `at` of a stream that repeats late and badly.
inline std::byte pattern(std::size_t at) {
  return static_cast<std::byte>((at * 2654435761u) >> 13);
}

// Everything until the end of the stream.
inline Task<Result<std::string>> read_all(Loop& loop, int fd) {
  std::string all;
  for (;;) {
    auto got = co_await recv_buffer(loop, fd, loop.in(60s));
    if (!got) co_return std::unexpected(got.error());
    if (got->empty()) co_return all;
    all += as_text(got->bytes());
  }
}
inline Task<Result<std::string>> read_exactly(Loop& loop, int fd, std::size_t count) {
  std::string all(count, '\0');
  std::size_t have = 0;
  while (have < count) {
    auto room = std::as_writable_bytes(std::span(all)).subspan(have);
    auto got = co_await recv_some(loop, fd, room, loop.in(60s));
    if (!got) co_return std::unexpected(got.error());
    if (*got == 0) co_return fail(Code::kClosed, "early end");
    have += *got;
  }
  co_return all;
}

template <class Net>
class LoopSuite : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!net_.ready()) GTEST_SKIP() << net_.why();
  }
  Net net_;
};
TYPED_TEST_SUITE_P(LoopSuite);

// --- transfer ---

inline Task<void> bytes_arrive(Loop& loop, int a, int b) {
  auto sent = co_await send_all(loop, a, as_bytes("hello"), loop.in(5s));
  EXPECT_TRUE(sent.has_value());
  auto got = co_await read_exactly(loop, b, 5);
  EXPECT_EQ(got.value_or("?"), "hello");
}
TYPED_TEST_P(LoopSuite, BytesArrive) {
  auto [a, b] = this->net_.pair();
  run_until_done(this->net_.loop(), bytes_arrive(this->net_.loop(), a.get(), b.get()));
  this->net_.loop().close(std::move(a));
  this->net_.loop().close(std::move(b));
}

inline Spawned send_pattern(Scope&, Loop& loop, int fd, std::size_t total, std::size_t chunk) {
  std::vector<std::byte> bytes(chunk);
  for (std::size_t at = 0; at < total; at += chunk) {
    for (std::size_t i = 0; i < chunk; ++i) bytes[i] = pattern(at + i);
    auto sent = co_await send_all(loop, fd, bytes, loop.in(60s));
    EXPECT_TRUE(sent.has_value());
  }
  loop.shutdown_write(fd);
}
inline Task<void> check_pattern(Loop& loop, int fd, std::size_t total) {
  std::size_t have = 0;
  bool same = true;
  for (;;) {
    auto got = co_await recv_buffer(loop, fd, loop.in(60s));
    EXPECT_TRUE(got.has_value());
    if (!got || got->empty()) break;
    for (const std::byte byte : got->bytes()) same = same && byte == pattern(have++);
  }
  EXPECT_EQ(have, total);
  EXPECT_TRUE(same);
}
inline Task<void> big_transfer(Loop& loop, int a, int b, std::size_t total) {
  Scope scope;
  send_pattern(scope, loop, a, total, total / 2);  // each send is far beyond the socket's buffer
  co_await check_pattern(loop, b, total);
  co_await scope.join();
}
TYPED_TEST_P(LoopSuite, ASendBeyondTheSocketBufferGoesOutWhole) {
  auto [a, b] = this->net_.pair();
  run_until_done(this->net_.loop(),
                 big_transfer(this->net_.loop(), a.get(), b.get(), TypeParam::kBig));
  this->net_.loop().close(std::move(a));
  this->net_.loop().close(std::move(b));
}

inline Spawned gather(Scope&, Loop& loop, int fd, std::string& one, std::string& two) {
  std::vector<iovec> pieces{{one.data(), one.size()}, {nullptr, 0}, {two.data(), two.size()}};
  auto sent = co_await send_gather(loop, fd, pieces, loop.in(60s));
  EXPECT_TRUE(sent.has_value());
  loop.shutdown_write(fd);
}
inline Task<void> gather_pieces(Loop& loop, int a, int b, std::size_t size) {
  std::string one(size, 'x'), two(size, 'y');
  Scope scope;
  gather(scope, loop, a, one, two);
  auto all = co_await read_all(loop, b);
  EXPECT_TRUE(all.has_value());
  EXPECT_TRUE(all && *all == one + two);
  co_await scope.join();
}
TYPED_TEST_P(LoopSuite, GatheredPiecesArriveInOrder) {
  auto [a, b] = this->net_.pair();
  run_until_done(this->net_.loop(),
                 gather_pieces(this->net_.loop(), a.get(), b.get(), TypeParam::kBig / 4));
  this->net_.loop().close(std::move(a));
  this->net_.loop().close(std::move(b));
}

inline Task<void> empty_send(Loop& loop, int fd) {
  auto sent = co_await send_all(loop, fd, {}, loop.in(5s));
  EXPECT_TRUE(sent.has_value());
}
TYPED_TEST_P(LoopSuite, AnEmptySendIsDoneAtOnce) {
  auto [a, b] = this->net_.pair();
  run_until_done(this->net_.loop(), empty_send(this->net_.loop(), a.get()));
  this->net_.loop().close(std::move(a));
  this->net_.loop().close(std::move(b));
}

// --- ends ---

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

// --- waiting ---

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

// --- listeners ---

inline Spawned serve_one(Scope&, Loop& loop, int listener, std::string& heard) {
  auto accepted = co_await accept(loop, listener, loop.in(5s));
  EXPECT_TRUE(accepted.has_value());
  if (!accepted) co_return;
  Socket socket(loop, std::move(*accepted));
  auto got = co_await read_exactly(loop, socket.get(), 4);
  heard = got.value_or("?");
  auto sent = co_await send_all(loop, socket.get(), as_bytes("pong"), loop.in(5s));
  EXPECT_TRUE(sent.has_value());
}
inline Task<void> call(Loop& loop, int listener, SocketAddress address, Fd fd) {
  Scope scope;
  std::string heard;
  serve_one(scope, loop, listener, heard);
  Socket socket(loop, std::move(fd));
  auto connected = co_await connect(loop, socket.get(), address, loop.in(5s));
  EXPECT_TRUE(connected.has_value());
  auto sent = co_await send_all(loop, socket.get(), as_bytes("ping"), loop.in(5s));
  EXPECT_TRUE(sent.has_value());
  auto got = co_await read_exactly(loop, socket.get(), 4);
  EXPECT_EQ(got.value_or("?"), "pong");
  co_await scope.join();
  EXPECT_EQ(heard, "ping");
}
TYPED_TEST_P(LoopSuite, ConnectReachesAccept) {
  SocketAddress address;
  Fd listener = this->net_.listen(address);
  run_until_done(this->net_.loop(),
                 call(this->net_.loop(), listener.get(), address, this->net_.socket()));
  this->net_.loop().close(std::move(listener));
}

inline Task<void> refused(Loop& loop, SocketAddress address, Fd fd) {
  Socket socket(loop, std::move(fd));
  auto connected = co_await connect(loop, socket.get(), address, loop.in(5s));
  EXPECT_FALSE(connected.has_value());
  if (!connected) {
    EXPECT_EQ(connected.error().code, Code::kUnreachable);
    EXPECT_EQ(connected.error().os, ECONNREFUSED);
  }
}
TYPED_TEST_P(LoopSuite, ARefusedConnectIsUnreachable) {
  SocketAddress address;
  Fd listener = this->net_.listen(address);
  this->net_.loop().close(std::move(listener));
  run_until_done(this->net_.loop(), refused(this->net_.loop(), address, this->net_.socket()));
}

inline Spawned accept_forever(Scope&, Loop& loop, int listener, Error& end) {
  for (;;) {
    auto accepted = co_await accept(loop, listener);
    if (!accepted) {
      end = accepted.error();
      co_return;
    }
    loop.close(std::move(*accepted));
  }
}
inline Task<void> close_listener(Loop& loop, Fd listener) {
  Scope scope;
  Error end{Code::kSystem};
  accept_forever(scope, loop, listener.get(), end);
  co_await sleep_for(loop, 2ms);
  loop.close(std::move(listener));
  co_await scope.join();
  EXPECT_TRUE(is_cancelled(end));
}
TYPED_TEST_P(LoopSuite, ClosingAListenerEndsItsAccept) {
  SocketAddress address;
  Fd listener = this->net_.listen(address);
  run_until_done(this->net_.loop(), close_listener(this->net_.loop(), std::move(listener)));
}

// --- events, posts ---

inline Spawned wait_event(Scope&, Event& event, int& woken, Deadline deadline) {
  auto done = co_await event.wait(deadline);
  if (done) ++woken;
}
inline Task<void> events(Loop& loop) {
  Event event(loop);
  Scope scope;
  int woken = 0;
  auto early = co_await event.wait(loop.in(5ms));
  EXPECT_TRUE(!early && early.error().code == Code::kTimedOut);
  for (int i = 0; i < 3; ++i) wait_event(scope, event, woken, Deadline::never());
  event.cancel_waits();
  co_await scope.join();
  EXPECT_EQ(woken, 0);
  for (int i = 0; i < 3; ++i) wait_event(scope, event, woken, loop.in(5s));
  event.set();
  EXPECT_EQ(woken, 0);  // nobody resumes inside set()
  co_await scope.join();
  EXPECT_EQ(woken, 3);
  auto sticky = co_await event.wait(loop.in(5s));
  EXPECT_TRUE(sticky.has_value());
}
TYPED_TEST_P(LoopSuite, AnEventWakesAllItsWaitersAndStaysSet) {
  run_until_done(this->net_.loop(), events(this->net_.loop()));
}

inline Task<void> hooked(Loop& loop, int fd) {
  struct Watch : Event::Hook {
    Watch(Loop& loop, int fd) : Hook(&run), loop_(loop), fd_(fd) {}
    static void run(Hook& hook) {
      auto& self = static_cast<Watch&>(hook);
      self.loop_.cancel(self.fd_);
    }
    Loop& loop_;
    int fd_;
  };
  Event stop(loop);
  Scope scope;
  int cancelled = 0;
  Watch watch(loop, fd);
  watch.join(stop);
  wait_for_cancel(scope, loop, fd, cancelled);
  co_await sleep_for(loop, 2ms);
  stop.set();
  co_await scope.join();
  EXPECT_EQ(cancelled, 1);
}
TYPED_TEST_P(LoopSuite, AHookCancelsAReceiveWhenTheEventIsSet) {
  auto [a, b] = this->net_.pair();
  run_until_done(this->net_.loop(), hooked(this->net_.loop(), a.get()));
  this->net_.loop().close(std::move(a));
  this->net_.loop().close(std::move(b));
}

TYPED_TEST_P(LoopSuite, PostedActsRunInOrder) {
  std::vector<int> order;
  for (int i = 0; i < 100; ++i) this->net_.loop().post([&order, i] { order.push_back(i); });
  this->net_.loop().post([this] { this->net_.loop().stop(); });
  this->net_.loop().run();
  ASSERT_EQ(order.size(), 100u);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(order[static_cast<std::size_t>(i)], i);
}

// --- many ---

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

REGISTER_TYPED_TEST_SUITE_P(
    LoopSuite, BytesArrive, ASendBeyondTheSocketBufferGoesOutWhole, GatheredPiecesArriveInOrder,
    AnEmptySendIsDoneAtOnce, AHalfClosedConnectionStillCarriesTheOtherDirection,
    ASlowReaderThatHasEndedItsOwnDirectionGetsEverything,
    ASendThatWaitsForOneThatHasEndedIsCancelled, AResetIsSeenAsEconnreset,
    IsBrokenTellsOfAResetThatNobodyReads, AResetReachesThePeerThoughAReceiveWasPending,
    CloseEndsAPendingReceiveAndSendsFin, SendingToAClosedPeerGivesClosedAndNoSignal,
    AReceiveGivesUpAtItsDeadline, ASendThatNobodyReadsGivesUpAtItsDeadline,
    CancelEndsAnOperationThatIsQueuedOrInFlight, SleepersWakeInOrderOfTheirTime,
    ReadableWaitsForBytesAndTakesNone, ConnectReachesAccept, ARefusedConnectIsUnreachable,
    ClosingAListenerEndsItsAccept, AnEventWakesAllItsWaitersAndStaysSet,
    AHookCancelsAReceiveWhenTheEventIsSet, PostedActsRunInOrder,
    AThousandConnectionsAtOnceGetTheirOwnAnswers, WithoutBuffersReadersWaitAndAreServedLater);

}  // namespace weft::io
