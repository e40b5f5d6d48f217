// The applications at both ends of a SimMesh.
#pragma once

#include "tests/sim/proxy/sim_mesh.h"

namespace weft::proxy {

using namespace std::chrono_literals;

// Accepts at an address; what it does with a connection says the derived one. stop() it before it
// dies.
struct Application {
  Application(SimMesh& mesh, const SocketAddress& address)
      : mesh(mesh), listener(mesh.loop, mesh.loop.listen(address)) {
    accept_all(scope);
  }
  virtual io::Spawned serve(io::Scope& scope, io::Socket socket) = 0;

  io::Task<void> stop() {
    mesh.loop.cancel(listener.get());
    co_await scope.join();
  }
  // To the connection's end.
  io::Task<void> echo(io::Socket& socket) {
    for (;;) {
      auto got = co_await io::recv_buffer(mesh.loop, socket.get());
      if (!got || got->empty()) break;
      auto sent = co_await io::send_all(mesh.loop, socket.get(), got->bytes());
      if (!sent) break;
    }
  }

  SimMesh& mesh;
  io::Socket listener;
  io::Scope scope;
  int accepted = 0;

 protected:
  ~Application() = default;

 private:
  io::Spawned accept_all(io::Scope& scope) {
    for (;;) {
      auto taken = co_await io::accept(mesh.loop, listener.get());
      if (!taken) co_return;
      ++accepted;
      serve(scope, io::Socket(mesh.loop, std::move(*taken)));
    }
  }
};

// The server's application: echoes each connection to its end.
struct Echo final : Application {
  explicit Echo(SimMesh& mesh) : Application(mesh, mesh.app_address) {}
  io::Spawned serve(io::Scope&, io::Socket socket) override { co_await echo(socket); }
};

struct Talk {
  Result<std::size_t> read{std::unexpected(Error{Code::kSystem})};
  bool connected = false;
};

inline io::Spawned send_child(io::Scope&, SimMesh& mesh, int fd, std::size_t count) {
  auto sent = co_await send_pattern(mesh.loop, fd, count);
  (void)sent.has_value();
}

// A client application: sends, half-closes, reads the echo.
inline io::Task<Talk> talk(SimMesh& mesh, std::size_t count) {
  Talk out;
  io::Socket socket(mesh.loop, mesh.loop.socket());
  auto connected = co_await io::connect(mesh.loop, socket.get(), mesh.outbound, mesh.loop.in(5s));
  if (!connected) co_return out;
  out.connected = true;
  io::Scope scope;
  send_child(scope, mesh, socket.get(), count);
  auto read = co_await read_pattern(mesh.loop, socket.get());
  out.read = read;
  mesh.loop.cancel(socket.get());
  co_await scope.join();
  co_return out;
}

inline io::Spawned talk_child(io::Scope&, SimMesh& mesh, std::size_t count, Talk& out) {
  auto done = co_await talk(mesh, count);
  out = done;
}

}  // namespace weft::proxy
