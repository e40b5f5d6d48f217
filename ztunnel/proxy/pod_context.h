// PodContext: what the parts of one pod's proxy share on one loop, and the register of its live
// connections. Loop thread.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <random>

#include "base/clock.h"
#include "base/line_budget.h"
#include "mesh/policy.h"
#include "mesh/resolve.h"
#include "mesh/snapshot.h"
#include "mesh/waypoint.h"
#include "ztunnel/io/event.h"
#include "ztunnel/io/scope.h"
#include "ztunnel/io/share.h"
#include "ztunnel/io/socket.h"
#include "ztunnel/io/task.h"
#include "ztunnel/proxy/live_counts.h"
#include "ztunnel/proxy/loop_proxy.h"
#include "ztunnel/proxy/record.h"

namespace weft::proxy {

struct PodContext;

// A connection while it lives, linked into its pod: found by a new snapshot (judge it again) and by
// stop() (end it). Lives in the connection's coroutine frame. `stop` ends the relay: both sides are
// then reset.
class Live {
 public:
  // Not an application's own: a tunnel, a connection to DNS. People are not shown its number.
  enum class Kind : std::uint8_t { kApplication, kOurs };
  explicit Live(PodContext& pod, Kind kind = Kind::kApplication);
  ~Live();
  Live(const Live&) = delete;
  Live& operator=(const Live&) = delete;

  // Inbound only: what policy sees. `source` is null without mutual TLS. Set before judged.
  mesh::ConnectionAttributes attributes;
  std::unique_ptr<mesh::Transit>
      transit;  // it passes through this pod, a waypoint: judged as that. Null: it is for the pod
  bool judged = false;  // it was let in by policy, so policy may cut it
  bool denied = false;  // it was cut by policy: `verdict` says which
  std::unique_ptr<mesh::Verdict> verdict;
  io::Event stop;
  int waits_on = -1;  // a socket with a pending operation before the relay: cut() cancels it

  // Under `snapshot`, where the pod is `self`.
  mesh::Verdict judge(const mesh::Snapshot& snapshot, const mesh::Workload& self) const;
  void cut();

 private:
  friend struct PodContext;
  PodContext& pod_;
  const Kind kind_;
  Live* next_ = nullptr;
  Live* prev_ = nullptr;
};

struct PodContext {
  PodContext(LoopContext& loop_context, pods::Pod pod);
  PodContext(const PodContext&) = delete;
  PodContext& operator=(const PodContext&) = delete;

  LoopContext& loop_context;
  const pods::Pod pod;
  io::Share buffers;           // of the loop's, held by stalled connections
  io::Scope scope;             // every coroutine of the pod
  io::Event snapshot_changed;  // pulsed
  io::Event quiet;             // set while no connection lives
  bool stopping = false;
  std::size_t live_count = 0;
  LiveCounts::Count shared_count;  // the same over all loops; may be null
  LineBudget failures;  // access-log lines

  io::Loop& loop() const { return loop_context.loop; }
  const ProxyConfig& config() const { return loop_context.config; }
  state::SnapshotPtr snapshot() const { return loop_context.snapshot.get(); }
  // The pod's own workload in `snapshot`, or null.
  mesh::WorkloadPtr self(const mesh::Snapshot& snapshot) const;
  // The same, waiting for a snapshot that has it. Errors: kTimedOut.
  io::Task<Result<mesh::WorkloadPtr>> wait_for_self();
  // No further connection now: the loop has all it may, or this pod as many as are left for all
  // others.
  bool is_full() const {
    const std::size_t most = config().connections_max;
    return loop_context.connections >= most || live_count >= most - loop_context.connections;
  }
  // `ip` is one of the pod's.
  bool owns(const mesh::Workload* self, const IpAddress& ip) const;

  const mesh::Random& random() const { return random_; }
  std::uint64_t chance() { return engine_(); }

  // Resets every live connection that the new snapshot denies. Where the pod's own workload is
  // missing from it, the one last known is judged: a gap in what the control plane says is no leave.
  void judge_again();
  void cut_all();

 private:
  friend class Live;
  mutable mesh::WorkloadPtr last_self_;  // what self() found last
  Live* first_ = nullptr;
  std::mt19937_64 engine_;
  mesh::Random random_;
};

// What serves the connections of one kind of listener.
class Server {
 public:
  virtual void serve(io::Socket socket) = 0;

 protected:
  ~Server() = default;
};

// A listening socket and the coroutine that accepts from it; the coroutine closes it. Pauses while
// the loop is full.
class Listener {
 public:
  // `pod` and `server` outlive the accepting coroutine, which runs in the pod's scope.
  Listener(PodContext& pod, Fd fd, Server& server);
  ~Listener() { close(); }
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;
  // No further accept; the backlog is reset by the kernel.
  void close();
  // Serves what waits in the backlog, then closes. For a listener that others stand in for already.
  void finish();
  // Nothing comes from it any more.
  bool finished() const;

 private:
  struct Shared;
  static io::Spawned run(io::Scope& scope, PodContext& pod, std::shared_ptr<Shared> shared,
                         Server& server);
  io::Loop& loop_;
  std::shared_ptr<Shared> shared_;
};

// Dials `address` with a socket of the pod's netns. The socket is closed on failure.
io::Task<Result<io::Socket>> connect_from_pod(PodContext& pod, SocketAddress address, Live& live,
                                              Deadline deadline);

}  // namespace weft::proxy
