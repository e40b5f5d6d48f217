#include "tests/tools/hbone_bench/idle.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <malloc.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "tests/unit/ztunnel/hbone/tunnel_world.h"
#include "ztunnel/tls/engine.h"

namespace weft::hbone {
namespace {

// Resident memory of our own, in bytes: what malloc handed out and nobody touched is not in it,
// what was freed neither.
std::size_t resident() {
  ::malloc_trim(0);
  std::ifstream status("/proc/self/status");
  std::string line;
  while (std::getline(status, line)) {
    if (line.starts_with("RssAnon:")) return std::strtoull(line.c_str() + 8, nullptr, 10) * 1024;
  }
  return 0;
}

const tls::CredentialsPtr& client_credentials() {
  static const tls::CredentialsPtr credentials = World::credentials("client");
  return credentials;
}
const tls::CredentialsPtr& server_credentials() {
  static const tls::CredentialsPtr credentials = World::credentials("server");
  return credentials;
}

struct Engines {
  tls::Engine client, server;
};

// A handshake in memory, and one record each way as a tunnel's SETTINGS are.
Engines engines() {
  Engines pair{*tls::Engine::client(client_credentials(), {tls::test_identity("server")}),
               *tls::Engine::server(server_credentials())};
  std::vector<std::byte> room(tls::kRecordPayload);
  const auto carry = [&](tls::Engine& from, tls::Engine& to, tls::Output& wire, tls::Output& back) {
    if (!from.handshake_done()) WEFT_ASSERT(from.handshake(wire).has_value());
    if (wire.empty()) return;
    to.feed(wire.bytes());
    if (!to.handshake_done()) WEFT_ASSERT(to.handshake(back).has_value());
    while (to.handshake_done() && *to.read(room, back) != 0) {
    }
    wire.clear();
  };
  tls::Output to_server, to_client;
  for (int i = 0; i < 3; ++i) {
    carry(pair.client, pair.server, to_server, to_client);
    carry(pair.server, pair.client, to_client, to_server);
  }
  WEFT_ASSERT(pair.client.handshake_done() && pair.server.handshake_done());
  WEFT_ASSERT(pair.client.write(bytes_of("hello"), to_server).has_value());
  WEFT_ASSERT(pair.server.write(bytes_of("hello"), to_client).has_value());
  carry(pair.client, pair.server, to_server, to_client);
  carry(pair.server, pair.client, to_client, to_server);
  return pair;
}

std::size_t tls_bytes(int count) {
  std::vector<Engines> held;
  held.reserve(static_cast<std::size_t>(count) + 1);
  held.push_back(engines());  // what is made once is made now
  const std::size_t before = resident();
  for (int i = 0; i < count; ++i) held.push_back(engines());
  return (resident() - before) / (2 * static_cast<std::size_t>(count));
}

struct Tunnels {
  std::vector<std::shared_ptr<ClientTunnel>> clients;
  std::vector<std::shared_ptr<ServerTunnel>> servers;
};

io::Spawned accept_one(io::Scope& scope, io::Loop& loop, Fd fd, Tunnels& out) {
  auto tunnel = co_await ServerTunnel::accept(scope, loop, std::move(fd), server_credentials(),
                                              Deadline::never());
  WEFT_ASSERT(tunnel.has_value());
  out.servers.push_back(*std::move(tunnel));
}

io::Task<> add_tunnel(io::Scope& scope, io::Loop& loop, Tunnels& out) {
  auto ends = tcp_pair();
  accept_one(scope, loop, std::move(ends.second), out);
  auto tunnel =
      co_await ClientTunnel::dial(scope, loop, std::move(ends.first), client_credentials(),
                                  {tls::test_identity("server")}, Deadline::never());
  WEFT_ASSERT(tunnel.has_value());
  out.clients.push_back(*std::move(tunnel));
}

io::Task<std::size_t> tunnel_bytes(io::Loop& loop, int count) {
  io::Scope scope;
  Tunnels tunnels;
  tunnels.clients.reserve(static_cast<std::size_t>(count) + 1);
  tunnels.servers.reserve(static_cast<std::size_t>(count) + 1);
  std::size_t before = 0;
  for (int i = 0; i <= count; ++i) {
    co_await add_tunnel(scope, loop, tunnels);
    if (i != 0) continue;
    co_await io::sleep_for(loop, std::chrono::milliseconds(20));
    before = resident();
  }
  co_await io::sleep_for(loop,
                         std::chrono::milliseconds(20));  // acknowledgements of SETTINGS have come
  const std::size_t each = (resident() - before) / (2 * static_cast<std::size_t>(count));
  tunnels = {};
  co_await scope.join();
  co_return each;
}

}  // namespace

std::pair<Fd, Fd> tcp_pair() {
  Fd listener(::socket(AF_INET, SOCK_STREAM, 0));
  sockaddr_in address{
      .sin_family = AF_INET, .sin_port = 0, .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_zero = {}};
  socklen_t length = sizeof address;
  WEFT_ASSERT(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), length) == 0);
  WEFT_ASSERT(::listen(listener.get(), 1) == 0);
  WEFT_ASSERT(::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &length) == 0);
  Fd client(::socket(AF_INET, SOCK_STREAM, 0));
  WEFT_ASSERT(::connect(client.get(), reinterpret_cast<sockaddr*>(&address), length) == 0);
  Fd server(::accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK));
  const int on = 1;
  for (const int fd : {client.get(), server.get()})
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  WEFT_ASSERT(::fcntl(client.get(), F_SETFL, O_NONBLOCK) == 0);
  return {std::move(client), std::move(server)};
}

int print_idle(io::LoopKind kind, int count) {
  if (count < 1) return 64;
  auto loop = io::make_loop(kind);
  if (!loop) return 1;
  const std::size_t tls = tls_bytes(count);
  const std::size_t both = io::run_until_done(**loop, tunnel_bytes(**loop, count));
  const auto beyond = static_cast<std::ptrdiff_t>(both) - static_cast<std::ptrdiff_t>(tls);
  std::printf("{\"tls_bytes\": %zu, \"tunnel_bytes\": %zu, \"idle_tunnel_bytes\": %td}\n", tls,
              both, beyond);
  return 0;
}

}  // namespace weft::hbone
