#include "ztunnel/app/worker.h"

#include <pthread.h>

#include <algorithm>
#include <string>

#include "ztunnel/io/task.h"
#include "ztunnel/pods/zds.h"
#include "ztunnel/proxy/record.h"
#include "ztunnel/proxy/sockets.h"

namespace weft::app {

Worker::Worker(WorkerParts parts)
    : loop_(std::move(parts.loop)),
      pool_(*loop_, std::move(parts.ask), parts.pooled_max),
      proxy_(proxy::LoopContext{.loop = *loop_,
                                .config = parts.config,
                                .snapshot = snapshot_,
                                .certificates = parts.certificates,
                                .socket_source = pool_,
                                .sockets = proxy::Sockets::kernel(),
                                .metrics = parts.metrics,
                                .access_log = proxy::AccessLog::to_log(),
                                .lookup = parts.lookup,
                                .live_counts = &parts.live_counts}) {}

Worker::~Worker() = default;

void Worker::start(unsigned index) {
  thread_ = std::thread([this, index] {
    ::pthread_setname_np(::pthread_self(), ("loop-" + std::to_string(index)).c_str());
    loop_->run();
  });
}

io::Task<void> Worker::drain_and_tell(Deadline deadline) {
  co_await proxy_.stop(deadline);
  drained_.set_value();
}

std::future<void> Worker::drain(Deadline deadline) {
  auto drained = drained_.get_future();
  loop_->post([this, deadline] { scope_.spawn(drain_and_tell(deadline)); });
  return drained;
}

void Worker::stop() {
  loop_->stop();
  if (thread_.joinable()) thread_.join();
}

void Worker::add_pod(pods::Pod pod, pods::LoopSockets sockets) {
  loop_->post([this, pod = std::move(pod), sockets = std::move(sockets)]() mutable {
    pool_.add_pod(pod.uid);
    const auto has = [&pod](bool v6) {
      return std::ranges::any_of(pod.addresses, [v6](const IpAddress& ip) { return ip.is_v6() == v6; });
    };
    pool_.stock_up(pod.uid, has(false), has(true));
    proxy_.add_pod(std::move(pod), std::move(sockets));
  });
}

void Worker::remove_pod(std::string uid, bool running) {
  loop_->post([this, uid = std::move(uid), running] {
    proxy_.remove_pod(uid, running);
    pool_.remove_pod(uid);
  });
}

void Worker::set_snapshot(state::SnapshotPtr snapshot) {
  loop_->post([this, snapshot = std::move(snapshot)]() mutable { snapshot_.set(std::move(snapshot)); });
}

void Worker::granted(pods::SocketAsk ask, Result<std::vector<Fd>> sockets) {
  loop_->post([this, ask = std::move(ask), sockets = std::move(sockets)]() mutable {
    pool_.granted(ask, std::move(sockets));
  });
}

void Worker::link_up() {
  loop_->post([this] { pool_.link_up(); });
}

void Worker::trim_sockets(Clock::duration idle) {
  loop_->post([this, idle] { pool_.trim(idle); });
}

}  // namespace weft::app
