#include <netinet/tcp.h>

#include "tests/bench/bench.h"
#include "ztunnel/io/event.h"
#include "ztunnel/io/ops.h"
#include "ztunnel/io/scope.h"
#include "ztunnel/io/socket.h"
#include "ztunnel/proxy/relay.h"

namespace weft::bench {
namespace {

constexpr std::size_t kSinkBytes = 256 * 1024;

void no_delay(int fd) {
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

io::Task<void> sink(io::Loop& loop, int fd, std::uint64_t total) {
  std::vector<std::byte> room(kSinkBytes);
  for (;;) {
    auto got = co_await io::recv_some(loop, fd, room);
    if (!got) co_return;
    if (*got == 0) break;
    total += *got;
  }
  auto sent = co_await io::send_all(loop, fd, std::as_bytes(std::span(&total, 1)));
  (void)sent;
}

io::Spawned serve_one(io::Scope&, io::Loop& loop, Fd fd) {
  io::Socket socket(loop, std::move(fd));
  no_delay(socket.get());
  for (bool first = true;; first = false) {
    auto got = co_await io::recv_buffer(loop, socket.get());
    if (!got || got->empty()) co_return;
    if (first && got->bytes()[0] == std::byte{'T'}) {
      const std::size_t count = got->size();
      got->release();
      co_await sink(loop, socket.get(), count);
      co_return;
    }
    auto sent = co_await io::send_all(loop, socket.get(), got->bytes());
    if (!sent) co_return;
  }
}

io::Spawned relay_one(io::Scope&, io::Loop& loop, Fd fd, SocketAddress to) {
  io::Socket near(loop, std::move(fd));
  io::Socket far(loop, Fd(::socket(to.ip.is_v4() ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0)));
  no_delay(near.get());
  no_delay(far.get());
  auto connected = co_await io::connect(loop, far.get(), to, loop.in(std::chrono::seconds(5)));
  if (!connected) co_return near.reset();
  io::Event stop(loop);
  proxy::ByteCount there, back;
  auto relayed = co_await proxy::relay(loop, near, far, there, back, stop);
  (void)relayed;
}

}  // namespace

io::Task<void> serve(io::Loop& loop, int listener) {
  io::Scope scope;
  for (;;) {
    auto accepted = co_await io::accept(loop, listener);
    if (!accepted) break;
    serve_one(scope, loop, std::move(*accepted));
  }
  co_await scope.join();
}

io::Task<void> relay_all(io::Loop& loop, int listener, SocketAddress to) {
  io::Scope scope;
  for (;;) {
    auto accepted = co_await io::accept(loop, listener);
    if (!accepted) break;
    relay_one(scope, loop, std::move(*accepted), to);
  }
  co_await scope.join();
}

}  // namespace weft::bench
