// SimMesh: two nodes with one pod each, on one SimLoop: the real LoopProxy, TLS and HTTP/2;
// simulated sockets and time.
//   client app → client:15001 (node a) → HBONE → server:15008 (node b) → server app at :8080
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "mesh/snapshot.h"
#include "tests/unit/mesh/world.h"
#include "tests/unit/ztunnel/tls/test_ca.h"
#include "ztunnel/ca/certificates.h"
#include "ztunnel/io/ops.h"
#include "ztunnel/io/run.h"
#include "ztunnel/io/scope.h"
#include "ztunnel/io/sim_loop.h"
#include "ztunnel/io/socket.h"
#include "ztunnel/pods/socket_pool.h"
#include "ztunnel/proxy/loop_proxy.h"
#include "ztunnel/proxy/metrics.h"
#include "ztunnel/proxy/record.h"
#include "ztunnel/proxy/sockets.h"
#include "ztunnel/state/snapshot_ref.h"

namespace weft::proxy {

inline SocketAddress at(const char* text) { return *SocketAddress::parse(text); }

// What the kernel and BPF would say of accepted sockets: one answer for all, set by the test.
struct SimSockets final : Sockets {
  SocketAddress original, here, there, shown;

  Result<SocketAddress> original_destination(int) override {
    if (original.port == 0) return fail(Code::kNotFound, "original destination");
    return original;
  }
  Result<SocketAddress> local(int) override { return here; }
  Result<SocketAddress> peer(int) override { return there; }
  Result<void> deliver_as(int, const SocketAddress& client, const SocketAddress&,
                          std::uint32_t) override {
    shown = client;
    return {};
  }
  Result<void> deliver_from_pod(int, const SocketAddress&, std::uint32_t) override { return {}; }
  Result<std::size_t> receive_from(int, std::span<std::byte>, SocketAddress&) override {
    return fail(Code::kUnsupported, "sim");
  }
  Result<void> send_to(int, std::span<const std::byte>, const SocketAddress&) override {
    return fail(Code::kUnsupported, "sim");
  }
};

struct SimSocketSource final : pods::SocketSource {
  explicit SimSocketSource(io::SimLoop& loop) : loop(loop) {}
  io::Task<Result<Fd>> take(std::string, bool, bool, Deadline) override {
    if (empty) co_return fail(Code::kExhausted, "socket pool");
    co_return loop.socket();
  }
  io::SimLoop& loop;
  bool empty = false;
};

struct SimCertificates final : ca::CertificateSource {
  ca::CredentialsPtr peek(const mesh::Identity& identity) override {
    auto& made = by_identity[identity.str()];
    if (!made) made = authority().credentials(identity);
    return made;
  }
  io::Task<Result<ca::CredentialsPtr>> get(io::Loop&, mesh::Identity identity, Deadline) override {
    co_return peek(identity);
  }
  // One for the process: making keys is what costs.
  static tls::TestCa& authority() {
    static tls::TestCa ca;
    return ca;
  }
  static inline std::map<std::string, ca::CredentialsPtr> by_identity;
};

struct Lines final : AccessLog {
  void write(bool failed, std::string_view line) override {
    (failed ? bad : good).emplace_back(line);
  }
  std::vector<std::string> good, bad;
};

struct SimNode {
  SimNode(io::SimLoop& loop, const std::string& node)
      : config{.node = node, .seed = 7},
        source(loop),
        proxy(LoopContext{.loop = loop,
                          .config = config,
                          .snapshot = snapshot,
                          .certificates = certificates,
                          .socket_source = source,
                          .sockets = sockets,
                          .metrics = metrics.add_shard(),
                          .access_log = log}) {}
  ProxyConfig config;
  SimSockets sockets;
  SimSocketSource source;
  SimCertificates certificates;
  Lines log;
  Metrics metrics;
  state::SnapshotRef snapshot;
  LoopProxy proxy;

