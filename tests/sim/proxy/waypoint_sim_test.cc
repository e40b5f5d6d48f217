// A sandwiched waypoint on node b: ztunnel terminates the tunnel and hands its proxy a connection
// with a PROXY header. The proxy is played; whom it is told, what it never gets to see, and how
// connections end are what is tested.
#include <gtest/gtest.h>

#include "tests/sim/proxy/sim_apps.h"
#include "ztunnel/proxy/proxy_protocol.h"

namespace weft::proxy {
namespace {

constexpr const char* kClient = "cluster.local/ns/default/sa/client";
constexpr const char* kWeb = "default/web.default.svc.cluster.local";

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

// The pod "server" is the waypoint; "backend" is an endpoint of the service behind it.
struct WaypointMesh : SimMesh {
  const SocketAddress proxy_port = at("127.0.0.1:15089");

  explicit WaypointMesh(std::uint64_t seed, mesh::AppProtocol protocol = mesh::AppProtocol::kHttp11)
      : SimMesh({.seed = seed}) {
    web = mesh::service("web", "10.96.0.50", {{80, 8080, protocol}});
    web.waypoint =
        mesh::GatewayAddress{mesh::NetworkAddress{"", mesh::ip(kServerIp), std::nullopt}};
    waypoint = mesh::pod("server", kServerIp);
    waypoint.node = "node2";
    waypoint.application_tunnel = mesh::ApplicationTunnel{.proxy_protocol = true, .port = 15089};
    backend = mesh::pod("backend", "10.244.2.4", mesh::TunnelProtocol::kNone);
    backend.node = "node2";
    backend.services[kWeb] = {{80, 8080}};
    world.add(web).add(waypoint).add(backend);
    publish();
  }
  // A DENY of the client for one pod alone.
  void deny_at(mesh::Workload& pod) {
    mesh::Match match;
    match.principals = {mesh::StringMatch::parse(kClient)};
    world.add(mesh::Policy{.name = "no-client",
                           .ns = "default",
                           .scope = mesh::PolicyScope::kWorkloadSelector,
                           .action = mesh::PolicyAction::kDeny,
                           .rules = {{{{{match}}}}}});
    pod.authorization_policies = {"default/no-client"};
    world.add(pod);
    publish();
  }
  std::shared_ptr<const mesh::Snapshot> without_waypoint() {
    auto other = world;
    auto direct = web;
    direct.waypoint.reset();
    other.add(direct);
    return mesh::Snapshot::build(other.world, ++generation, "");
  }

