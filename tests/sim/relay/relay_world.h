// Two applications with relays between them on a simulated network, as a connection of the mesh has it:
//   application ─ socket ─ relay ═ HBONE tunnel ═ relay ─ socket ─ application        (Path::kTunnel)
//   application ─ socket ─ relay ─ socket ─ application                               (Path::kPlain)
#pragma once

#include <list>
#include <string>

#include "tests/unit/ztunnel/hbone/tunnel_world.h"
#include "ztunnel/io/event.h"
#include "ztunnel/io/ops.h"
#include "ztunnel/io/run.h"
#include "ztunnel/io/sim_loop.h"
#include "ztunnel/io/socket.h"
#include "ztunnel/proxy/relay.h"

namespace weft::proxy {

using namespace std::chrono_literals;

enum class Path { kTunnel, kPlain };

// One application: what it does, and what it saw.
struct App {
  std::uint64_t salt = 0;
  std::size_t total = 0;  // bytes to send
  bool resets = false;    // instead of finishing
  Clock::duration pause_max{};

  io::Socket socket;
  std::size_t received = 0;
  bool same = true;       // what came is a beginning of what the other one sends
  bool clean_end = false;
  bool told_of_reset = false;
};

inline std::byte stream_byte(std::uint64_t salt, std::size_t at) {
  return static_cast<std::byte>(((at + salt * 977) * 2654435761u) >> 11);
}

inline io::Spawned app_send(io::Scope&, io::SimLoop& loop, App& app) {
  std::size_t sent = 0;
  std::vector<std::byte> chunk;
  while (sent < app.total && app.socket.valid()) {
    chunk.resize(std::min<std::size_t>(app.total - sent, 1 + loop.random(6000)));
    for (std::size_t i = 0; i < chunk.size(); ++i) chunk[i] = stream_byte(app.salt, sent + i);
    auto done = co_await io::send_all(loop, app.socket.get(), chunk, loop.in(2h));
    if (!done) {
      app.told_of_reset = true;
      co_return;
    }
    sent += chunk.size();
    if (app.pause_max.count() > 0) {
      co_await io::sleep_for(loop, Clock::duration(loop.random(static_cast<std::uint64_t>(app.pause_max.count()))));
    }
  }
  if (!app.socket.valid()) co_return;
  if (app.resets) {
    app.socket.reset();
  } else {
    loop.shutdown_write(app.socket.get());
  }
}

inline io::Spawned app_receive(io::Scope&, io::SimLoop& loop, App& app, std::uint64_t peer_salt) {
  std::vector<std::byte> room(4000);
  while (app.socket.valid()) {
    auto got = co_await io::recv_some(loop, app.socket.get(), room, loop.in(24h));
    if (!got) {
      app.told_of_reset = true;
      co_return;
    }
    if (*got == 0) {
      app.clean_end = true;
      co_return;
    }
    for (std::size_t i = 0; i < *got; ++i) app.same = app.same && room[i] == stream_byte(peer_salt, app.received++);
    if (app.pause_max.count() > 0) {
      co_await io::sleep_for(loop, Clock::duration(loop.random(static_cast<std::uint64_t>(app.pause_max.count()))));
    }
  }
}

// A connection and its relays; the server's relay is unused on Path::kPlain.
struct Connection {
  explicit Connection(io::Loop& loop) : stop(loop) {}
  App client, server;
  io::Socket client_side, server_side;  // the relays' ends
  io::Event stop;                       // of the server's relay, or the only one
  Relayed client_relay, server_relay;
  int relays_ended = 0;
  ByteCount client_to_server, server_to_client, far_client_to_server, far_server_to_client;
};

struct RelayWorld {
  explicit RelayWorld(io::SimOptions options) : loop(options) {}

  Connection& add() {
    Connection& connection = connections.emplace_back(loop);
    for (auto [app, side] : {std::pair(&connection.client, &connection.client_side), std::pair(&connection.server, &connection.server_side)}) {
      auto [a, b] = loop.pair();
      app->socket = io::Socket(loop, std::move(a));
      *side = io::Socket(loop, std::move(b));
    }
    connection.client.salt = 2 * connections.size();
    connection.server.salt = 2 * connections.size() + 1;
    return connection;
  }

