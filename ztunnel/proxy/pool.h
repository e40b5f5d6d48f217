// Pool: one pod's HBONE tunnels on one loop, by whom they lead to. Loop thread.
// The source identity and the source address are the pod's own, so the key is the peer: its address
// and who it must prove to be. Source: ambient-protocol facts §1.9; deliberately different: waiters
// are bounded, dials have deadlines, a busy key gets several tunnels (one HTTP/2 connection caps
// throughput, and the peer spreads connections over its loops, not streams).
#pragma once

#include <compare>
#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/net.h"
#include "base/result.h"
#include "mesh/identity.h"
#include "ztunnel/hbone/tunnel.h"
#include "ztunnel/io/event.h"
#include "ztunnel/io/scope.h"
#include "ztunnel/io/task.h"
#include "ztunnel/proxy/loop_proxy.h"
#include "ztunnel/proxy/record.h"

namespace weft::proxy {

struct TunnelKey {
  SocketAddress address;
  std::vector<mesh::Identity> expected;
  auto operator<=>(const TunnelKey&) const = default;
};

// Why there is no stream, for record().
struct Refusal {
  Outcome outcome = Outcome::kConnect;
  Error error{Code::kUnreachable};
  std::string detail;  // from the TLS engine
  const char* hint = "";
  bool dial_failed = false;  // the peer was not reached at all: another endpoint may do
};

class Pool {
 public:
  static constexpr std::size_t kHotStreams = 32;  // a tunnel this busy gets a sibling, up to
  static constexpr std::size_t kWarmTunnels = 4;  // this many per key; more only when all are full
  static constexpr std::size_t kTunnelsMax = 64;  // per key
  static constexpr int kAttemptsMax = 3;          // tunnels tried for one stream (GOAWAY races)
  static constexpr std::chrono::seconds kSweepInterval{30};

  // `context`, `pod` and `scope` outlive the pool; tunnels and dials run in `scope`.
  Pool(LoopContext& context, const pods::Pod& pod, io::Scope& scope);
  // REQUIRES: close() was called and `scope` is joined.
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  // A stream to the peer of `key`, over a tunnel with room or a new one; only one dial per key at a
  // time, others wait for it. `source` must be the pod's identity. Waits at most for connect, TLS
  // and CONNECT answer as configured. On failure `why` says more.
  io::Task<Result<hbone::Stream>> open(mesh::Identity source, TunnelKey key,
                                       hbone::ConnectRequest request, Refusal& why);

  // Ends every tunnel and every wait, now. Idempotent.
  void close();

  std::size_t tunnels() const;

 private:
  struct Slot;
  using SlotPtr = std::shared_ptr<Slot>;
  using TunnelPtr = std::shared_ptr<hbone::ClientTunnel>;

  SlotPtr slot(const TunnelKey& key);
  TunnelPtr pick(Slot& slot, const mesh::Identity& source);
  io::Task<Result<TunnelPtr>> tunnel_for(SlotPtr slot, mesh::Identity source, Refusal& why);
  io::Spawned dial_into(io::Scope& scope, SlotPtr slot, mesh::Identity source);
  io::Task<Result<TunnelPtr>> dial(const TunnelKey& key, mesh::Identity source, Refusal& why);
  io::Task<Result<Fd>> connect(const SocketAddress& address, Refusal& why);
  io::Spawned sweep(io::Scope& scope);
  void drop_unused();

  LoopContext& context_;
  const pods::Pod& pod_;
  io::Scope& scope_;
  std::map<TunnelKey, SlotPtr> slots_;
  io::Event wake_;  // the sweeper: a first slot, or closing
  bool sweeping_ = false;
  bool closed_ = false;
};

}  // namespace weft::proxy
