#include "ztunnel/proxy/pod_proxy.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/assert.h"
#include "ztunnel/io/loop.h"
#include "ztunnel/io/ops.h"

namespace weft::proxy {
namespace {

// How long replaced listeners are served beside their successors: the agent switches the kernel
// over only after our yes, and the kernel goes on choosing them while they are open.
constexpr std::chrono::milliseconds kReplacedFor{200};
constexpr std::chrono::milliseconds kFinishPoll{2};

}  // namespace

PodProxy::PodProxy(LoopContext& context, pods::Pod pod)
    : context_(context, std::move(pod)),
      pool_(context, context_.pod, context_.scope),
      outbound_(context_, pool_),
      hbone_(context_),
      plain_(context_),
      dns_(context_),
      ended_(context.loop) {}

PodProxy::~PodProxy() { WEFT_ASSERT(context_.scope.live() == 0); }

void PodProxy::open(Listeners& listeners, Fd fd, Server& server) {
  if (fd) listeners.push_back(std::make_unique<Listener>(context_, std::move(fd), server));
}

void PodProxy::listen(pods::LoopSockets sockets) {
  const bool first = local_.empty() && remote_.empty();
  replace(local_);
  replace(remote_);
  dns_.finish();
  if (!first) finish_replaced(context_.scope);
  open(local_, std::move(sockets.outbound_v4), outbound_);
  open(local_, std::move(sockets.outbound_v6), outbound_);
  open(local_, std::move(sockets.inbound), plain_);
  open(remote_, std::move(sockets.hbone), hbone_);
  open(local_, std::move(sockets.dns_tcp_v4), dns_);
  open(local_, std::move(sockets.dns_tcp_v6), dns_);
  if (sockets.dns_udp_v4) dns_.serve_udp(std::move(sockets.dns_udp_v4));
  if (sockets.dns_udp_v6) dns_.serve_udp(std::move(sockets.dns_udp_v6));
}

void PodProxy::replace(Listeners& listeners) {
  for (auto& each : listeners) replaced_.push_back(std::move(each));
  listeners.clear();
}

// No connection that waits in a queue is lost when the agent hands out new listeners.
io::Spawned PodProxy::finish_replaced(io::Scope&) {
  auto ended = co_await ended_.wait(context_.loop().in(kReplacedFor));
  if (ended) co_return;
  const Listeners finishing = std::exchange(replaced_, {});
  for (const auto& each : finishing) each->finish();
  ended = co_await ended_.wait(context_.loop().in(kReplacedFor));
}

void PodProxy::on_snapshot() {
  context_.judge_again();
  context_.snapshot_changed.set();
  context_.snapshot_changed.clear();
}

void PodProxy::leave() {
  replace(local_);
  finish_replaced(context_.scope);
}

// Another ztunnel may listen beside us: what is in our queues is served here, what comes after goes
// there.
void PodProxy::drain() {
  for (auto* listeners : {&local_, &replaced_, &remote_}) {
    for (const auto& each : *listeners) each->finish();
  }
  dns_.finish();
  hbone_.drain();
}

void PodProxy::hurry() {
  hurried_ = true;
  context_.quiet.set();
  dns_.hurry();
}

io::Task<Result<void>> PodProxy::listeners_finished(Deadline deadline) {
  const auto open = [this] {
    return std::ranges::any_of(std::array{&local_, &replaced_, &remote_}, [](const auto* each) {
      return std::ranges::any_of(*each, [](const auto& one) { return !one->finished(); });
    });
  };
  while (open() && !hurried_) {
    if (deadline.passed(context_.loop().now())) co_return fail(Code::kTimedOut, "listeners");
    co_await io::sleep_for(context_.loop(), kFinishPoll);
  }
  co_return Result<void>();
}

io::Task<Result<void>> PodProxy::quiet(Deadline deadline) {
  auto finished = co_await listeners_finished(deadline);
  if (!finished) co_return finished;
  auto waited = co_await context_.quiet.wait(deadline);
  if (!waited) co_return waited;
  auto answered = co_await dns_.finished(deadline);
  co_return answered;
}

io::Task<void> PodProxy::stop() {
  context_.stopping = true;
  ended_.set();
  drain();
  for (auto* listeners : {&local_, &replaced_, &remote_}) listeners->clear();
  dns_.close();
  context_.cut_all();
  pool_.close();
  hbone_.close();
  context_.snapshot_changed.set();
  co_await context_.scope.join();
}

}  // namespace weft::proxy
