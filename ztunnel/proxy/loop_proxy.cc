#include "ztunnel/proxy/loop_proxy.h"

#include <algorithm>

#include "base/assert.h"
#include "ztunnel/proxy/pod_proxy.h"

namespace weft::proxy {

LoopProxy::LoopProxy(LoopContext context) : context_(std::move(context)), hurry_(context_.loop) {
  watch_ = context_.snapshot.watch([this](const state::SnapshotPtr&) {
    for (auto& [uid, pod] : pods_) pod->on_snapshot();
    for (auto* pod : leaving_) pod->on_snapshot();
  });
}

LoopProxy::~LoopProxy() {
  WEFT_ASSERT(pods_.empty());
  WEFT_ASSERT(leaving_.empty());
  context_.snapshot.unwatch(watch_);
}

void LoopProxy::add_pod(pods::Pod pod, pods::LoopSockets sockets) {
  if (hurry_.is_set()) return;
  auto& proxy = pods_[pod.uid];
  if (!proxy) proxy = std::make_unique<PodProxy>(context_, std::move(pod));
  proxy->listen(std::move(sockets));
}

void LoopProxy::remove_pod(std::string_view uid, bool running) {
  auto found = pods_.find(uid);
  if (found == pods_.end()) return;
  auto pod = std::move(found->second);
  pods_.erase(found);
  pod->leave();
  leaving_.push_back(pod.get());
  farewell(scope_, std::move(pod), running);
}

io::Spawned LoopProxy::farewell(io::Scope&, std::unique_ptr<PodProxy> pod, bool running) {
  const auto leaving = context_.loop.now();
  auto hurried = co_await hurry_.wait(Deadline::after(leaving, context_.config.pod_drain));
  pod->drain();
  if (!hurried) {
    const auto grace = Deadline::after(leaving, context_.config.termination_grace);
    auto quiet = co_await pod->quiet(running ? Deadline::never() : grace);
    (void)quiet.has_value();
  }
  co_await pod->stop();
  std::erase(leaving_, pod.get());
}

void LoopProxy::drain() {
  for (auto& [uid, pod] : pods_) pod->drain();
  for (auto* pod : leaving_) pod->drain();
}

io::Task<void> LoopProxy::stop(Deadline deadline) {
  std::vector<std::unique_ptr<PodProxy>> pods;
  for (auto& [uid, pod] : pods_) pods.push_back(std::move(pod));
  pods_.clear();
  for (auto& pod : pods) leaving_.push_back(pod.get());
  drain();
  for (auto& pod : pods) {
    auto quiet = co_await pod->quiet(deadline);
    (void)quiet.has_value();
  }
  hurry_.set();
  for (auto* pod : leaving_) pod->hurry();
  for (auto& pod : pods) {
    co_await pod->stop();
    std::erase(leaving_, pod.get());
  }
  co_await scope_.join();
}

}  // namespace weft::proxy
