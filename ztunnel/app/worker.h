// Worker: one loop's thread and everything that lives on it.
#pragma once

#include <future>
#include <memory>
#include <thread>

#include "base/fd.h"
#include "ztunnel/io/loop.h"
#include "ztunnel/pods/link.h"
#include "ztunnel/pods/socket_pool.h"
#include "ztunnel/proxy/config.h"
#include "ztunnel/proxy/live_counts.h"
#include "ztunnel/proxy/loop_proxy.h"
#include "ztunnel/state/snapshot_ref.h"

namespace weft::app {

// What a Worker is made of; everything referred to outlives it.
struct WorkerParts {
  std::unique_ptr<io::Loop> loop;
  const proxy::ProxyConfig& config;
  ca::CertificateSource& certificates;
  proxy::MetricsShard& metrics;
  state::Lookup* lookup;
  proxy::LiveCounts& live_counts;
  pods::SocketPool::Ask ask;  // called on the worker's thread
  std::size_t pooled_max;     // sockets kept for connections to come
};

// Main thread, but for loop().post().
class Worker {
 public:
  explicit Worker(WorkerParts parts);
  ~Worker();  // REQUIRES: stop() returned, or start() was never called
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  void start(unsigned index);
  // Stops accepting at once; returns what becomes ready when connections are gone or `deadline` passed.
  std::future<void> drain(Deadline deadline);
  // After drain()'s future: ends the thread.
  void stop();

  void add_pod(pods::Pod pod, pods::LoopSockets sockets);
  void remove_pod(std::string uid, bool running);
  void set_snapshot(state::SnapshotPtr snapshot);
  void granted(pods::SocketAsk ask, Result<std::vector<Fd>> sockets);
  void link_up();
  void trim_sockets(Clock::duration idle);

  const char* loop_name() const { return loop_->name(); }

 private:
  io::Task<void> drain_and_tell(Deadline deadline);

  std::unique_ptr<io::Loop> loop_;
  std::thread thread_;
  std::promise<void> drained_;

  // Owned by the loop's thread.
  state::SnapshotRef snapshot_;
  pods::SocketPool pool_;
  proxy::LoopProxy proxy_;
  io::Scope scope_;
};

}  // namespace weft::app
