// Of the suite that every Loop passes (loop_suite.h). Bytes from one end to the other.
#pragma once

#include "tests/unit/ztunnel/io/loop_fixture.h"

namespace weft::io {

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

}  // namespace weft::io