  io::SimLoop loop;
  std::list<Connection> connections;
  std::shared_ptr<hbone::ClientTunnel> dialed;
  std::shared_ptr<hbone::ServerTunnel> accepted;
  io::Scope tunnels;
};

inline io::Spawned carry_server(io::Scope&, RelayWorld& world, hbone::IncomingStream incoming) {
  const auto index = static_cast<std::size_t>(hbone::Authority::parse(incoming.request().authority)->port);
  Connection& c = *std::next(world.connections.begin(), static_cast<std::ptrdiff_t>(index) - 1);
  hbone::Stream stream = incoming.accept();
  auto done = co_await relay(world.loop, c.server_side, stream, c.far_server_to_client, c.far_client_to_server, c.stop);
  c.server_relay = done;
  ++c.relays_ended;
  c.server_side.close();
}
inline io::Spawned serve_tunnel(io::Scope& scope, RelayWorld& world, Fd fd) {
  auto accepted = co_await hbone::ServerTunnel::accept(scope, world.loop, std::move(fd), hbone::World::credentials("server"), world.loop.in(60s));
  WEFT_ASSERT(accepted.has_value());
  world.accepted = *accepted;
  for (;;) {
    auto next = co_await world.accepted->next_stream();
    if (!next) co_return;
    carry_server(scope, world, *std::move(next));
  }
}
inline io::Task<void> connect_tunnel(RelayWorld& world) {
  auto [a, b] = world.loop.pair();
  serve_tunnel(world.tunnels, world, std::move(b));
  auto dialed = co_await hbone::ClientTunnel::dial(world.tunnels, world.loop, std::move(a), hbone::World::credentials("client"),
                                                   {tls::test_identity("server")}, world.loop.in(60s));
  WEFT_ASSERT(dialed.has_value());
  world.dialed = *dialed;
}

inline io::Spawned carry_client(io::Scope&, RelayWorld& world, Connection& c, std::size_t index) {
  auto stream = co_await world.dialed->open({.authority = "10.0.0.1:" + std::to_string(index + 1)}, world.loop.in(60s));
  WEFT_ASSERT(stream.has_value());
  io::Event never(world.loop);
  auto done = co_await relay(world.loop, c.client_side, *stream, c.client_to_server, c.server_to_client, never);
  c.client_relay = done;
  ++c.relays_ended;
  c.client_side.close();
}
inline io::Spawned carry_plain(io::Scope&, RelayWorld& world, Connection& c) {
  auto done = co_await relay(world.loop, c.client_side, c.server_side, c.client_to_server, c.server_to_client, c.stop);
  c.client_relay = c.server_relay = done;
  c.relays_ended = 2;
  c.client_side.close();
  c.server_side.close();
}

// Relays for all connections, from one tunnel or none. Returns when all relays have ended.
inline io::Task<void> run_relays(RelayWorld& world, Path path) {
  if (path == Path::kTunnel) co_await connect_tunnel(world);
  io::Scope scope;
  std::size_t index = 0;
  for (Connection& connection : world.connections) {
    if (path == Path::kTunnel) {
      carry_client(scope, world, connection, index++);
    } else {
      carry_plain(scope, world, connection);
    }
  }
  co_await scope.join();
  for (Connection& connection : world.connections) {
    while (connection.relays_ended < 2) co_await io::sleep_for(world.loop, 1ms);  // the server's relay ends a little later
  }
  world.dialed.reset();
  if (world.accepted != nullptr) world.accepted->drain();
  co_await world.tunnels.join();
  world.accepted.reset();
}
inline io::Spawned start_relays(io::Scope&, RelayWorld& world, Path path) { co_await run_relays(world, path); }

inline void start_apps(io::Scope& scope, RelayWorld& world, Connection& c) {
  app_send(scope, world.loop, c.client);
  app_send(scope, world.loop, c.server);
  app_receive(scope, world.loop, c.client, c.server.salt);
  app_receive(scope, world.loop, c.server, c.client.salt);
}

}  // namespace weft::proxy
