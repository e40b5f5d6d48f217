#include "ztunnel/proxy/relay.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>

#include "ztunnel/io/ops.h"
#include "ztunnel/io/scope.h"

namespace weft::proxy {
namespace {

constexpr std::size_t kSurelyTaken =
    16 * 1024;  // a socket's send buffer takes so much whatever its peer does

// The ends, as the pumps need them. `sending`: a send to the socket is pending. A socket tells of a
// reset once; when the send gets it, the receive sees an end of file. So an end of file that comes
// while a send is pending waits one turn for what the send says.
struct SocketEnd {
  io::Socket& socket;
  bool sending = false;
  void unblock() { socket.loop().cancel(socket.get()); }
  void reset() { socket.reset(); }
  std::optional<Error> broken() const {
    if (!socket.loop().is_broken(socket.get())) return {};
    return Error{Code::kClosed, ECONNRESET, "reset while nobody read"};
  }
};
struct StreamEnd {
  hbone::Stream& stream;
  void unblock() { stream.reset(); }
  void reset() { stream.reset(); }
  std::optional<Error> broken() const {
    const Error* error = stream.broken();
    return error != nullptr ? std::optional(*error) : std::nullopt;
  }
};

// What the two pumps share. The first failure counts; it ends everything that is pending.
template <class Far>
struct Relay : io::Event::Hook {
  Relay(io::Loop& loop, io::Socket& near, Far far, io::Share* share)
      : Hook(&Relay::on_stop), loop(loop), near{near}, far(far), share(share), settled(loop) {}

  static void on_stop(Hook& hook) {
    static_cast<Relay&>(hook).fail(RelayEnd::kStopped, Error{Code::kClosed, 0, "stopped"});
  }
  void fail(RelayEnd end, const Error& error) {
    if (over()) return;
    relayed = {end, error};
    near.unblock();
    far.unblock();
    settled.set();
  }
  bool over() const { return relayed.end != RelayEnd::kClean; }
  // No read is pending at one of the ends: what happens there would not be heard of.
  bool is_unattended() const { return !settled.is_set() && (ended != 0 || waiting != 0); }
  void moved(ByteCount& count, std::size_t size) {
    count.add(size);
    last_moved = loop.now();
  }

  io::Loop& loop;
  SocketEnd near;
  Far far;
  io::Share* const share;
  Relayed relayed;
  int ended = 0;    // directions
  int waiting = 0;  // writes that may be held up by their reader
  bool guarded = false;
  RelayEnd silent = RelayEnd::kClean;  // half closed: the end that the open direction comes from
  io::Event settled;                   // both directions ended, or over()
  Clock::time_point last_moved;
};

template <class Far>
void look_at_ends(Relay<Far>& relay) {
  if (auto error = relay.near.broken()) return relay.fail(RelayEnd::kNear, *error);
  if (auto error = relay.far.broken()) return relay.fail(RelayEnd::kFar, *error);
  if (relay.ended != 0 && relay.loop.now() >= relay.last_moved + kHalfClosedIdle)
    relay.fail(relay.silent, Error{Code::kTimedOut, 0, "half-closed connection was idle"});
}

// Lives while the relay is unattended. Bytes that still flow have precedence: the pumps meet the
// end behind them.
template <class Far>
io::Spawned look_after(io::Scope&, Relay<Far>& relay) {
  relay.guarded = true;
  while (relay.is_unattended()) {
    const auto seen = relay.last_moved;
    auto settled = co_await relay.settled.wait(relay.loop.in(kLookEvery));
    if (!settled && relay.last_moved == seen) look_at_ends(relay);
  }
  relay.guarded = false;
}

template <class Far>
void guard(io::Scope& scope, Relay<Far>& relay) {
  if (!relay.guarded) look_after(scope, relay);
}

template <class Far>
void direction_ended(io::Scope& scope, Relay<Far>& relay, RelayEnd from) {
  if (++relay.ended == 2) return relay.settled.set();
  relay.silent = from == RelayEnd::kNear ? RelayEnd::kFar : RelayEnd::kNear;
  relay.last_moved = relay.loop.now();
  guard(scope, relay);
}

// While it lives a write may be held up by its reader, and the relay is guarded.
template <class Far>
class Held {
 public:
  // `total`: of a send to a socket, what it has been sent then.
  Held(io::Scope& scope, Relay<Far>& relay, std::size_t total = SIZE_MAX)
      : relay_(total > kSurelyTaken ? &relay : nullptr) {
    if (relay_ == nullptr) return;
    ++relay.waiting;
    guard(scope, relay);
  }
  ~Held() {
    if (relay_ != nullptr) --relay_->waiting;
  }
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;

 private:
  Relay<Far>* relay_;
};

// Stream::write, held when it has to wait.
class GuardedWrite {
 public:
  GuardedWrite(io::Scope& scope, Relay<StreamEnd>& relay, std::span<const std::byte> bytes)
      : scope_(scope), relay_(relay), write_(relay.far.stream.write(bytes, Deadline::never())) {}
  bool await_ready() { return write_.await_ready(); }
  void await_suspend(std::coroutine_handle<> waiter) {
    held_.emplace(scope_, relay_);
    write_.await_suspend(waiter);
  }
  Result<void> await_resume() { return write_.await_resume(); }

