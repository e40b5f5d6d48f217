#include "ztunnel/proxy/pool.h"

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/assert.h"
#include "ztunnel/io/ops.h"
#include "ztunnel/proxy/metrics.h"

namespace weft::proxy {
namespace {

// A pod's listener may be about to come up (it was just enrolled): a refused dial is repeated after
// these waits.
constexpr std::array kRefusedWaits = {std::chrono::milliseconds(50), std::chrono::milliseconds(100),
                                      std::chrono::milliseconds(200),
                                      std::chrono::milliseconds(400)};

bool is_refused(const Error& error) { return error.os == ECONNREFUSED; }

void explain_connect(const Error& error, Refusal& why) {
  why.error = error;
  why.dial_failed = true;
  const bool silent = error.code == Code::kTimedOut;
  why.outcome = silent ? Outcome::kNetworkPolicy : Outcome::kConnect;
  why.hint = silent
                 ? "no answer: is port 15008 blocked by a NetworkPolicy or firewall?"
                 : "nothing accepts HBONE at that address: is the node proxy of that node running?";
}

void explain_tls(const Error& error, Refusal& why) {
  why.error = error;
  why.dial_failed = true;
  why.outcome = error.code == Code::kIdentityMismatch ? Outcome::kIdentity : Outcome::kTlsFailure;
  why.hint = error.code == Code::kIdentityMismatch
                 ? "the peer proved another identity than the destination has"
             : error.code == Code::kTimedOut ? "the TLS handshake was not answered"
             : error.code == Code::kDenied
                 ? "the peer refused our certificate: do both ends trust the same root?"
                 : "";
}

// The peer answered the CONNECT, or the tunnel went away meanwhile.
void explain_open(const Error& error, Refusal& why) {
  why.error = error;
  why.detail.clear();
  why.dial_failed = false;
  why.outcome = error.code == Code::kDenied ? Outcome::kDenied : Outcome::kConnect;
  why.hint =
      error.code == Code::kDenied ? "denied by policy at the destination: see its node's access log"
      : error.code == Code::kUnreachable ? "the destination's node could not reach the application"
      : error.code == Code::kTimedOut    ? "the CONNECT was not answered"
                                         : "";
}

}  // namespace

struct Pool::Slot {
  Slot(io::Loop& loop, TunnelKey key) : key(std::move(key)), changed(loop) {}