  const MetricsShard& shard() const { return *metrics.shards().front(); }
  // Sum of a counter over all series whose response_flags are `flags` ("" for any).
  std::uint64_t sum(Count TrafficSeries::* counter, std::string_view flags = {}) const {
    std::uint64_t total = 0;
    shard().visit_traffic([&](auto values, const TrafficSeries& series) {
      if (flags.empty() || values[21] == flags) total += (series.*counter).get();
    });
    return total;
  }
};

struct SimMesh {
  static constexpr const char* kClientIp = "10.244.1.2";
  static constexpr const char* kServerIp = "10.244.2.3";
  const SocketAddress vip = at("10.96.0.50:80"), app_address = at("10.244.2.3:8080"),
                      outbound = at("10.244.1.2:15001"), hbone = at("10.244.2.3:15008"),
                      plain = at("10.244.2.3:15006");

  explicit SimMesh(io::SimOptions options) : loop(options), a(loop, "node1"), b(loop, "node2") {
    auto client = mesh::pod("client", kClientIp);
    auto server = mesh::pod("server", kServerIp);
    server.node = "node2";
    server.services["default/web.default.svc.cluster.local"] = {{80, 8080}};
    world.add(client).add(server).add(mesh::service("web", "10.96.0.50", {{80, 8080}}));
    publish();
    a.sockets.original = vip;
    a.sockets.there = at("127.0.0.1:40000");
    b.sockets.here = hbone;
    b.sockets.there = at("10.244.1.2:50000");
    pods::LoopSockets outside;
    outside.outbound_v4 = loop.listen(outbound);
    a.proxy.add_pod({"uid-client", "client", "default", "client", {mesh::ip(kClientIp)}},
                    std::move(outside));
    listen_inbound();
  }
  void listen_inbound() {
    pods::LoopSockets inside;
    inside.hbone = loop.listen(hbone);
    inside.inbound = loop.listen(plain);
    b.proxy.add_pod({"uid-server", "server", "default", "server", {mesh::ip(kServerIp)}},
                    std::move(inside));
  }
  void publish() {
    auto built = mesh::Snapshot::build(world.world, ++generation, "");
    a.snapshot.set(built);
    b.snapshot.set(built);
  }
  // The server's own workload vanishes from what node b knows.
  void forget_server() {
    std::erase_if(world.world.workloads,
                  [](const auto& each) { return each.second->name == "server"; });
    publish();
  }
  // DENY of that principal for the server.
  void deny(const std::string& principal) {
    mesh::Match match;
    match.principals = {mesh::StringMatch::parse(principal)};
    world.add(mesh::Policy{.name = "no",
                           .ns = "default",
                           .action = mesh::PolicyAction::kDeny,
                           .rules = {{{{{match}}}}}});
    publish();
  }
  // Stops both nodes; nothing may be left.
  io::Task<void> stop() {
    co_await a.proxy.stop(loop.in(std::chrono::seconds(1)));
    co_await b.proxy.stop(loop.in(std::chrono::seconds(1)));
  }

  io::SimLoop loop;
  mesh::Builder world;
  std::uint64_t generation = 0;
  SimNode a, b;
};

// The byte at `place` of a stream: a period that no buffer size divides.
inline std::byte pattern(std::size_t place) {
  return static_cast<std::byte>((place * 131 + place / 251) & 0xff);
}

// Sends `count` bytes of the pattern, then FIN. Returns how many went out.
inline io::Task<Result<std::size_t>> send_pattern(io::SimLoop& loop, int fd, std::size_t count) {
  std::vector<std::byte> bytes;
  for (std::size_t sent = 0; sent < count;) {
    bytes.resize(std::min<std::size_t>(count - sent, 1 + loop.random(9000)));
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = pattern(sent + i);
    auto done = co_await io::send_all(loop, fd, bytes);
    if (!done) co_return std::unexpected(done.error());
    sent += bytes.size();
  }
  loop.shutdown_write(fd);
  co_return count;
}

// Reads the pattern until FIN; kMalformed on a wrong byte.
inline io::Task<Result<std::size_t>> read_pattern(io::SimLoop& loop, int fd,
                                                  Deadline deadline = Deadline::never()) {
  std::size_t read = 0;
  for (;;) {
    auto got = co_await io::recv_buffer(loop, fd, deadline);
    if (!got) co_return std::unexpected(got.error());
    if (got->empty()) co_return read;
    for (auto byte : got->bytes()) {
      if (byte != pattern(read++)) co_return fail(Code::kMalformed, "pattern");
    }
  }
}

}  // namespace weft::proxy