 private:
  io::Scope& scope_;
  Relay<StreamEnd>& relay_;
  hbone::WriteOp write_;
  std::optional<Held<StreamEnd>> held_;
};

io::Spawned pump_to_stream(io::Scope& scope, Relay<StreamEnd>& relay, ByteCount& count) {
  for (;;) {
    auto got = co_await io::recv_buffer(relay.loop, relay.near.socket.get(), Deadline::never(),
                                        io::Claim::kHeld, relay.share);
    if (!got) co_return relay.fail(RelayEnd::kNear, got.error());
    if (relay.over()) co_return;
    if (got->empty()) break;
    auto sent = co_await GuardedWrite(scope, relay, got->bytes());
    if (!sent) co_return relay.fail(RelayEnd::kFar, sent.error());
    relay.moved(count, got->size());
    if (relay.over()) co_return;
  }
  if (relay.near.sending) {  // as told at SocketEnd
    co_await io::sleep_until(relay.loop, relay.loop.now());
  }
  if (relay.over()) co_return;
  relay.far.stream.finish();
  direction_ended(scope, relay, RelayEnd::kNear);
}

// Passes on what the stream has now. A coroutine of its own: the pieces take 350 bytes, and an idle
// connection holds no frame of it. False: the stream ended, or one end failed.
io::Task<bool> pass_on(io::Scope& scope, Relay<StreamEnd>& relay, ByteCount& count) {
  while (relay.far.stream.is_readable()) {
    auto got = co_await relay.far.stream.read(Deadline::never());
    if (!got) {
      relay.fail(RelayEnd::kFar, got.error());
      co_return false;
    }
    if (relay.over() || got->empty()) co_return false;
    const Held held(scope, relay, count.total() + got->size());
    relay.near.sending = true;
    auto sent = co_await io::send_gather(relay.loop, relay.near.socket.get(), got->pieces());
    relay.near.sending = false;
    if (!sent) {
      relay.fail(RelayEnd::kNear, sent.error());
      co_return false;
    }
    relay.moved(count, got->size());
    if (relay.over()) co_return false;
  }
  co_return true;
}

io::Spawned pump_from_stream(io::Scope& scope, Relay<StreamEnd>& relay, ByteCount& count) {
  for (bool more = true; more;) {
    auto woken = co_await relay.far.stream.readable(Deadline::never());
    if (!woken) co_return relay.fail(RelayEnd::kFar, woken.error());
    more = co_await pass_on(scope, relay, count);
  }
  if (relay.over()) co_return;
  relay.loop.shutdown_write(relay.near.socket.get());
  direction_ended(scope, relay, RelayEnd::kFar);
}

io::Spawned pump_sockets(io::Scope& scope, Relay<SocketEnd>& relay, RelayEnd side,
                         ByteCount& count) {
  const bool forward = side == RelayEnd::kNear;
  SocketEnd& from = forward ? relay.near : relay.far;
  SocketEnd& to = forward ? relay.far : relay.near;
  for (;;) {
    auto got = co_await io::recv_buffer(relay.loop, from.socket.get(), Deadline::never(),
                                        io::Claim::kHeld, relay.share);
    if (!got) co_return relay.fail(side, got.error());
    if (relay.over()) co_return;
    if (got->empty()) break;
    const Held held(scope, relay, count.total() + got->size());
    to.sending = true;
    auto sent = co_await io::send_all(relay.loop, to.socket.get(), got->bytes());
    to.sending = false;
    if (!sent) co_return relay.fail(forward ? RelayEnd::kFar : RelayEnd::kNear, sent.error());
    relay.moved(count, got->size());
    if (relay.over()) co_return;
  }
  if (from.sending) {
    co_await io::sleep_until(relay.loop, relay.loop.now());
  }
  if (relay.over()) co_return;
  relay.loop.shutdown_write(to.socket.get());
  direction_ended(scope, relay, side);
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

io::Task<Relayed> relay(io::Loop& loop, io::Socket& near, hbone::Stream& far, ByteCount& to_far,
                        ByteCount& to_near, io::Event& stop, io::Share* share) {
  Relay<StreamEnd> both(loop, near, StreamEnd{far}, share);
  io::Scope scope;
  both.join(stop);
  if (!both.over()) {
    pump_to_stream(scope, both, to_far);
    pump_from_stream(scope, both, to_near);
  }
  co_await scope.join();
  co_return finish(both);
}

io::Task<Relayed> relay(io::Loop& loop, io::Socket& near, io::Socket& far, ByteCount& to_far,
                        ByteCount& to_near, io::Event& stop, io::Share* share) {
  Relay<SocketEnd> both(loop, near, SocketEnd{far}, share);
  io::Scope scope;
  both.join(stop);
  if (!both.over()) {
    pump_sockets(scope, both, RelayEnd::kNear, to_far);
    pump_sockets(scope, both, RelayEnd::kFar, to_near);
  }
  co_await scope.join();
  co_return finish(both);
}

}  // namespace weft::proxy
