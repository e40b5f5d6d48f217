// LoopbackMesh: two pods on one real loop and real sockets of 127.0.0.0/8: client 127.77.<n>.1,
// server 127.77.<n>.2. What BPF would answer is played; TLS, HTTP/2, the loop and TCP are real. No
// root needed.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/assert.h"
#include "tests/unit/mesh/world.h"
#include "tests/unit/ztunnel/tls/test_ca.h"
#include "ztunnel/io/make_loop.h"
#include "ztunnel/io/ops.h"
#include "ztunnel/io/run.h"
#include "ztunnel/io/socket.h"
#include "ztunnel/proxy/loop_proxy.h"
#include "ztunnel/proxy/metrics.h"
#include "ztunnel/proxy/record.h"
#include "ztunnel/proxy/sockets.h"

namespace weft::proxy {

// As the agent makes them: no Nagle; accepted sockets inherit it from their listener.
inline Fd tcp_socket(int type = SOCK_STREAM) {
  Fd fd(::socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  int on = 1;
  if (type == SOCK_STREAM) ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return fd;
}

inline Fd bound_to(const SocketAddress& address, int type = SOCK_STREAM) {
  Fd fd = tcp_socket(type);
  int on = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_storage raw{};
  const auto length = address.to_sockaddr(raw);
  WEFT_ASSERT(::bind(fd.get(), reinterpret_cast<sockaddr*>(&raw), length) == 0);
  if (type == SOCK_STREAM) WEFT_ASSERT(::listen(fd.get(), 1024) == 0);
  return fd;
}

struct LoopbackSockets final : Sockets {
  SocketAddress original;
  Result<SocketAddress> original_destination(int) override { return original; }
  Result<SocketAddress> local(int fd) override { return kernel().local(fd); }
  Result<SocketAddress> peer(int fd) override { return kernel().peer(fd); }
  Result<void> deliver_as(int, const SocketAddress&, const SocketAddress&, std::uint32_t) override {
    return {};
  }
  Result<void> deliver_from_pod(int fd, const SocketAddress& app, std::uint32_t spread) override {
    return kernel().deliver_from_pod(fd, app, spread);
  }
  Result<std::size_t> receive_from(int fd, std::span<std::byte> buffer,
                                   SocketAddress& from) override {
    return kernel().receive_from(fd, buffer, from);
  }
  Result<void> send_to(int fd, std::span<const std::byte> datagram,
                       const SocketAddress& to) override {
    return kernel().send_to(fd, datagram, to);
  }
};

struct LoopbackSource final : pods::SocketSource {
  io::Task<Result<Fd>> take(std::string, bool, bool udp, Deadline) override {
    Fd fd = tcp_socket(udp ? SOCK_DGRAM : SOCK_STREAM);
    if (!fd) co_return fail(Code::kExhausted, "socket", errno);
    co_return std::move(fd);
  }
};

struct LoopbackCertificates final : ca::CertificateSource {
  tls::TestCa authority;
  std::map<std::string, ca::CredentialsPtr> made;
  ca::CredentialsPtr peek(const mesh::Identity& identity) override {
    auto& found = made[identity.str()];
    if (!found) found = authority.credentials(identity);
    return found;
  }
  io::Task<Result<ca::CredentialsPtr>> get(io::Loop&, mesh::Identity identity, Deadline) override {
    co_return peek(identity);
  }
};

struct Counted final : AccessLog {
  void write(bool failed, std::string_view line) override {
    ++(failed ? bad : good);
    last = line;
  }
  int good = 0, bad = 0;
  std::string last;
};

struct LoopbackMesh {
  explicit LoopbackMesh(std::unique_ptr<io::Loop> made) : loop(std::move(made)) {
    const auto net = std::to_string(1 + ::getpid() % 250);
    client_ip = "127.77." + net + ".1";
    server_ip = "127.77." + net + ".2";
    outbound = *SocketAddress::parse(client_ip + ":15001");
    app = *SocketAddress::parse(server_ip + ":18080");
    dns = *SocketAddress::parse(client_ip + ":15053");
    config.dns_upstream = *SocketAddress::parse(server_ip + ":15353");
    sockets.original = app;
    auto web = mesh::service("web", "10.96.0.50", {{80, 18080}});
    world.add(mesh::pod("client", client_ip.c_str()))
        .add(mesh::pod("server", server_ip.c_str()))
        .add(web);
    snapshot.set(world.build());
    proxy = std::make_unique<LoopProxy>(LoopContext{.loop = *loop,
                                                    .config = config,
                                                    .snapshot = snapshot,
                                                    .certificates = certificates,
                                                    .socket_source = source,
                                                    .sockets = sockets,
                                                    .metrics = metrics.add_shard(),
                                                    .access_log = log});
    pods::LoopSockets outside, inside;
    outside.outbound_v4 = bound_to(outbound);
    outside.dns_udp_v4 = bound_to(dns, SOCK_DGRAM);
    outside.dns_tcp_v4 = bound_to(dns);
    inside.hbone = bound_to(*SocketAddress::parse(server_ip + ":15008"));
    proxy->add_pod({"uid-client", "client", "default", "client", {mesh::ip(client_ip.c_str())}},
                   std::move(outside));
    proxy->add_pod({"uid-server", "server", "default", "server", {mesh::ip(server_ip.c_str())}},
                   std::move(inside));
  }
  io::Task<void> stop() { co_await proxy->stop(loop->in(std::chrono::seconds(0))); }

  std::unique_ptr<io::Loop> loop;
  std::string client_ip, server_ip;
  SocketAddress outbound, app, dns;
  ProxyConfig config{.node = "node1", .seed = 3};
  LoopbackSockets sockets;
  LoopbackSource source;
  LoopbackCertificates certificates;
  Counted log;
  Metrics metrics;
  state::SnapshotRef snapshot;
  mesh::Builder world;
  std::unique_ptr<LoopProxy> proxy;
};

}  // namespace weft::proxy
