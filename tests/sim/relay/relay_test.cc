#include "ztunnel/proxy/relay.h"

#include <gtest/gtest.h>

#include "tests/sim/relay/relay_world.h"

namespace weft::proxy {
namespace {

class RelayOn : public ::testing::TestWithParam<Path> {};
INSTANTIATE_TEST_SUITE_P(Sim, RelayOn, ::testing::Values(Path::kTunnel, Path::kPlain),
                         [](const auto& info) { return info.param == Path::kTunnel ? "Tunnel" : "Plain"; });

io::Task<void> play_all(RelayWorld& world, Path path) {
  io::Scope apps, relays;
  for (Connection& connection : world.connections) start_apps(apps, world, connection);
  start_relays(relays, world, path);
  co_await apps.join();
  for (Connection& connection : world.connections) {
    connection.client.socket.close();
    connection.server.socket.close();
  }
  co_await relays.join();
}

void expect_judged(const Connection& c, std::uint64_t seed) {
  ASSERT_TRUE(c.client.same && c.server.same) << "seed " << seed;
  if (c.client.resets && !c.server.resets) {
    ASSERT_TRUE(c.server.told_of_reset) << "a reset came as FIN, seed " << seed;
  }
  if (c.server.resets && !c.client.resets) {
    ASSERT_TRUE(c.client.told_of_reset) << "a reset came as FIN, seed " << seed;
  }
  if (c.client.resets || c.server.resets) {
    ASSERT_NE(c.client_relay.end, RelayEnd::kClean) << "seed " << seed;
    return;
  }
  ASSERT_TRUE(c.client.clean_end && c.server.clean_end)
      << "seed " << seed << ": " << describe(c.client_relay.error) << ", " << describe(c.server_relay.error);
  ASSERT_EQ(c.server.received, c.client.total) << "seed " << seed;
  ASSERT_EQ(c.client.received, c.server.total) << "seed " << seed;
  ASSERT_EQ(c.client_relay.end, RelayEnd::kClean) << "seed " << seed;
  ASSERT_EQ(c.server_relay.end, RelayEnd::kClean) << "seed " << seed;
  ASSERT_EQ(c.client_to_server.total(), c.client.total) << "seed " << seed;
  ASSERT_EQ(c.server_to_client.total(), c.server.total) << "seed " << seed;
}

void configure(App& app, RelayWorld& world) {
  app.total = world.loop.random(3) == 0 ? world.loop.random(50) : world.loop.random(40'000);
  app.resets = world.loop.random(5) == 0;
  app.pause_max = world.loop.random(2) == 0 ? 0ms : 3ms;
}

TEST_P(RelayOn, AThousandSeedsKeepEveryByteAndTellResetsFromEnds) {
  for (std::uint64_t seed = 1; seed <= 1000; ++seed) {
    RelayWorld world({.seed = seed, .socket_buffer = 2000 + seed % 7 * 3000, .buffers = 4, .buffer_size = 4096});
    for (std::uint64_t i = 0; i < 1 + seed % 3; ++i) {
      Connection& connection = world.add();
      configure(connection.client, world);
      configure(connection.server, world);
    }
    io::run_until_done(world.loop, play_all(world, GetParam()));
    for (const Connection& connection : world.connections) {
      expect_judged(connection, seed);
      if (HasFatalFailure()) return;
    }
    ASSERT_EQ(world.loop.open_sockets(), 0u) << "seed " << seed;
    ASSERT_EQ(world.loop.buffers_lent(), 0u) << "seed " << seed;
  }
}

// --- one thing at a time ---

io::Task<void> exchange(RelayWorld& world, Connection& c, std::string_view text) {
  for (auto [from, to] : {std::pair(&c.client, &c.server), std::pair(&c.server, &c.client)}) {
    auto sent = co_await io::send_all(world.loop, from->socket.get(), hbone::bytes_of(text), world.loop.in(60s));
    EXPECT_TRUE(sent.has_value());
    std::string got(text.size(), '\0');
    std::size_t have = 0;
    while (have < got.size()) {
      auto more = co_await io::recv_some(world.loop, to->socket.get(), std::as_writable_bytes(std::span(got)).subspan(have), world.loop.in(60s));
      EXPECT_TRUE(more.has_value() && *more > 0);
      if (!more || *more == 0) co_return;
      have += *more;
    }
    EXPECT_EQ(got, text);
  }
}
io::Task<void> expect_end(RelayWorld& world, App& app, bool clean) {
  std::byte byte;
  auto got = co_await io::recv_some(world.loop, app.socket.get(), {&byte, 1}, world.loop.in(60s));
  if (clean) {
    EXPECT_TRUE(got.has_value() && *got == 0);
  } else {
    EXPECT_TRUE(!got && got.error().code == Code::kClosed && got.error().os == ECONNRESET);
  }
}
void close_apps(Connection& c) {
  c.client.socket.close();
  c.server.socket.close();
}

io::Task<void> idle_hours(RelayWorld& world, Path path) {
  Connection& c = world.add();
  io::Scope relays;
  start_relays(relays, world, path);
  co_await exchange(world, c, "before");
  co_await io::sleep_for(world.loop, 3h);
  EXPECT_EQ(world.loop.buffers_lent(), 0u);
  co_await exchange(world, c, "after");
  world.loop.shutdown_write(c.client.socket.get());
  co_await expect_end(world, c.server, true);
  world.loop.shutdown_write(c.server.socket.get());
  co_await expect_end(world, c.client, true);
  close_apps(c);
  co_await relays.join();
  EXPECT_EQ(c.client_relay.end, RelayEnd::kClean);
}
TEST_P(RelayOn, AConnectionThatIsIdleForHoursLives) {
  RelayWorld world({});
  io::run_until_done(world.loop, idle_hours(world, GetParam()));
}

io::Task<void> silent_half(RelayWorld& world, Path path) {
  Connection& c = world.add();
  io::Scope relays;
  start_relays(relays, world, path);
  co_await exchange(world, c, "x");
  world.loop.shutdown_write(c.client.socket.get());
  co_await expect_end(world, c.server, true);
  for (int i = 0; i < 4; ++i) {  // bytes keep it alive
    co_await io::sleep_for(world.loop, 50min);
    auto sent = co_await io::send_all(world.loop, c.server.socket.get(), hbone::bytes_of("y"), world.loop.in(60s));
    EXPECT_TRUE(sent.has_value());
  }
  co_await io::sleep_for(world.loop, 61min);
  auto sent = co_await io::send_all(world.loop, c.server.socket.get(), hbone::bytes_of("z"), world.loop.in(60s));
  EXPECT_TRUE(!sent && sent.error().os == EPIPE);
  close_apps(c);
  co_await relays.join();
  EXPECT_NE(c.client_relay.end, RelayEnd::kClean);
  EXPECT_NE(c.server_relay.end, RelayEnd::kClean);
}
TEST_P(RelayOn, AHalfClosedConnectionThatIsSilentForAnHourIsReset) {
  RelayWorld world({});
  io::run_until_done(world.loop, silent_half(world, GetParam()));
}

io::Task<void> stopped(RelayWorld& world, Path path) {
  Connection& c = world.add();
  io::Scope relays;
  start_relays(relays, world, path);
  co_await exchange(world, c, "allowed");
  const auto before = world.loop.now();
  c.stop.set();
  co_await expect_end(world, c.server, false);
  co_await expect_end(world, c.client, false);
  EXPECT_LT(world.loop.now() - before, 1s);
  close_apps(c);
  co_await relays.join();
  EXPECT_EQ(c.server_relay.end, RelayEnd::kStopped);
}
TEST_P(RelayOn, StopResetsBothApplicationsAtOnce) {
  RelayWorld world({});
  io::run_until_done(world.loop, stopped(world, GetParam()));
}

// The server does not read: the client's sends must stop after what the buffers on the way hold.
io::Spawned send_much(io::Scope&, RelayWorld& world, App& app, std::size_t& sent) {
  std::vector<std::byte> chunk(10'000);
  for (;;) {
    auto done = co_await io::send_all(world.loop, app.socket.get(), chunk, Deadline::never());
    if (!done) co_return;
    sent += chunk.size();
  }
}
io::Task<void> unread(RelayWorld& world, Path path) {
  Connection& c = world.add();
  io::Scope relays, apps;
  start_relays(relays, world, path);
  co_await exchange(world, c, "x");
  std::size_t sent = 0;
  send_much(apps, world, c.client, sent);
  co_await io::sleep_for(world.loop, 10min);
  const std::size_t stuck = sent;
  EXPECT_LT(stuck, 6u << 20);  // the stream's window and the sockets' buffers
  co_await io::sleep_for(world.loop, 10min);
  EXPECT_EQ(sent, stuck);
  c.server.socket.reset();
  co_await apps.join();
  c.client.socket.close();
  co_await relays.join();
}
TEST_P(RelayOn, AReaderThatStopsStopsTheWriterOnTheOtherSide) {
  RelayWorld world({.socket_buffer = 64 * 1024});
  io::run_until_done(world.loop, unread(world, GetParam()));
}

}  // namespace
}  // namespace weft::proxy
