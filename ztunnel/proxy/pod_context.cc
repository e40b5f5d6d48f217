#include "ztunnel/proxy/pod_context.h"

#include <algorithm>

#include "base/assert.h"
#include "ztunnel/io/ops.h"
#include "ztunnel/proxy/metrics.h"

namespace weft::proxy {
namespace {

constexpr std::chrono::milliseconds kBacklogEmpty{
    1};  // a finishing listener from which nothing came for this long
constexpr std::chrono::milliseconds kFullPause{
    20};  // between looks at a full loop, or after accept() ran out of something

}  // namespace

Live::Live(PodContext& pod, Kind kind)
    : stop(pod.loop()), pod_(pod), kind_(kind), next_(pod.first_) {
  if (next_ != nullptr) next_->prev_ = this;
  pod.first_ = this;
  if (++pod.live_count == 1) pod.quiet.clear();
  if (pod.shared_count && kind == Kind::kApplication)
    pod.shared_count->fetch_add(1, std::memory_order_relaxed);
  ++pod.loop_context.connections;
}

Live::~Live() {
  (prev_ != nullptr ? prev_->next_ : pod_.first_) = next_;
  if (next_ != nullptr) next_->prev_ = prev_;
  if (--pod_.live_count == 0) pod_.quiet.set();
  if (pod_.shared_count && kind_ == Kind::kApplication)
    pod_.shared_count->fetch_sub(1, std::memory_order_relaxed);
  --pod_.loop_context.connections;
}

mesh::Verdict Live::judge(const mesh::Snapshot& snapshot, const mesh::Workload& self) const {
  return transit ? mesh::authorize_transit(snapshot, *transit, attributes)
                 : mesh::authorize(snapshot, self, attributes);
}

void Live::cut() {
  stop.set();
  if (waits_on >= 0) pod_.loop().cancel(waits_on);
}

PodContext::PodContext(LoopContext& loop_context, pods::Pod pod)
    : loop_context(loop_context),
      pod(std::move(pod)),
      snapshot_changed(loop_context.loop),
      quiet(loop_context.loop),
      engine_(loop_context.config.seed != 0 ? loop_context.config.seed : std::random_device()()) {
  quiet.set();
  if (loop_context.live_counts != nullptr)
    shared_count = loop_context.live_counts->of(this->pod.uid);
  random_ = [this](std::uint64_t bound) { return bound == 0 ? 0 : engine_() % bound; };
}

mesh::WorkloadPtr PodContext::self(const mesh::Snapshot& snapshot) const {
  auto found = snapshot.local_workload(pod.name, pod.ns, pod.service_account, config().node);
  if (found) last_self_ = found;
  return found;
}

io::Task<Result<mesh::WorkloadPtr>> PodContext::wait_for_self() {
  const auto deadline = loop().in(config().workload_wait);
  for (;;) {
    if (auto found = self(*snapshot())) co_return found;
    auto changed = co_await snapshot_changed.wait(deadline);
    if (!changed) co_return fail(Code::kTimedOut, "local workload");
    if (stopping) co_return fail(Code::kDraining, "local workload");
  }
}

bool PodContext::owns(const mesh::Workload* self, const IpAddress& ip) const {
  if (std::ranges::find(pod.addresses, ip) != pod.addresses.end()) return true;
  return self != nullptr && std::ranges::find(self->addresses, ip) != self->addresses.end();
}

void PodContext::judge_again() {
  const auto now = snapshot();
  if (!self(*now) && !last_self_) return;  // nobody was let in yet
  for (Live* live = first_; live != nullptr; live = live->next_) {
    if (!live->judged || live->denied) continue;
    auto verdict = live->judge(*now, *last_self_);
    if (verdict.allowed) continue;
    live->denied = true;
    live->verdict = std::make_unique<mesh::Verdict>(std::move(verdict));
    loop_context.metrics.policy_cuts.add(1);
    live->cut();
  }
}

void PodContext::cut_all() {
  for (Live* live = first_; live != nullptr; live = live->next_) live->cut();
}

struct Listener::Shared {
  io::Socket socket;
  bool closed = false;
  bool finishing = false;
};

Listener::Listener(PodContext& pod, Fd fd, Server& server)
    : loop_(pod.loop()), shared_(std::make_shared<Shared>(io::Socket(pod.loop(), std::move(fd)))) {
  run(pod.scope, pod, shared_, server);
}

void Listener::close() {
  if (shared_->closed) return;
  shared_->closed = true;
  if (shared_->socket.valid()) loop_.cancel(shared_->socket.get());
}

void Listener::finish() {
  if (shared_->closed || shared_->finishing) return;
  shared_->finishing = true;
  if (shared_->socket.valid()) loop_.cancel(shared_->socket.get());  // wakes run()
}

bool Listener::finished() const { return !shared_->socket.valid(); }

io::Spawned Listener::run(io::Scope&, PodContext& pod, std::shared_ptr<Shared> shared,
                          Server& server) {
  auto& loop = pod.loop();
  while (!shared->closed) {
    if (pod.is_full()) {
      pod.loop_context.metrics.accept_pauses.add(1);
      co_await io::sleep_for(loop, kFullPause);
      continue;
    }
    const bool finishing = shared->finishing;
    const auto deadline = finishing ? loop.in(kBacklogEmpty) : Deadline::never();
    auto accepted = co_await io::accept(loop, shared->socket.get(), deadline);
    if (accepted) {
      io::Socket socket(loop, std::move(*accepted));
      if (shared->closed)
        socket.reset();
      else
        server.serve(std::move(socket));
      continue;
    }
    if (shared->finishing && !finishing) continue;         // woken to finish
    if (accepted.error().code != Code::kExhausted) break;  // cancelled, or the listener is broken
    co_await io::sleep_for(loop, kFullPause);
  }
  shared->socket.close();
}

io::Task<Result<io::Socket>> connect_from_pod(PodContext& pod, SocketAddress address, Live& live,
                                              Deadline deadline) {
  auto& context = pod.loop_context;
  auto taken =
      co_await context.socket_source.take(pod.pod.uid, address.ip.is_v6(), false, deadline);
  if (!taken) co_return std::unexpected(taken.error());
  io::Socket socket(context.loop, std::move(*taken));
  live.waits_on = socket.get();
  auto connected = co_await io::connect(context.loop, socket.get(), address, deadline);
  live.waits_on = -1;
  if (!connected) co_return std::unexpected(connected.error());
  co_return std::move(socket);
}

}  // namespace weft::proxy
