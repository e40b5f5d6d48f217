// Policy through two nodes: denials at the door, and connections cut when the policy comes later.
#include <gtest/gtest.h>

#include "tests/sim/proxy/sim_apps.h"

namespace weft::proxy {
namespace {

constexpr const char* kClient = "cluster.local/ns/default/sa/client";

bool has(const std::vector<std::string>& lines, std::initializer_list<std::string_view> words) {
  return std::ranges::any_of(lines, [&](const std::string& line) {
    return std::ranges::all_of(
        words, [&](std::string_view word) { return line.find(word) != std::string::npos; });
  });
}

std::string all(const std::vector<std::string>& lines) {
  std::string text;
  for (const auto& line : lines) text += line + "\n";
  return text;
}

io::Task<void> denied_at_the_door(SimMesh& mesh) {
  Echo echo(mesh);
  mesh.deny(kClient);
  const auto before = mesh.loop.now();
  auto out = co_await talk(mesh, 100);
  EXPECT_TRUE(out.connected);
  EXPECT_FALSE(out.read && *out.read > 0) << "not one byte";
  EXPECT_LT(mesh.loop.now() - before, 2s);
  EXPECT_EQ(echo.accepted, 0) << "the application never saw it";
  co_await io::sleep_for(mesh.loop, 100ms);
  EXPECT_TRUE(has(mesh.b.log.bad, {"connection failed",
                                   "src.identity=\"spiffe://cluster.local/ns/default/sa/client\"",
                                   "dst.identity=\"spiffe://cluster.local/ns/default/sa/server\"",
                                   "policy=\"default/no\"", "DENY"}))
      << all(mesh.b.log.bad);
  EXPECT_TRUE(has(mesh.a.log.bad, {"connection failed", "DENY", "policy"})) << all(mesh.a.log.bad);
  EXPECT_EQ(mesh.b.sum(&TrafficSeries::failed, "DENY"), 1u);
  EXPECT_EQ(mesh.a.sum(&TrafficSeries::failed, "DENY"), 1u);
  EXPECT_EQ(mesh.b.sum(&TrafficSeries::opened), 0u);
  co_await mesh.stop();
  co_await echo.stop();
}

TEST(PolicySim, ADenialIsAResetAtTheClientAndOneLineNamingThePolicy) {
  SimMesh mesh({.seed = 11});
  io::run_until_done(mesh.loop, denied_at_the_door(mesh));
}

io::Spawned talk_forever(io::Scope&, SimMesh& mesh, bool& broken, std::size_t& echoed) {
  io::Socket socket(mesh.loop, mesh.loop.socket());
  auto connected = co_await io::connect(mesh.loop, socket.get(), mesh.outbound, mesh.loop.in(5s));
  EXPECT_TRUE(connected.has_value());
  std::vector<std::byte> bytes(2000);
  for (;;) {
    auto sent = co_await io::send_all(mesh.loop, socket.get(), bytes);
    if (!sent) break;
    auto got = co_await io::recv_some(mesh.loop, socket.get(), bytes);
    if (!got || *got == 0) break;
    echoed += *got;
  }
  broken = true;
}

io::Task<void> cut_mid_stream(SimMesh& mesh) {
  Echo echo(mesh);
  bool broken = false;
  std::size_t echoed = 0;
  io::Scope scope;
  talk_forever(scope, mesh, broken, echoed);
  co_await io::sleep_for(mesh.loop, 50ms + std::chrono::milliseconds(mesh.loop.random(50)));
  EXPECT_FALSE(broken);
  EXPECT_GT(echoed, 0u);
  // A policy that names somebody else changes nothing.
  mesh.deny("cluster.local/ns/default/sa/other");
  co_await io::sleep_for(mesh.loop, 20ms);
  EXPECT_FALSE(broken);
  mesh.deny(kClient);
  co_await io::sleep_for(mesh.loop, 1s);
  EXPECT_TRUE(broken) << "cut within a second";
  EXPECT_EQ(mesh.b.shard().policy_cuts.get(), 1u);
  EXPECT_TRUE(has(mesh.b.log.bad, {"connection complete", "policy=\"default/no\"", "DENY"}))
      << all(mesh.b.log.bad);
  EXPECT_EQ(mesh.b.sum(&TrafficSeries::opened), 1u);
  EXPECT_EQ(mesh.b.sum(&TrafficSeries::closed, "DENY"), 1u);
  co_await mesh.stop();
  co_await scope.join();
  co_await echo.stop();
}

TEST(PolicySim, ALiveConnectionIsCutWhenPolicyTurnsAgainstIt) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    SCOPED_TRACE(seed);
    SimMesh mesh({.seed = seed});
    io::run_until_done(mesh.loop, cut_mid_stream(mesh));
    EXPECT_EQ(mesh.loop.open_sockets(), 0u);
    if (HasFailure()) break;
  }
}

