// The suite on the simulated loop, and what only it can show: seeds, virtual time, deaths by chance.
#include "ztunnel/io/sim_loop.h"

#include "tests/unit/ztunnel/io/loop_suite.h"

namespace weft::io {
namespace {

struct SimNet {
  static constexpr std::size_t kBig = 256 * 1024;
  static constexpr int kBuffers = 16;

  bool ready() const { return true; }
  std::string why() const { return ""; }
  SimLoop& loop() { return loop_; }
  std::pair<Fd, Fd> pair() { return loop_.pair(); }
  Fd listen(SocketAddress& address) {
    address = *SocketAddress::parse("10.244.1.7:80");
    return loop_.listen(address);
  }
  Fd socket() { return loop_.socket(); }

  SimLoop loop_;
};
INSTANTIATE_TYPED_TEST_SUITE_P(Sim, LoopSuite, SimNet);

Task<void> idle_an_hour(SimLoop& loop, int fd) {
  const auto before = loop.now();
  auto got = co_await recv_buffer(loop, fd, loop.in(std::chrono::hours(1)));
  EXPECT_TRUE(!got && got.error().code == Code::kTimedOut);
  EXPECT_EQ(loop.now() - before, std::chrono::hours(1));
}
TEST(SimLoop, AnIdleHourCostsNoTime) {
  SimLoop loop;
  auto [a, b] = loop.pair();
  run_until_done(loop, idle_an_hour(loop, a.get()));
  loop.close(std::move(a));
  loop.close(std::move(b));
  EXPECT_EQ(loop.open_sockets(), 0u);
}

Task<void> connect_into_void(SimLoop& loop, SocketAddress address) {
  Socket socket(loop, loop.socket());
  auto connected = co_await connect(loop, socket.get(), address, loop.in(10s));
  EXPECT_TRUE(!connected && connected.error().code == Code::kTimedOut);
}
TEST(SimLoop, ABlackHoleIsLeftAtTheDeadline) {
  SimLoop loop;
  const auto address = *SocketAddress::parse("10.0.0.1:80");
  Fd listener = loop.listen(address);
  loop.drop_connects_to(address, true);
  run_until_done(loop, connect_into_void(loop, address));
  loop.close(std::move(listener));
  EXPECT_EQ(loop.open_sockets(), 0u);
}

Spawned send_until_error(Scope&, Loop& loop, int fd, std::size_t total, std::size_t& sent_bytes, bool& failed) {
  std::vector<std::byte> bytes(700);
  while (sent_bytes < total) {
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = pattern(sent_bytes + i);
    auto sent = co_await send_all(loop, fd, bytes, loop.in(60s));
    if (!sent) {
      failed = true;
      co_return;
    }
    sent_bytes += bytes.size();
  }
  loop.shutdown_write(fd);
}
struct Told {
  std::size_t bytes = 0;
  std::size_t chunks = 0;
  bool same = true;
  bool clean_end = false;
  bool operator==(const Told&) const = default;
};
Spawned receive_until_end(Scope&, Loop& loop, int fd, Told& told) {
  for (;;) {
    auto got = co_await recv_buffer(loop, fd, loop.in(60s));
    if (!got) co_return;
    if (got->empty()) {
      told.clean_end = true;
      co_return;
    }
    ++told.chunks;
    for (const std::byte byte : got->bytes()) told.same = told.same && byte == pattern(told.bytes++);
  }
}
constexpr std::size_t kTotal = 7000 * 5;
struct History {
  Told there, back;
  bool failed = false;
  Clock::duration took{};
  bool operator==(const History&) const = default;
};
Task<void> exchange(SimLoop& loop, int a, int b, History& history) {
  Scope scope;
  std::size_t sent_there = 0;
  std::size_t sent_back = 0;
  const auto before = loop.now();
  send_until_error(scope, loop, a, kTotal, sent_there, history.failed);
  send_until_error(scope, loop, b, kTotal, sent_back, history.failed);
  receive_until_end(scope, loop, b, history.there);
  receive_until_end(scope, loop, a, history.back);
  co_await scope.join();
  history.took = loop.now() - before;
}
History play(std::uint64_t seed) {
  SimLoop loop({.seed = seed, .reset = seed % 4 == 0 ? 0.005 : 0, .socket_buffer = 3000, .buffers = 4, .buffer_size = 1024});
  auto [a, b] = loop.pair();
  History history;
  run_until_done(loop, exchange(loop, a.get(), b.get(), history));
  loop.close(std::move(a));
  loop.close(std::move(b));
  EXPECT_EQ(loop.open_sockets(), 0u);
  EXPECT_EQ(loop.buffers_lent(), 0u);
  return history;
}
TEST(SimLoop, AThousandSeedsCarryEveryByteOrSayThatTheyDidNot) {
  int broken = 0;
  for (std::uint64_t seed = 1; seed <= 1000; ++seed) {
    const History history = play(seed);
    ASSERT_TRUE(history.there.same && history.back.same) << "seed " << seed;
    const bool whole = history.there.bytes == kTotal && history.back.bytes == kTotal;
    if (seed % 4 != 0) {
      ASSERT_TRUE(whole && history.there.clean_end && history.back.clean_end) << "seed " << seed;
    }
    ASSERT_TRUE(whole || history.failed) << "seed " << seed;
    broken += whole ? 0 : 1;
  }
  EXPECT_GT(broken, 50);  // the resets do happen
}
TEST(SimLoop, ASeedIsAHistory) {
  for (std::uint64_t seed : {3u, 4u, 8u}) EXPECT_EQ(play(seed), play(seed));
  EXPECT_NE(play(3), play(5));
}

}  // namespace
}  // namespace weft::io
