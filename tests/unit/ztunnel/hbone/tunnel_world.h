// Two ends of a tunnel on one loop: a server that plays an application by what the authority asks for, and the client under test.
#pragma once

#include <sys/socket.h>

#include <memory>
#include <string>
#include <string_view>

#include "base/assert.h"
#include "tests/unit/ztunnel/tls/test_ca.h"
#include "ztunnel/hbone/tunnel.h"
#include "ztunnel/io/ops.h"
#include "ztunnel/io/run.h"
#include "ztunnel/io/scope.h"

namespace weft::hbone {

inline std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

inline void append(std::string& text, Received& received) {
  for (const iovec& piece : received.pieces()) text.append(static_cast<const char*>(piece.iov_base), piece.iov_len);
}

struct World {
  World(io::Loop& loop, Fd client_end, Fd server_end) : loop(loop), client_end(std::move(client_end)), server_end(std::move(server_end)) {}

  Deadline soon() const { return loop.in(std::chrono::seconds(5)); }
  static const tls::TestCa& ca() {
    static const tls::TestCa authority;
    return authority;
  }
  static tls::CredentialsPtr credentials(const char* name) { return ca().credentials(tls::test_identity(name)); }

  io::Loop& loop;
  Fd client_end, server_end;
  tls::CredentialsPtr client_credentials = credentials("client"), server_credentials = credentials("server");
  std::vector<mesh::Identity> expected = {tls::test_identity("server")};
  std::shared_ptr<ClientTunnel> client;
  std::shared_ptr<ServerTunnel> server;
  Result<void> client_result, server_result;
  std::string client_detail, server_detail;
  // What the played applications saw last.
  std::string last_baggage, last_authority;
  Result<void> last_end;
  std::size_t incoming = 0;
  io::Scope scope;
};

inline io::Task<Result<std::string>> read_all(Stream& stream, Deadline deadline) {
  std::string text;
  for (;;) {
    auto got = co_await stream.read(deadline);
    if (!got) co_return std::unexpected(got.error());
    if (got->empty()) co_return text;
    append(text, *got);
  }
}

inline io::Task<> echo(World& world, Stream stream) {
  for (;;) {
    auto got = co_await stream.read(Deadline::never());
    if (!got) {
      world.last_end = std::unexpected(got.error());
      co_return;
    }
    if (got->empty()) break;
    for (const iovec& piece : got->pieces()) {
      const std::span<const std::byte> bytes(static_cast<const std::byte*>(piece.iov_base), piece.iov_len);
      auto sent = co_await stream.write(bytes, Deadline::never());
      if (!sent) {
        world.last_end = std::unexpected(sent.error());
        co_return;
      }
    }
  }
  stream.finish();
}

// By the authority's port: 400 and up refuse; 1 echoes; 2 accepts, reads once and resets; 3 answers late, with 503; 4 does not read; 5 sends "hello", finishes and reads to the end; 6 accepts and drops the stream.
inline io::Spawned play(io::Scope&, World& world, IncomingStream incoming) {
  world.last_baggage = incoming.request().baggage;
  world.last_authority = incoming.request().authority;
  const int what = Authority::parse(incoming.request().authority)->port;
  if (what >= 400) {
    incoming.refuse(what);
    co_return;
  }
  if (what == 3) {
    co_await io::sleep_for(world.loop, std::chrono::milliseconds(300));
    co_return;
  }
  Stream stream = incoming.accept("k8s.pod.name=app");
  if (what == 1) co_await echo(world, std::move(stream));
  if (what == 2) {
    auto got = co_await stream.read(Deadline::never());
    (void)got;
    stream.reset();
  }
  if (what == 4) {
    co_await io::sleep_for(world.loop, std::chrono::milliseconds(300));
    stream.reset();
  }
  if (what == 5) {
    auto sent = co_await stream.write(bytes_of("hello"), Deadline::never());
    (void)sent;
    stream.finish();
    auto rest = co_await read_all(stream, Deadline::never());
    if (!rest) world.last_end = std::unexpected(rest.error());
  }
}

inline io::Spawned serve(io::Scope& scope, World& world) {
  auto accepted =
      co_await ServerTunnel::accept(scope, world.loop, std::move(world.server_end), world.server_credentials, world.soon(), &world.server_detail);
  if (!accepted) {
    world.server_result = std::unexpected(accepted.error());
    co_return;
  }
  world.server = *accepted;
  for (;;) {
    auto next = co_await world.server->next_stream();
    if (!next) break;
    ++world.incoming;
    play(scope, world, *std::move(next));
  }
}

inline io::Task<bool> connect(World& world) {
  serve(world.scope, world);
  auto dialed = co_await ClientTunnel::dial(world.scope, world.loop, std::move(world.client_end), world.client_credentials, world.expected,
                                            world.soon(), &world.client_detail);
  if (dialed) {
    world.client = *dialed;
  } else {
    world.client_result = std::unexpected(dialed.error());
  }
  co_return dialed.has_value();
}

// Lets go of everything and waits until no coroutine is left.
inline io::Task<> leave(World& world) {
  world.client.reset();
  if (world.server != nullptr) world.server->drain();
  co_await world.scope.join();
  world.server.reset();
}

}  // namespace weft::hbone
