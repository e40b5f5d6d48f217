// What an application sees when something on the way is missing: a reset in time, and a log line
// that says why.
#include <gtest/gtest.h>

#include "tests/sim/proxy/sim_apps.h"

namespace weft::proxy {
namespace {

struct Expected {
  Clock::duration within;
  const char* flags;
  const char* words;  // in node a's log line
};

io::Task<void> fails(SimMesh& mesh, Expected expected) {
  const auto before = mesh.loop.now();
  auto out = co_await talk(mesh, 100);
  EXPECT_TRUE(out.connected);
  EXPECT_FALSE(out.read.has_value()) << "a reset, not a clean end";
  if (!out.read) EXPECT_EQ(out.read.error().os, ECONNRESET);
  EXPECT_LE(mesh.loop.now() - before, expected.within);
  EXPECT_EQ(mesh.a.log.bad.size(), 1u);
  if (!mesh.a.log.bad.empty())
    EXPECT_NE(mesh.a.log.bad[0].find(expected.words), std::string::npos) << mesh.a.log.bad[0];
  EXPECT_EQ(mesh.a.sum(&TrafficSeries::failed, expected.flags), 1u);
  co_await mesh.stop();
}

TEST(FailureSim, NoApplicationListens) {
  SimMesh mesh({.seed = 21});
  io::run_until_done(mesh.loop, fails(mesh, {1s, "CONNECT", "could not reach the application"}));
  EXPECT_EQ(mesh.b.sum(&TrafficSeries::failed, "CONNECT"), 1u);
}

TEST(FailureSim, NoEndpointIsReady) {
  SimMesh mesh({.seed = 22});
  auto server = mesh::pod("server", SimMesh::kServerIp);
  server.services["default/web.default.svc.cluster.local"] = {{80, 8080}};
  server.healthy = false;
  mesh.world.add(server);
  mesh.publish();
  io::run_until_done(mesh.loop,
                     fails(mesh, {1s, "CONNECT", "no endpoint of that service is ready"}));
}

TEST(FailureSim, NobodyListensOnHbone) {
  SimMesh mesh({.seed = 23});
  mesh.b.proxy.remove_pod("uid-server");
  mesh.b.proxy.drain();
  io::run_until_done(mesh.loop, fails(mesh, {2s, "CONNECT", "nothing accepts HBONE"}));
}

TEST(FailureSim, HbonePacketsAreDropped) {
  SimMesh mesh({.seed = 24});
  mesh.loop.drop_connects_to(mesh.hbone, true);
  io::run_until_done(mesh.loop, fails(mesh, {6s, "NETWORK_POLICY", "NetworkPolicy"}));
}

TEST(FailureSim, TheAgentIsAwayAndTheSocketsAreUsedUp) {
  SimMesh mesh({.seed = 25});
  mesh.a.source.empty = true;
  io::run_until_done(mesh.loop, fails(mesh, {1s, "CONNECT", "is the agent running?"}));
}

TEST(FailureSim, ThePeerProvesAnotherIdentity) {
  SimMesh mesh({.seed = 26});
  auto server = mesh::pod("server", SimMesh::kServerIp);
  server.service_account = "somebody-else";
  server.services["default/web.default.svc.cluster.local"] = {{80, 8080}};
  server.node = "node2";
  mesh::Builder other = mesh.world;
  other.add(server);
  mesh.a.snapshot.set(mesh::Snapshot::build(other.world, 9, ""));
  io::run_until_done(mesh.loop, fails(mesh, {1s, "IDENTITY_ERROR", "another identity"}));
}

TEST(FailureSim, ThePodIsUnknownToTheControlPlane) {
  SimMesh mesh({.seed = 27});
  mesh.world.world.workloads.erase("Kubernetes//Pod/default/client");
  mesh.publish();
  io::run_until_done(mesh.loop, fails(mesh, {6s, "CONNECT", "control plane"}));
}

TEST(FailureSim, NobodyKnowsTheOriginalDestination) {
  SimMesh mesh({.seed = 28});
  mesh.a.sockets.original = {};
  io::run_until_done(mesh.loop, fails(mesh, {1s, "CONNECT", "15001"}));
}

io::Task<void> says_nothing(SimMesh& mesh) {
  Echo echo(mesh);
  std::vector<io::Socket> silent;
  for (int i = 0; i < 6; ++i) {
    silent.emplace_back(mesh.loop, mesh.loop.socket());
    auto connected =
        co_await io::connect(mesh.loop, silent.back().get(), mesh.hbone, mesh.loop.in(1s));
    EXPECT_TRUE(connected.has_value());
  }
  co_await io::sleep_for(mesh.loop, 100ms);
  EXPECT_EQ(mesh.b.log.bad.size(), 2u) << "the newest are refused at once";
  for (const auto& line : mesh.b.log.bad)
    EXPECT_NE(line.find("too many handshakes"), std::string::npos) << line;
  co_await io::sleep_for(mesh.loop, mesh.b.config.tls_timeout);
  EXPECT_EQ(mesh.b.log.bad.size(), 6u) << "and the silent ones are given up in time";
  auto out = co_await talk(mesh, 100);
  EXPECT_TRUE(out.read && *out.read == 100) << "then there is room again";
  silent.clear();
  co_await mesh.stop();
  co_await echo.stop();
}

TEST(FailureSim, SilentPeersOfOneAddressAreLimitedAndGivenUp) {
  SimMesh mesh({.seed = 30});
  mesh.b.config.handshakes_max = 4;
  io::run_until_done(mesh.loop, says_nothing(mesh));
}

io::Spawned listen_later(io::Scope&, SimMesh& mesh) {
  co_await io::sleep_for(mesh.loop, 200ms);
  mesh.listen_inbound();
}

io::Task<void> comes_up_late(SimMesh& mesh) {
  Echo echo(mesh);
  io::Scope scope;
  mesh.b.proxy.remove_pod("uid-server");
  mesh.b.proxy.drain();
  listen_later(scope, mesh);
  auto out = co_await talk(mesh, 100);
  co_await scope.join();
  EXPECT_TRUE(out.read && *out.read == 100)
      << (mesh.a.log.bad.empty() ? "" : mesh.a.log.bad.front());
  co_await mesh.stop();
  co_await echo.stop();
}

TEST(FailureSim, ARefusedTunnelIsTriedAgainWhileThePeersListenerComesUp) {
  SimMesh mesh({.seed = 29});
  io::run_until_done(mesh.loop, comes_up_late(mesh));
}

// One of two endpoints is dead: every connection arrives.
io::Task<void> another_endpoint(SimMesh& mesh) {
  auto dead = mesh::pod("dead", "10.244.2.99");
  dead.services["default/web.default.svc.cluster.local"] = {{80, 8080}};
  mesh.world.add(dead);
  mesh.publish();
  Echo echo(mesh);
  for (int i = 0; i < 12; ++i) {
    auto out = co_await talk(mesh, 100);
    EXPECT_TRUE(out.read && *out.read == 100) << i;
  }
  EXPECT_GT(mesh.a.shard().tunnels_failed.get(), 0u) << "the dead one must have been tried";
  co_await mesh.stop();
  co_await echo.stop();
}

TEST(FailureSim, AnotherEndpointIsTriedWhenOneCannotBeDialed) {
  SimMesh mesh({.seed = 30});
  io::run_until_done(mesh.loop, another_endpoint(mesh));
}

// The destination is nobody we know: plain TCP.
io::Task<void> outside(SimMesh& mesh) {
  Echo echo(mesh);
  mesh.world.world.workloads.erase("Kubernetes//Pod/default/server");
  mesh.publish();
  mesh.a.sockets.original = mesh.app_address;
  auto out = co_await talk(mesh, 4000);
  EXPECT_TRUE(out.read && *out.read == 4000);
  EXPECT_EQ(mesh.a.shard().tunnels_dialed.get(), 0u);
  EXPECT_EQ(mesh.a.log.good.size(), 1u);
  co_await mesh.stop();
  co_await echo.stop();
}

TEST(FailureSim, AnUnknownDestinationIsReachedPlain) {
  SimMesh mesh({.seed = 31});
  io::run_until_done(mesh.loop, outside(mesh));
}

// Stopping at any moment of many connections: everything ends, nothing is left.
io::Task<void> stop_any_time(SimMesh& mesh) {
  Echo echo(mesh);
  std::vector<Talk> outs(6);
  io::Scope scope;
  for (auto& out : outs) talk_child(scope, mesh, 50'000, out);
  co_await io::sleep_for(mesh.loop, std::chrono::microseconds(mesh.loop.random(60'000)));
  co_await mesh.a.proxy.stop(mesh.loop.in(0s));
  co_await mesh.b.proxy.stop(mesh.loop.in(0s));
  co_await echo.stop();
  co_await scope.join();
}

TEST(FailureSim, StoppingAtAnyMomentLeavesNothing) {
  for (std::uint64_t seed = 1; seed <= 1000; ++seed) {
    SCOPED_TRACE(seed);
    SimMesh mesh({.seed = seed});
    io::run_until_done(mesh.loop, stop_any_time(mesh));
    EXPECT_EQ(mesh.loop.open_sockets(), 0u);
    EXPECT_EQ(mesh.a.proxy.connections(), 0u);
    EXPECT_EQ(mesh.b.proxy.connections(), 0u);
    if (testing::Test::HasFailure()) break;
  }
}

}  // namespace
}  // namespace weft::proxy
