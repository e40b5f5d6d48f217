// Connections that are broken off in every order: the end that does not read is told all the same,
// and the relays let go of everything.
#include <gtest/gtest.h>

#include <string>
#include <tuple>

#include "tests/sim/relay/relay_world.h"

namespace weft::proxy {
namespace {

constexpr auto kTold = 5s;  // from the reset to its being known at the other end

struct Order {
  bool client_first;   // who half-closes, or sends what nobody reads
  bool half_close;     // or sends
  bool client_resets;  // afterwards, without another word
};
std::string name_of(const Order& order) {
  return std::string(order.client_first ? "Client" : "Server") +
         (order.half_close ? "Fin" : "Data") + (order.client_resets ? "ClientRst" : "ServerRst");
}

class EndsOn : public ::testing::TestWithParam<std::tuple<Path, Order>> {};
INSTANTIATE_TEST_SUITE_P(
    Sim, EndsOn,
    ::testing::Combine(::testing::Values(Path::kTunnel, Path::kPlain),
                       ::testing::Values(Order{true, true, true}, Order{true, true, false},
                                         Order{false, true, true}, Order{false, true, false},
                                         Order{true, false, true}, Order{true, false, false},
                                         Order{false, false, true}, Order{false, false, false})),
    [](const auto& info) {
      return (std::get<Path>(info.param) == Path::kTunnel ? "Tunnel" : "Plain") +
             name_of(std::get<Order>(info.param));
    });

io::Spawned send_until_stuck(io::Scope&, RelayWorld& world, App& app) {
  const std::vector<std::byte> chunk(50'000);
  for (;;) {
    auto sent = co_await io::send_all(world.loop, app.socket.get(), chunk);
    if (!sent) co_return;
  }
}

io::Task<void> greet(RelayWorld& world, Connection& c) {
  const std::byte hello{1};
  std::byte got{0};
  auto sent =
      co_await io::send_all(world.loop, c.client.socket.get(), {&hello, 1}, world.loop.in(60s));
  EXPECT_TRUE(sent.has_value());
  auto arrived =
      co_await io::recv_some(world.loop, c.server.socket.get(), {&got, 1}, world.loop.in(60s));
  EXPECT_TRUE(arrived.has_value() && *arrived == 1);
}

io::Task<void> break_off(RelayWorld& world, Path path, Order order) {
  Connection& c = world.add();
  io::Scope relays, senders;
  start_relays(relays, world, path);
  co_await greet(world, c);
  App& first = order.client_first ? c.client : c.server;
  App& other = order.client_first ? c.server : c.client;
  if (order.half_close) {
    world.loop.shutdown_write(first.socket.get());
    std::byte byte{};
    auto end =
        co_await io::recv_some(world.loop, other.socket.get(), {&byte, 1}, world.loop.in(60s));
    EXPECT_TRUE(end.has_value() && *end == 0);
  } else {
    send_until_stuck(senders, world, first);
    co_await io::sleep_for(world.loop, 1min);
  }
  App& breaks = order.client_resets ? c.client : c.server;
  App& is_told = order.client_resets ? c.server : c.client;
  EXPECT_FALSE(world.loop.is_broken(is_told.socket.get())) << "before the reset";
  breaks.socket.reset();
  const auto deadline = world.loop.in(kTold);
  while (!deadline.passed(world.loop.now()) && c.relays_ended < 2)
    co_await io::sleep_for(world.loop, 100ms);
  EXPECT_EQ(c.relays_ended, 2);
  co_await io::sleep_for(world.loop, 1s);  // its way
  EXPECT_TRUE(world.loop.is_broken(is_told.socket.get()));
  EXPECT_NE(c.client_relay.end, RelayEnd::kClean);
  EXPECT_NE(c.server_relay.end, RelayEnd::kClean);
  is_told.socket.reset();
  co_await senders.join();
  co_await relays.join();
}

TEST_P(EndsOn, ThePeerIsToldOfAResetAndNothingIsKept) {
  const auto& [path, order] = GetParam();
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    RelayWorld world({.seed = seed, .socket_buffer = 64 * 1024});
    io::run_until_done(world.loop, break_off(world, path, order));
    ASSERT_EQ(world.loop.open_sockets(), 0u) << "seed " << seed;
    ASSERT_EQ(world.loop.buffers_lent(), 0u) << "seed " << seed;
    if (HasFailure()) FAIL() << "seed " << seed;
  }
}

// Bytes that a slow reader still takes come first, whatever became of their sender.
io::Task<void> drain_slowly(RelayWorld& world, Path path) {
  Connection& c = world.add();
  io::Scope relays;
  start_relays(relays, world, path);
  co_await greet(world, c);
  const std::vector<std::byte> bytes(100'000);
  auto sent = co_await io::send_all(world.loop, c.client.socket.get(), bytes, world.loop.in(60s));
  EXPECT_TRUE(sent.has_value());
  co_await io::sleep_for(world.loop, 900ms);
  c.client.socket.close();
  std::vector<std::byte> room(10'000);
  std::size_t got = 0;
  for (;;) {
    auto more = co_await io::recv_some(world.loop, c.server.socket.get(), room, world.loop.in(60s));
    EXPECT_TRUE(more.has_value());
    if (!more || *more == 0) break;
    got += *more;
    co_await io::sleep_for(world.loop, 700ms);
  }
  EXPECT_EQ(got, bytes.size());
  c.server.socket.close();
  co_await relays.join();
}
class SlowReader : public ::testing::TestWithParam<Path> {};
INSTANTIATE_TEST_SUITE_P(Sim, SlowReader, ::testing::Values(Path::kTunnel, Path::kPlain),
                         [](const auto& info) {
                           return info.param == Path::kTunnel ? "Tunnel" : "Plain";
                         });
TEST_P(SlowReader, GetsEverythingThatWasSentBeforeAnOrderlyEnd) {
  RelayWorld world({.socket_buffer = 64 * 1024});
  io::run_until_done(world.loop, drain_slowly(world, GetParam()));
}

}  // namespace
}  // namespace weft::proxy
