// The life of connections through two nodes, in many seeded histories.
#include <gtest/gtest.h>

#include "tests/sim/proxy/sim_apps.h"

namespace weft::proxy {
namespace {

constexpr std::uint64_t kSeeds = 1000;

io::Task<void> several_talks(SimMesh& mesh, int clients) {
  Echo echo(mesh);
  std::vector<Talk> outs(static_cast<std::size_t>(clients));
  std::vector<std::size_t> counts;
  std::size_t total = 0;
  io::Scope scope;
  for (auto& out : outs) {
    counts.push_back(mesh.loop.random(60'000));
    total += counts.back();
    talk_child(scope, mesh, counts.back(), out);
  }
  co_await scope.join();
  for (std::size_t i = 0; i < outs.size(); ++i) {
    EXPECT_TRUE(outs[i].read.has_value()) << describe(outs[i].read.error());
    if (outs[i].read) EXPECT_EQ(*outs[i].read, counts[i]);
  }
  co_await io::sleep_for(mesh.loop, 1s);
  EXPECT_EQ(mesh.a.log.good.size(), outs.size());
  EXPECT_EQ(mesh.b.log.good.size(), outs.size());
  for (auto* node : {&mesh.a, &mesh.b})
    EXPECT_EQ(node->log.bad.size(), 0u) << node->log.bad.front();
  for (auto* node : {&mesh.a, &mesh.b}) {
    EXPECT_EQ(node->sum(&TrafficSeries::opened), outs.size());
    EXPECT_EQ(node->sum(&TrafficSeries::closed), outs.size());
    EXPECT_EQ(node->sum(&TrafficSeries::received), total);
    EXPECT_EQ(node->sum(&TrafficSeries::sent), total);
    EXPECT_LE(node->proxy.connections(), node == &mesh.b ? mesh.a.shard().tunnels_dialed.get() : 0u)
        << "only tunnels live";
  }
  EXPECT_EQ(mesh.b.sockets.shown, at("10.244.1.2:40000")) << "the client's own port";
  co_await mesh.stop();
  co_await echo.stop();
}

TEST(ProxySim, BytesArriveWholeAndEveryConnectionIsRecordedTwice) {
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    SCOPED_TRACE(seed);
    SimMesh mesh({.seed = seed});
    io::run_until_done(mesh.loop, several_talks(mesh, 3));
    EXPECT_EQ(mesh.loop.open_sockets(), 0u);
    if (HasFailure()) break;
  }
}

// Resets by chance, anywhere: a connection either delivers everything or is seen broken; nothing
// hangs, nothing leaks.
io::Task<void> talks_under_resets(SimMesh& mesh, int clients, int& whole) {
  Echo echo(mesh);
  std::vector<Talk> outs(static_cast<std::size_t>(clients));
  std::vector<std::size_t> counts;
  io::Scope scope;
  for (auto& out : outs) {
    counts.push_back(1 + mesh.loop.random(40'000));
    talk_child(scope, mesh, counts.back(), out);
  }
  co_await scope.join();
  for (std::size_t i = 0; i < outs.size(); ++i) {
    if (!outs[i].read) {
      EXPECT_NE(outs[i].read.error().code, Code::kMalformed) << "a wrong byte";
    } else if (*outs[i].read == counts[i]) {
      ++whole;
    } else {
      // A clean end before the last byte would be a lie, unless it was the server's application
      // that saw the reset and closed.
      EXPECT_LT(*outs[i].read, counts[i]);
    }
  }
  co_await echo.stop();
  co_await mesh.stop();
  EXPECT_EQ(mesh.a.sum(&TrafficSeries::opened), mesh.a.sum(&TrafficSeries::closed));
  EXPECT_EQ(mesh.b.sum(&TrafficSeries::opened), mesh.b.sum(&TrafficSeries::closed));
}

TEST(ProxySim, ResetsAnywhereBreakConnectionsButNeverCorruptThem) {
  int whole = 0;
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    SCOPED_TRACE(seed);
    SimMesh mesh({.seed = seed, .reset = 0.01});
    io::run_until_done(mesh.loop, talks_under_resets(mesh, 4, whole));
    EXPECT_EQ(mesh.loop.open_sockets(), 0u);
    if (HasFailure()) break;
  }
  EXPECT_GT(whole, 100) << "the test must have let some through";
}

// 1 h without a byte: the connection lives, and so does the tunnel (PINGs are answered).
io::Task<void> idle_an_hour(SimMesh& mesh) {
  Echo echo(mesh);
  io::Socket socket(mesh.loop, mesh.loop.socket());
  auto connected = co_await io::connect(mesh.loop, socket.get(), mesh.outbound, mesh.loop.in(5s));
  EXPECT_TRUE(connected.has_value());
  std::array<std::byte, 1> byte{std::byte{42}};
  for (int round = 0; round < 2; ++round) {
    auto sent = co_await io::send_all(mesh.loop, socket.get(), byte);
    EXPECT_TRUE(sent.has_value());
    byte[0] = std::byte{0};
    auto got = co_await io::recv_some(mesh.loop, socket.get(), byte, mesh.loop.in(5s));
    EXPECT_TRUE(got && *got == 1) << "round " << round;
    EXPECT_EQ(byte[0], std::byte{42});
    co_await io::sleep_for(mesh.loop, 1h);
  }
  EXPECT_EQ(mesh.a.shard().tunnels_dialed.get(), 1u);
  socket.close();
  co_await mesh.stop();
  co_await echo.stop();
}

TEST(ProxySim, AConnectionIdleForAnHourLives) {
  SimMesh mesh({.seed = 5});
  io::run_until_done(mesh.loop, idle_an_hour(mesh));
}

io::Task<void> talk_wait_talk(SimMesh& mesh, Clock::duration between, std::uint64_t dials) {
  Echo echo(mesh);
  for (int round = 0; round < 2; ++round) {
    auto out = co_await talk(mesh, 1000);
    EXPECT_TRUE(out.read && *out.read == 1000);
    if (round == 0) co_await io::sleep_for(mesh.loop, between);
  }
  EXPECT_EQ(mesh.a.shard().tunnels_dialed.get(), dials);
  co_await mesh.stop();
  co_await echo.stop();
}

TEST(PoolSim, ATunnelIsUsedAgain) {
  SimMesh mesh({.seed = 6});
  io::run_until_done(mesh.loop, talk_wait_talk(mesh, 4min, 1));
}

TEST(PoolSim, AnUnusedTunnelIsReleasedAfterFiveMinutes) {
  SimMesh mesh({.seed = 7});
  io::run_until_done(mesh.loop, talk_wait_talk(mesh, 6min, 2));
}

// The peer drains (GOAWAY) and comes back, while a connection runs: it goes on, the next one gets a
// new tunnel.
io::Task<void> talk_over_goaway(SimMesh& mesh) {
  Echo echo(mesh);
  io::Socket socket(mesh.loop, mesh.loop.socket());
  auto connected = co_await io::connect(mesh.loop, socket.get(), mesh.outbound, mesh.loop.in(5s));
  EXPECT_TRUE(connected.has_value());
  std::array<std::byte, 1> byte{std::byte{1}};
  auto sent = co_await io::send_all(mesh.loop, socket.get(), byte);
  EXPECT_TRUE(sent.has_value());
  auto got = co_await io::recv_some(mesh.loop, socket.get(), byte, mesh.loop.in(5s));
  EXPECT_TRUE(got && *got == 1);

  mesh.b.proxy.remove_pod("uid-server");  // GOAWAY when `pod_drain` is over
  co_await io::sleep_for(mesh.loop, 6s);
  mesh.listen_inbound();
  auto second = co_await talk(mesh, 5000);
  EXPECT_TRUE(second.read && *second.read == 5000);
  EXPECT_EQ(mesh.a.shard().tunnels_dialed.get(), 2u);

  sent = co_await io::send_all(mesh.loop, socket.get(), byte);
  EXPECT_TRUE(sent.has_value());
  got = co_await io::recv_some(mesh.loop, socket.get(), byte, mesh.loop.in(5s));
  EXPECT_TRUE(got && *got == 1) << "a connection in flight outlives GOAWAY";
  socket.close();
  co_await mesh.stop();
  co_await echo.stop();
}

TEST(PoolSim, RedialsWhenThePeerDrainsAndKeepsWhatIsInFlight) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    SCOPED_TRACE(seed);
    SimMesh mesh({.seed = seed});
    io::run_until_done(mesh.loop, talk_over_goaway(mesh));
  }
}

// The server's pod leaves the mesh under a connection: one that runs on keeps it, a deleted one
// until the grace is over.
io::Task<void> leaves_under_a_connection(SimMesh& mesh, bool running) {
  Echo echo(mesh);
  io::Socket socket(mesh.loop, mesh.loop.socket());
  auto connected = co_await io::connect(mesh.loop, socket.get(), mesh.outbound, mesh.loop.in(5s));
  EXPECT_TRUE(connected.has_value());
  std::array<std::byte, 1> byte{std::byte{1}};
  auto sent = co_await io::send_all(mesh.loop, socket.get(), byte);
  auto got = co_await io::recv_some(mesh.loop, socket.get(), byte, mesh.loop.in(5s));
  EXPECT_TRUE(got && *got == 1);
  mesh.b.proxy.remove_pod("uid-server", running);
  for (const auto& [wait, alive] :
       {std::pair(Clock::duration(20s), true), std::pair(Clock::duration(1h), running)}) {
    co_await io::sleep_for(mesh.loop, wait);
    sent = co_await io::send_all(mesh.loop, socket.get(), byte);
    got = co_await io::recv_some(mesh.loop, socket.get(), byte, mesh.loop.in(5s));
    EXPECT_EQ(got && *got == 1, alive);
  }
  socket.close();
  co_await mesh.stop();
  co_await echo.stop();
}

TEST(ProxySim, APodThatLeavesTheMeshAndRunsOnKeepsItsConnections) {
  SimMesh mesh({.seed = 31});
  io::run_until_done(mesh.loop, leaves_under_a_connection(mesh, true));
}
TEST(ProxySim, ADeletedPodsConnectionsEndWithTheGrace) {
  SimMesh mesh({.seed = 32});
  io::run_until_done(mesh.loop, leaves_under_a_connection(mesh, false));
}

// A burst over one key: one dial serves many, and no tunnel carries more than its maximum.
TEST(PoolSim, ABurstSharesTunnels) {
  SimMesh mesh({.seed = 8, .buffers = 4096, .buffer_size = 4096});
  io::run_until_done(mesh.loop, several_talks(mesh, 150));
  EXPECT_LE(mesh.a.shard().tunnels_dialed.get(), 4u);
}

}  // namespace
}  // namespace weft::proxy