  const TunnelKey key;
  std::vector<TunnelPtr> tunnels;
  io::Event changed;        // a dial ended
  std::uint64_t dials = 0;  // ended so far
  std::size_t waiters = 0;
  bool dialing = false;
  Refusal last;  // of the newest dial, if it failed
  bool last_failed = false;
};

Pool::Pool(LoopContext& context, const pods::Pod& pod, io::Scope& scope)
    : context_(context), pod_(pod), scope_(scope), wake_(context.loop) {}

Pool::~Pool() { WEFT_ASSERT(closed_ || slots_.empty()); }

Pool::SlotPtr Pool::slot(const TunnelKey& key) {
  auto& found = slots_[key];
  if (!found) {
    found = std::make_shared<Slot>(context_.loop, key);
    if (slots_.size() == 1) wake_.set();
  }
  if (!sweeping_) {
    sweeping_ = true;
    sweep(scope_);
  }
  return found;
}

// The least busy tunnel with room; a hot one gets a sibling in the background.
Pool::TunnelPtr Pool::pick(Slot& slot, const mesh::Identity& source) {
  TunnelPtr best;
  std::size_t alive = 0;
  for (const auto& tunnel : slot.tunnels) {
    if (!tunnel->alive()) continue;
    ++alive;
    if (tunnel->streams() >= context_.config.pool_streams_max || !tunnel->has_room()) continue;
    if (!best || tunnel->streams() < best->streams()) best = tunnel;
  }
  if (best && best->streams() >= kHotStreams && alive < kWarmTunnels && !slot.dialing) {
    slot.dialing = true;
    dial_into(scope_, slots_[slot.key], source);
  }
  return best;
}

io::Task<Result<Pool::TunnelPtr>> Pool::tunnel_for(SlotPtr slot, mesh::Identity source,
                                                   Refusal& why) {
  for (;;) {
    if (closed_) co_return fail(Code::kDraining, "pool");
    if (auto tunnel = pick(*slot, source)) co_return tunnel;
    if (slot->tunnels.size() >= kTunnelsMax || slot->waiters >= context_.config.pool_waiters_max) {
      why.error = Error{Code::kExhausted, 0, "pool"};
      why.hint = "too many connections to one peer at once";
      co_return fail(Code::kExhausted, "pool");
    }
    const auto seen = slot->dials;
    if (!slot->dialing) {
      slot->dialing = true;
      dial_into(scope_, slot, source);
    }
    if (slot->dials == seen) {
      ++slot->waiters;
      auto woken = co_await slot->changed.wait(Deadline::never());  // a dial always ends
      --slot->waiters;
      if (!woken) co_return fail(Code::kDraining, "pool");
    }
    if (slot->last_failed) {
      why = slot->last;
      co_return std::unexpected(why.error);
    }
  }
}

io::Spawned Pool::dial_into(io::Scope&, SlotPtr slot, mesh::Identity source) {
  Refusal why;
  context_.metrics.tunnels_dialed.add(1);
  auto dialed = co_await dial(slot->key, std::move(source), why);
  slot->last_failed = !dialed;
  if (dialed && closed_) {
    (*dialed)->close("stopping");
  } else if (dialed) {
    context_.metrics.tunnels_open.add(1);
    slot->tunnels.push_back(std::move(*dialed));
  } else {
    context_.metrics.tunnels_failed.add(1);
    slot->last = std::move(why);
  }
  slot->dialing = false;
  ++slot->dials;
  slot->changed.set();
  slot->changed.clear();
}

io::Task<Result<Pool::TunnelPtr>> Pool::dial(const TunnelKey& key, mesh::Identity source,
                                             Refusal& why) {
  auto credentials = context_.certificates.peek(source);
  if (!credentials) {
    auto fetched = co_await context_.certificates.get(
        context_.loop, source, context_.loop.in(context_.config.workload_wait));
    if (!fetched) {
      why.error = fetched.error();
      why.outcome = Outcome::kIdentity;
      why.hint = "no certificate for this workload: is the control plane reachable?";
      co_return std::unexpected(fetched.error());
    }
    credentials = std::move(*fetched);
  }
  auto socket = co_await connect(key.address, why);
  if (!socket) co_return std::unexpected(socket.error());
  auto tunnel = co_await hbone::ClientTunnel::dial(
      scope_, context_.loop, std::move(*socket), std::move(credentials), key.expected,
      context_.loop.in(context_.config.tls_timeout), &why.detail);
  if (!tunnel) explain_tls(tunnel.error(), why);
  co_return tunnel;
}

io::Task<Result<Fd>> Pool::connect(const SocketAddress& address, Refusal& why) {
  for (std::size_t attempt = 0;; ++attempt) {
    const auto deadline = context_.loop.in(context_.config.hbone_connect_timeout);
    auto socket =
        co_await context_.socket_source.take(pod_.uid, address.ip.is_v6(), false, deadline);
    if (!socket) {
      why.error = socket.error();
      why.hint = "no socket in the pod's network namespace: is the agent running?";
      co_return std::unexpected(socket.error());
    }
    auto connected = co_await io::connect(context_.loop, socket->get(), address, deadline);
    if (connected) co_return std::move(*socket);
    context_.loop.close(std::move(*socket));
    if (closed_ || !is_refused(connected.error()) || attempt == kRefusedWaits.size()) {
      explain_connect(connected.error(), why);
      co_return std::unexpected(connected.error());
    }
    co_await io::sleep_for(context_.loop, kRefusedWaits[attempt]);
  }
}

io::Task<Result<hbone::Stream>> Pool::open(mesh::Identity source, TunnelKey key,
                                           hbone::ConnectRequest request, Refusal& why) {
  auto slot = this->slot(key);
  for (int attempt = 1;; ++attempt) {
    auto tunnel = co_await tunnel_for(slot, source, why);
    if (!tunnel) co_return std::unexpected(tunnel.error());
    auto stream =
        co_await (*tunnel)->open(request, context_.loop.in(context_.config.answer_timeout));
    if (stream) co_return stream;
    explain_open(stream.error(), why);
    // GOAWAY, a refused stream or a tunnel that died before it answered: the application saw
    // nothing yet, so try another.
    const auto code = stream.error().code;
    const bool raced = code == Code::kDraining || code == Code::kExhausted ||
                       (code == Code::kClosed && !(*tunnel)->alive());
    if (!raced || attempt == kAttemptsMax) co_return std::unexpected(stream.error());
  }
}

io::Spawned Pool::sweep(io::Scope&) {
  while (!closed_) {
    wake_.clear();
    const auto until = slots_.empty() ? Deadline::never() : context_.loop.in(kSweepInterval);
    auto woken = co_await wake_.wait(until);
    if (closed_) break;
    if (!woken) drop_unused();
  }
  sweeping_ = false;
}

void Pool::drop_unused() {
  const auto now = context_.loop.now();
  for (auto at = slots_.begin(); at != slots_.end();) {
    auto& tunnels = at->second->tunnels;
    const auto dropped = std::erase_if(tunnels, [&](const TunnelPtr& tunnel) {
      if (!tunnel->alive()) return true;
      if (tunnel->streams() != 0) return false;
      return now - tunnel->last_used() >= context_.config.pool_idle || !tunnel->has_room();
    });
    context_.metrics.tunnels_open.sub(dropped);
    const bool gone = tunnels.empty() && !at->second->dialing && at->second->waiters == 0;
    at = gone ? slots_.erase(at) : std::next(at);
  }
}

void Pool::close() {
  closed_ = true;
  wake_.set();
  for (auto& [key, slot] : slots_) {
    for (const auto& tunnel : slot->tunnels) tunnel->close("stopping");
    context_.metrics.tunnels_open.sub(slot->tunnels.size());
    slot->tunnels.clear();
    slot->changed.set();
  }
}

std::size_t Pool::tunnels() const {
  std::size_t sum = 0;
  for (const auto& [key, slot] : slots_) sum += slot->tunnels.size();
  return sum;
}

}  // namespace weft::proxy