io::Task<void> cut_without_own_workload(SimMesh& mesh) {
  Echo echo(mesh);
  bool broken = false;
  std::size_t echoed = 0;
  io::Scope scope;
  talk_forever(scope, mesh, broken, echoed);
  co_await io::sleep_for(mesh.loop, 100ms);
  mesh.forget_server();
  co_await io::sleep_for(mesh.loop, 100ms);
  EXPECT_FALSE(broken) << "what was allowed goes on while its workload is missing";
  mesh.deny(kClient);
  co_await io::sleep_for(mesh.loop, 1s);
  EXPECT_TRUE(broken) << "and a denial reaches it all the same";
  EXPECT_EQ(mesh.b.shard().policy_cuts.get(), 1u);
  co_await mesh.stop();
  co_await scope.join();
  co_await echo.stop();
}

TEST(PolicySim, ALiveConnectionIsJudgedAlsoWhileItsOwnWorkloadIsMissing) {
  SimMesh mesh({.seed = 14});
  io::run_until_done(mesh.loop, cut_without_own_workload(mesh));
}

io::Task<void> flood(SimMesh& mesh, int connections) {
  Echo echo(mesh);
  mesh.deny(kClient);
  for (int i = 0; i < connections; ++i) co_await talk(mesh, 10);
  co_await io::sleep_for(mesh.loop, 100ms);
  co_await mesh.stop();
  co_await echo.stop();
}

TEST(PolicySim, RefusalsWithoutEndDoNotFillTheLogAndAreCounted) {
  SimMesh mesh({.seed = 15});
  const int connections = static_cast<int>(LineBudget::kAtOnce) + 300;
  io::run_until_done(mesh.loop, flood(mesh, connections));
  const auto written = mesh.b.log.bad.size();
  const auto suppressed = mesh.b.shard().lines_suppressed.get();
  EXPECT_EQ(mesh.b.sum(&TrafficSeries::failed, "DENY"), static_cast<std::uint64_t>(connections));
  EXPECT_GE(written, LineBudget::kAtOnce);
  EXPECT_LT(written, static_cast<std::size_t>(connections));
  EXPECT_EQ(written + suppressed, static_cast<std::size_t>(connections));
}

// Plaintext at the server's door: node a takes no part.
io::Task<Talk> talk_plain(SimMesh& mesh, std::size_t count) {
  mesh.b.sockets.here = mesh.app_address;
  mesh.b.sockets.there = at("10.244.9.9:1234");
  Talk out;
  io::Socket socket(mesh.loop, mesh.loop.socket());
  auto connected = co_await io::connect(mesh.loop, socket.get(), mesh.plain, mesh.loop.in(5s));
  out.connected = connected.has_value();
  io::Scope scope;
  send_child(scope, mesh, socket.get(), count);
  auto read = co_await read_pattern(mesh.loop, socket.get(), mesh.loop.in(2s));
  out.read = read;
  mesh.loop.cancel(socket.get());
  co_await scope.join();
  co_return out;
}

io::Task<void> plaintext(SimMesh& mesh, bool strict) {
  Echo echo(mesh);
  if (strict) {
    mesh::Match match;
    match.not_principals = {mesh::StringMatch::parse("*")};
    mesh.world.add(mesh::Policy{.name = "istio_converted_static_strict",
                                .ns = "weft-system",
                                .scope = mesh::PolicyScope::kGlobal,
                                .action = mesh::PolicyAction::kDeny,
                                .rules = {{{{{match}}}}}});
    mesh.publish();
  }
  auto out = co_await talk_plain(mesh, 3000);
  co_await io::sleep_for(mesh.loop, 100ms);
  if (strict) {
    EXPECT_FALSE(out.read.has_value()) << "reset, not a clean end";
    if (!out.read) EXPECT_EQ(out.read.error().code, Code::kClosed) << "reset, not a hang";
    EXPECT_EQ(echo.accepted, 0);
    EXPECT_TRUE(has(mesh.b.log.bad, {"policy=\"weft-system/istio_converted_static_strict\""}))
        << all(mesh.b.log.bad);
  } else {
    EXPECT_TRUE(out.read && *out.read == 3000);
    EXPECT_EQ(mesh.b.sockets.shown, at("10.244.9.9:1234"));
    std::size_t unknown = 0;
    mesh.b.shard().visit_traffic([&](auto values, const TrafficSeries&) {
      unknown += values[22] == "unknown" && values[5] == "unknown";
    });
    EXPECT_EQ(unknown, 1u) << "labelled as not mutual TLS";
  }
  co_await mesh.stop();
  co_await echo.stop();
}

TEST(PolicySim, StrictResetsPlaintext) {
  SimMesh mesh({.seed = 12});
  io::run_until_done(mesh.loop, plaintext(mesh, true));
}
TEST(PolicySim, PermissiveServesPlaintextAndLabelsItUnknown) {
  SimMesh mesh({.seed = 13});
  io::run_until_done(mesh.loop, plaintext(mesh, false));
}

}  // namespace
}  // namespace weft::proxy
