// Many streams over one simulated connection: each seed is a history of short reads, short writes, delays and, in the second test,
// resets. A failing seed prints itself; SEEDS and SEED in the environment choose how many and which.
#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/unit/ztunnel/hbone/tunnel_world.h"
#include "ztunnel/io/sim_loop.h"

namespace weft::hbone {
namespace {

using namespace std::chrono_literals;

struct Flow {
  std::string sent, got;
  std::size_t written = 0;
  bool opened = false, whole = false;
};

io::SimLoop& sim(World& world) { return static_cast<io::SimLoop&>(world.loop); }

io::Spawned write_all(io::Scope&, World& world, Stream& stream, Flow& flow) {
  while (flow.written < flow.sent.size()) {
    const std::size_t count = std::min<std::size_t>(flow.sent.size() - flow.written, 1 + sim(world).random(70'000));
    auto sent = co_await stream.write(bytes_of(std::string_view(flow.sent).substr(flow.written, count)), Deadline::never());
    if (!sent) {
      stream.reset();
      co_return;
    }
    flow.written += count;
    if (sim(world).random(4) == 0) co_await io::sleep_for(world.loop, std::chrono::microseconds(sim(world).random(3000)));
  }
  stream.finish();
}

io::Spawned run_flow(io::Scope&, World& world, Flow& flow) {
  co_await io::sleep_for(world.loop, std::chrono::microseconds(sim(world).random(20'000)));
  auto stream = co_await world.client->open({.authority = "10.0.0.1:1"}, Deadline::never());
  if (!stream) co_return;
  flow.opened = true;
  io::Scope writing;
  write_all(writing, world, *stream, flow);
  for (;;) {
    auto got = co_await stream->read(Deadline::never());
    if (!got) break;
    if (got->empty()) {
      flow.whole = true;
      break;
    }
    append(flow.got, *got);
    if (sim(world).random(8) == 0) co_await io::sleep_for(world.loop, std::chrono::microseconds(sim(world).random(5000)));
  }
  co_await writing.join();
}

io::Task<> history(World& world, std::vector<Flow>& flows) {
  if (!co_await connect(world)) {
    co_await leave(world);
    co_return;
  }
  io::Scope running;
  for (Flow& flow : flows) run_flow(running, world, flow);
  co_await running.join();
  co_await leave(world);
}

std::vector<Flow> play_seed(std::uint64_t seed, double reset) {
  io::SimLoop loop({.seed = seed, .reset = reset});
  std::vector<Flow> flows;
  {
    auto [client_end, server_end] = loop.pair();
    World world(loop, std::move(client_end), std::move(server_end));
    flows.resize(1 + loop.random(12));
    for (Flow& flow : flows) {
      flow.sent.resize(loop.random(2) == 0 ? loop.random(200) : loop.random(150'000));
      std::uint32_t state = static_cast<std::uint32_t>(loop.random(1u << 30));
      for (char& c : flow.sent) c = static_cast<char>((state = state * 1664525 + 1013904223) >> 24);
    }
    io::run_until_done(loop, history(world, flows));
  }
  EXPECT_EQ(loop.open_sockets(), 0u);
  EXPECT_EQ(loop.pending(), 0u);
  return flows;
}

template <class Check>
void for_seeds(std::uint64_t count, Check check) {
  if (const char* many = std::getenv("SEEDS")) count = std::strtoull(many, nullptr, 10);
  std::uint64_t first = 1;
  if (const char* one = std::getenv("SEED")) first = std::strtoull(one, nullptr, 10), count = 1;
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    SCOPED_TRACE("SEED=" + std::to_string(seed));
    check(seed);
    if (testing::Test::HasFailure()) return;
  }
}

TEST(TunnelSim, EveryByteArrivesInOrderWhateverTheNetworkDoes) {
  for_seeds(300, [](std::uint64_t seed) {
    for (const Flow& flow : play_seed(seed, 0)) {
      EXPECT_TRUE(flow.opened);
      EXPECT_TRUE(flow.whole);
      EXPECT_TRUE(flow.got == flow.sent);
    }
  });
}

TEST(TunnelSim, AResetEndsEverythingAndFakesNothing) {
  for_seeds(700, [](std::uint64_t seed) {
    for (const Flow& flow : play_seed(seed, 0.02)) {
      EXPECT_EQ(flow.got, flow.sent.substr(0, flow.got.size())) << "a prefix";
      if (flow.whole) EXPECT_EQ(flow.got.size(), flow.sent.size()) << "an end of file that was not sent";
    }
  });
}

io::Task<> idle(World& world) {
  EXPECT_TRUE(co_await connect(world));
  {
    auto stream = co_await world.client->open({.authority = "10.0.0.1:1"}, world.soon());
    EXPECT_TRUE(stream.has_value());
    co_await io::sleep_for(world.loop, 1h);
    EXPECT_TRUE(world.client->alive());
    auto sent = co_await stream->write(bytes_of("still here"), world.soon());
    EXPECT_TRUE(sent.has_value());
    stream->finish();
    auto text = co_await read_all(*stream, world.soon());
    EXPECT_EQ(text.value_or(""), "still here");
  }
  co_await leave(world);
}

TEST(TunnelSim, AnIdleHourIsNothing) {
  io::SimLoop loop({.seed = 7});
  auto [client_end, server_end] = loop.pair();
  World world(loop, std::move(client_end), std::move(server_end));
  io::run_until_done(loop, idle(world));
}

// A man in the middle between client and server who stops passing bytes on.
io::Spawned pass(io::Scope&, World& world, int from, int to, const bool& open) {
  for (;;) {
    auto got = co_await io::recv_buffer(world.loop, from);
    if (!got || got->empty()) break;
    if (!open) continue;
    auto sent = co_await io::send_all(world.loop, to, got->bytes());
    if (!sent) break;
  }
}

io::Task<> dead_peer(World& world, Fd client_wire, Fd server_wire) {
  bool open = true;
  io::Scope middle;
  pass(middle, world, client_wire.get(), server_wire.get(), open);
  pass(middle, world, server_wire.get(), client_wire.get(), open);
  EXPECT_TRUE(co_await connect(world));
  {
    auto stream = co_await world.client->open({.authority = "10.0.0.1:1"}, world.soon());
    EXPECT_TRUE(stream.has_value());
    open = false;
    const Clock::time_point before = world.loop.now();
    auto got = co_await stream->read(Deadline::never());
    EXPECT_FALSE(got.has_value());
    EXPECT_LE(world.loop.now() - before, 31s);
    EXPECT_GE(world.loop.now() - before, 19s);
    EXPECT_EQ(world.client->end_reason(), "ping was not answered");
  }
  co_await world.scope.join();
  EXPECT_EQ(world.server->end_reason(), "ping was not answered");
  world.loop.close(std::move(client_wire));
  world.loop.close(std::move(server_wire));
  co_await middle.join();
  co_await leave(world);
}

TEST(TunnelSim, ASilentPeerIsDroppedWithinThirtySeconds) {
  io::SimLoop loop({.seed = 9});
  auto [client_end, client_wire] = loop.pair();
  auto [server_wire, server_end] = loop.pair();
  World world(loop, std::move(client_end), std::move(server_end));
  io::run_until_done(loop, dead_peer(world, std::move(client_wire), std::move(server_wire)));
}

}  // namespace
}  // namespace weft::hbone