  mesh::Service web;
  mesh::Workload waypoint, backend;
};

std::vector<std::byte> expected_header() {
  return proxy_header(at("10.244.1.2:40000"), at("10.96.0.50:80"),
                      {"cluster.local", "default", "client"});
}

// The waypoint's proxy: reads a header of the expected size, keeps it, then echoes; or resets after
// it.
struct Proxy final : Application {
  Proxy(WaypointMesh& mesh, SocketAddress address) : Application(mesh, address) {}
  explicit Proxy(WaypointMesh& mesh) : Proxy(mesh, mesh.proxy_port) {}
  io::Spawned serve(io::Scope&, io::Socket socket) override {
    std::vector<std::byte> head(expected_header().size());
    for (std::size_t have = 0; have < head.size();) {
      auto got = co_await io::recv_some(mesh.loop, socket.get(), std::span(head).subspan(have));
      if (!got || *got == 0) co_return;
      have += *got;
    }
    headers.push_back(head);
    if (resets) {
      socket.reset();
      co_return;
    }
    co_await echo(socket);
  }
  bool resets = false;
  std::vector<std::vector<std::byte>> headers;
};

io::Task<void> passes(WaypointMesh& mesh, std::size_t count) {
  Proxy proxy(mesh);
  auto out = co_await talk(mesh, count);
  EXPECT_TRUE(out.read && *out.read == count) << (out.read ? "" : describe(out.read.error()));
  EXPECT_EQ(proxy.headers, (std::vector<std::vector<std::byte>>{expected_header()}));
  EXPECT_FALSE(mesh.b.sockets.shown.ip.is_set()) << "the kernel is told of no client";
  co_await io::sleep_for(mesh.loop, 100ms);
  EXPECT_TRUE(
      has(mesh.b.log.good,
          {"connection complete", "src.addr=10.244.1.2:40000",
           "src.identity=\"spiffe://cluster.local/ns/default/sa/client\"", "dst.addr=10.96.0.50:80",
           "dst.hbone_addr=10.244.2.3:15008", "dst.workload=\"server\"",
           "dst.service=\"web.default.svc.cluster.local\"", "direction=\"inbound\""}))
      << all(mesh.b.log.good) << all(mesh.b.log.bad);
  std::size_t series = 0;
  mesh.b.shard().visit_traffic([&](auto values, const TrafficSeries& counted) {
    ++series;
    EXPECT_EQ(values[0], "destination");
    EXPECT_EQ(values[9], "web.default.svc.cluster.local");
    EXPECT_EQ(values[12], "server");
    EXPECT_EQ(values[22], "mutual_tls");
    EXPECT_EQ(counted.received.get(), count);
    EXPECT_EQ(counted.sent.get(), count);
  });
  EXPECT_EQ(series, 1u);
  co_await mesh.stop();
  co_await proxy.stop();
}

TEST(WaypointSim, TheProxyIsToldTheProvenClientBeforeTheFirstByteAndBothHalvesEndApart) {
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    SCOPED_TRACE(seed);
    WaypointMesh mesh(seed);
    io::run_until_done(mesh.loop, passes(mesh, 1 + mesh.loop.random(200'000)));
    EXPECT_EQ(mesh.loop.open_sockets(), 0u);
    if (testing::Test::HasFailure()) break;
  }
}

io::Task<void> resets(WaypointMesh& mesh) {
  Proxy proxy(mesh);
  proxy.resets = true;
  auto out = co_await talk(mesh, 1000);
  EXPECT_FALSE(out.read.has_value());
  if (!out.read) EXPECT_EQ(out.read.error().os, ECONNRESET);
  co_await mesh.stop();
  co_await proxy.stop();
}
TEST(WaypointSim, AResetByTheProxyIsAResetAtTheClient) {
  WaypointMesh mesh(7);
  io::run_until_done(mesh.loop, resets(mesh));
}

// The client's connection fails; node b says why; the proxy saw nobody.
io::Task<void> refused(WaypointMesh& mesh, std::initializer_list<std::string_view> words,
                       bool proxy_listens = true) {
  std::optional<Proxy> proxy;
  if (proxy_listens) proxy.emplace(mesh);
  const auto before = mesh.loop.now();
  auto out = co_await talk(mesh, 100);
  EXPECT_TRUE(out.connected);
  EXPECT_FALSE(out.read.has_value()) << "a reset, not a clean end";
  EXPECT_LT(mesh.loop.now() - before, 10s);
  co_await io::sleep_for(mesh.loop, 100ms);
  EXPECT_TRUE(has(mesh.b.log.bad, words)) << all(mesh.b.log.bad);
  if (proxy) EXPECT_EQ(proxy->accepted, 0);
  co_await mesh.stop();
  if (proxy) co_await proxy->stop();
}

TEST(WaypointSim, WhatIsNotBehindItIsRefused) {
  WaypointMesh mesh(8);
  mesh.b.snapshot.set(mesh.without_waypoint());
  io::run_until_done(
      mesh.loop, refused(mesh, {"connection failed", "not a waypoint of that address", "hint="}));
  EXPECT_TRUE(has(mesh.a.log.bad, {"peer answered 400"})) << all(mesh.a.log.bad);
}
TEST(WaypointSim, AProxyThatDoesNotListenIsA503WithAHint) {
  WaypointMesh mesh(9);
  io::run_until_done(
      mesh.loop,
      refused(mesh, {"connection failed", "CONNECT", "does not accept connections"}, false));
  EXPECT_TRUE(has(mesh.a.log.bad, {"peer answered 503"})) << all(mesh.a.log.bad);
}
TEST(WaypointSim, AConnectionIsRefusedWhenAnEndpointBehindDeniesIt) {
  WaypointMesh mesh(10, mesh::AppProtocol::kTcp);
  mesh.deny_at(mesh.backend);
  io::run_until_done(mesh.loop,
                     refused(mesh, {"connection failed", "policy=\"default/no-client\"", "DENY"}));
  EXPECT_EQ(mesh.b.sum(&TrafficSeries::failed, "DENY"), 1u);
  EXPECT_TRUE(has(mesh.a.log.bad, {"DENY"})) << all(mesh.a.log.bad);
}
TEST(WaypointSim, ThePortThatBelievesIsClosedToTunnels) {
  WaypointMesh mesh(11);
  mesh.a.sockets.original = at("10.244.2.3:15089");
  io::run_until_done(mesh.loop,
                     refused(mesh, {"connection failed", "port of the waypoint itself"}));
}
TEST(WaypointSim, TrafficToTheWaypointItselfIsUnderItsOwnPolicies) {
  WaypointMesh mesh(12);
  mesh.a.sockets.original = at("10.244.2.3:8080");
  mesh.deny_at(mesh.waypoint);
  io::run_until_done(mesh.loop,
                     refused(mesh, {"connection failed", "policy=\"default/no-client\"", "DENY"}));
}

TEST(WaypointSim, TransitIsNotUnderTheWaypointsOwnPoliciesNorAreRequestsUnderTheEndpoints) {
  WaypointMesh mesh(13);
  mesh.deny_at(mesh.waypoint);
  mesh.deny_at(mesh.backend);
  io::run_until_done(mesh.loop, passes(mesh, 5000));
}

io::Spawned publish_later(io::Scope&, WaypointMesh& mesh, SimNode& node,
                          std::shared_ptr<const mesh::Snapshot> snapshot) {
  co_await io::sleep_for(mesh.loop, 300ms);
  node.snapshot.set(std::move(snapshot));
}

io::Task<void> late_news(WaypointMesh& mesh) {
  Proxy proxy(mesh);
  io::Scope scope;
  publish_later(scope, mesh, mesh.b, mesh.a.snapshot.get());
  mesh.b.snapshot.set(mesh.without_waypoint());
  auto out = co_await talk(mesh, 1000);
  EXPECT_TRUE(out.read && *out.read == 1000) << all(mesh.b.log.bad);
  co_await scope.join();
  co_await mesh.stop();
  co_await proxy.stop();
}
TEST(WaypointSim, ANodeThatHearsOfTheServiceLateServesItAllTheSame) {
  WaypointMesh mesh(14);
  io::run_until_done(mesh.loop, late_news(mesh));
}

io::Task<void> withdrawn(WaypointMesh& mesh) {
  Proxy proxy(mesh);
  io::Socket direct(mesh.loop, mesh.loop.listen(at("10.244.2.4:8080")));
  io::Scope scope;
  auto next = mesh.without_waypoint();
  mesh.b.snapshot.set(next);
  publish_later(scope, mesh, mesh.a, next);
  Talk out;
  talk_child(scope, mesh, 0, out);
  auto arrived = co_await io::accept(mesh.loop, direct.get(), mesh.loop.in(5s));
  EXPECT_TRUE(arrived.has_value()) << all(mesh.a.log.bad);
  if (arrived) io::Socket(mesh.loop, std::move(*arrived)).close();
  co_await scope.join();
  EXPECT_EQ(proxy.accepted, 0);
  co_await mesh.stop();
  co_await proxy.stop();
}
TEST(WaypointSim, AClientThatHearsOfItsRemovalLateGoesStraight) {
  WaypointMesh mesh(15);
  io::run_until_done(mesh.loop, withdrawn(mesh));
}

io::Spawned talk_forever(io::Scope&, WaypointMesh& mesh, bool& broken, std::size_t& echoed) {
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

io::Task<void> judged_again(WaypointMesh& mesh, bool cut) {
  Proxy proxy(mesh);
  bool broken = false;
  std::size_t echoed = 0;
  io::Scope scope;
  talk_forever(scope, mesh, broken, echoed);
  co_await io::sleep_for(mesh.loop, 100ms);
  EXPECT_GT(echoed, 0u);
  mesh.deny_at(mesh.waypoint);
  co_await io::sleep_for(mesh.loop, 100ms);
  EXPECT_FALSE(broken) << "its own policies are not for those who pass";
  mesh.deny_at(mesh.backend);
  co_await io::sleep_for(mesh.loop, 1s);
  EXPECT_EQ(broken, cut);
  EXPECT_EQ(mesh.b.shard().policy_cuts.get(), cut ? 1u : 0u);
  if (cut)
    EXPECT_TRUE(
        has(mesh.b.log.bad, {"connection complete", "policy=\"default/no-client\"", "DENY"}))
        << all(mesh.b.log.bad);
  co_await mesh.stop();
  co_await scope.join();
  co_await proxy.stop();
}
TEST(WaypointSim, ALiveConnectionIsCutWhenAnEndpointBehindTurnsAgainstIt) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    WaypointMesh mesh(seed, mesh::AppProtocol::kTcp);
    io::run_until_done(mesh.loop, judged_again(mesh, true));
    if (testing::Test::HasFailure()) break;
  }
}
TEST(WaypointSim, LiveRequestsAreTheProxysToJudge) {
  WaypointMesh mesh(16);
  io::run_until_done(mesh.loop, judged_again(mesh, false));
}

// Without a tunnel, at a port on which somebody believes claims on every address.
io::Task<void> straight(WaypointMesh& mesh, SocketAddress to) {
  Proxy careless(mesh, to);
  mesh.b.sockets.here = to;
  mesh.b.sockets.there = at("10.244.9.9:1234");
  io::Socket socket(mesh.loop, mesh.loop.socket());
  auto connected = co_await io::connect(mesh.loop, socket.get(), mesh.plain, mesh.loop.in(5s));
  EXPECT_TRUE(connected.has_value());
  auto sent = co_await io::send_all(mesh.loop, socket.get(), expected_header());
  (void)sent.has_value();
  std::array<std::byte, 8> bytes;
  auto got = co_await io::recv_some(mesh.loop, socket.get(), bytes, mesh.loop.in(2s));
  EXPECT_FALSE(got.has_value());
  if (!got) EXPECT_EQ(got.error().os, ECONNRESET);
  EXPECT_EQ(careless.accepted, 0);
  co_await io::sleep_for(mesh.loop, 100ms);
  EXPECT_TRUE(has(mesh.b.log.bad, {"connection failed", "port of the waypoint itself"}))
      << all(mesh.b.log.bad);
  co_await mesh.stop();
  co_await careless.stop();
}
TEST(WaypointSim, AForgedHeaderComesToNobody) {
  WaypointMesh mesh(17);
  io::run_until_done(mesh.loop, straight(mesh, at("10.244.2.3:15089")));
}
TEST(WaypointSim, WhereEveryPortBelievesNoPlainConnectionComesIn) {
  WaypointMesh mesh(18);
  mesh.waypoint.application_tunnel->port = 0;
  mesh.world.add(mesh.waypoint);
  mesh.publish();
  io::run_until_done(mesh.loop, straight(mesh, at("10.244.2.3:8080")));
}

}  // namespace
}  // namespace weft::proxy
