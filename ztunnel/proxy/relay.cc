#include "ztunnel/proxy/relay.h"

#include <algorithm>
#include <array>

#include "ztunnel/io/ops.h"
#include "ztunnel/io/scope.h"

namespace weft::proxy {
namespace {

// The other end, as the pumps need it.
struct StreamEnd {
  hbone::Stream& stream;
  void stop(io::Loop&) { stream.reset(); }
  void reset() { stream.reset(); }
};
struct SocketEnd {
  io::Socket& socket;
  void stop(io::Loop& loop) { loop.cancel(socket.get()); }
  void reset() { socket.reset(); }
};

template <class Far>
struct Relay : io::Event::Hook {
  Relay(io::Loop& loop, io::Socket& near, Far far) : Hook(&Relay::on_stop), loop(loop), near(near), far(far) {}

  static void on_stop(Hook& hook) { static_cast<Relay&>(hook).fail(RelayEnd::kStopped, Error{Code::kClosed, 0, "stopped"}); }
  // The first failure counts; everything pending ends.
  void fail(RelayEnd end, const Error& error) {
    if (relayed.end != RelayEnd::kClean) return;
    relayed = {end, error};
    loop.cancel(near.get());
    far.stop(loop);
  }
  bool over() const { return relayed.end != RelayEnd::kClean; }

  io::Loop& loop;
  io::Socket& near;
  Far far;
  Relayed relayed;
};

io::Spawned pump_to_stream(io::Scope&, Relay<StreamEnd>& relay, ByteCount& count) {
  while (!relay.over()) {
    auto got = co_await io::recv_buffer(relay.loop, relay.near.get());
    if (!got) co_return relay.fail(RelayEnd::kNear, got.error());
    if (relay.over()) co_return;
    if (got->empty()) co_return relay.far.stream.finish();
    auto sent = co_await relay.far.stream.write(got->bytes(), Deadline::never());
    if (!sent) co_return relay.fail(RelayEnd::kFar, sent.error());
    count.add(got->size());
  }
}

io::Spawned pump_from_stream(io::Scope&, Relay<StreamEnd>& relay, ByteCount& count) {
  while (!relay.over()) {
    auto got = co_await relay.far.stream.read(Deadline::never());
    if (!got) co_return relay.fail(RelayEnd::kFar, got.error());
    if (relay.over()) co_return;
    if (got->empty()) co_return relay.loop.shutdown_write(relay.near.get());
    std::array<iovec, hbone::Received::kPiecesMax> pieces;
    const auto last = std::ranges::copy(got->pieces(), pieces.begin()).out;
    auto sent = co_await io::send_gather(relay.loop, relay.near.get(), std::span(pieces.begin(), last));
    if (!sent) co_return relay.fail(RelayEnd::kNear, sent.error());
    count.add(got->size());
  }
}

io::Spawned pump_sockets(io::Scope&, Relay<SocketEnd>& relay, io::Socket& from, io::Socket& to, bool forward, ByteCount& count) {
  while (!relay.over()) {
    auto got = co_await io::recv_buffer(relay.loop, from.get());
    if (!got) co_return relay.fail(forward ? RelayEnd::kNear : RelayEnd::kFar, got.error());
    if (relay.over()) co_return;
    if (got->empty()) co_return relay.loop.shutdown_write(to.get());
    auto sent = co_await io::send_all(relay.loop, to.get(), got->bytes());
    if (!sent) co_return relay.fail(forward ? RelayEnd::kFar : RelayEnd::kNear, sent.error());
    count.add(got->size());
  }
}

template <class Far>
Relayed finish(Relay<Far>& relay) {
  relay.leave();
  if (relay.over()) {
    relay.near.reset();
    relay.far.reset();
  }
  return relay.relayed;
}

}  // namespace

io::Task<Relayed> relay(io::Loop& loop, io::Socket& near, hbone::Stream& far, ByteCount& to_far, ByteCount& to_near, io::Event& stop) {
  Relay<StreamEnd> both(loop, near, StreamEnd{far});
  io::Scope scope;
  both.join(stop);
  pump_to_stream(scope, both, to_far);
  pump_from_stream(scope, both, to_near);
  co_await scope.join();
  co_return finish(both);
}

io::Task<Relayed> relay(io::Loop& loop, io::Socket& near, io::Socket& far, ByteCount& to_far, ByteCount& to_near, io::Event& stop) {
  Relay<SocketEnd> both(loop, near, SocketEnd{far});
  io::Scope scope;
  both.join(stop);
  pump_sockets(scope, both, near, far, true, to_far);
  pump_sockets(scope, both, far, near, false, to_near);
  co_await scope.join();
  co_return finish(both);
}

}  // namespace weft::proxy
