// LoopProxy: the data path of one loop: every pod's listeners, tunnels and live connections, under
// one snapshot. app.cc makes one per loop; its PodListener hands pods on with loop.post().
// Everything runs on the loop's thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "ztunnel/ca/certificates.h"
#include "ztunnel/io/event.h"
#include "ztunnel/io/scope.h"
#include "ztunnel/io/task.h"
#include "ztunnel/pods/link.h"
#include "ztunnel/pods/socket_pool.h"
#include "ztunnel/proxy/config.h"
#include "ztunnel/state/snapshot_ref.h"

namespace weft::proxy {

class AccessLog;
class LiveCounts;
class MetricsShard;
class PodProxy;
class Sockets;

// What all pods of a loop share. Everything referred to outlives the LoopProxy.
struct LoopContext {
  io::Loop& loop;
  const ProxyConfig& config;
  state::SnapshotRef& snapshot;  // this loop's
  ca::CertificateSource& certificates;
  pods::SocketSource& socket_source;  // this loop's
  Sockets& sockets;                   // Sockets::kernel(); SimLoop has its own
  MetricsShard& metrics;              // Metrics::add_shard(), one a loop
  AccessLog& access_log;              // shared by all loops
  state::Lookup* lookup = nullptr;    // set with XDS_ON_DEMAND
  LiveCounts* live_counts = nullptr;  // shared by all loops; may be absent
  std::size_t connections = 0;        // live, all pods; kept by the connections themselves
};

class LoopProxy {
 public:
  // Watches `context.snapshot`: live inbound connections that a new snapshot denies are reset
  // within that turn.
  explicit LoopProxy(LoopContext context);
  // REQUIRES: stop() returned, or no pod was ever added.
  ~LoopProxy();
  LoopProxy(const LoopProxy&) = delete;
  LoopProxy& operator=(const LoopProxy&) = delete;

  // Starts to serve. For a uid that is there already the new listeners replace the old ones and
  // live connections go on.
  void add_pod(pods::Pod pod, pods::LoopSockets sockets);
  // The pod left: outbound and plaintext close, HBONE and DNS are served `pod_drain` longer,
  // established connections keep until they end; unless the pod is `running` on, at most until
  // `termination_grace` is over. Unknown uids are ignored.
  void remove_pod(std::string_view uid, bool running = false);

  // The process is to end: what was connected is served, then the listeners close; peers get
  // GOAWAY; established connections go on.
  void drain();
  // drain(), then waits for connections at most until `deadline`, resets what is left and joins
  // everything.
  io::Task<void> stop(Deadline deadline);

  std::size_t pods() const { return pods_.size(); }
  std::size_t connections() const { return context_.connections; }

 private:
  io::Spawned farewell(io::Scope& scope, std::unique_ptr<PodProxy> pod, bool running);

  LoopContext context_;
  std::uint64_t watch_ = 0;
  io::Scope scope_;                                                     // the farewells
  io::Event hurry_;                                                     // set by stop()
  std::map<std::string, std::unique_ptr<PodProxy>, std::less<>> pods_;  // serving
  std::vector<PodProxy*> leaving_;                                      // owned by their farewell
};

}  // namespace weft::proxy
