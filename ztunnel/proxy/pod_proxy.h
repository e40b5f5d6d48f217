// PodProxy: everything of one pod on one loop. Loop thread.
//
//   serving ─leave→ HBONE and DNS ─drain→ finishing ─stop→ gone
#pragma once

#include <memory>
#include <vector>

#include "base/clock.h"
#include "ztunnel/pods/link.h"
#include "ztunnel/proxy/dns.h"
#include "ztunnel/proxy/inbound_hbone.h"
#include "ztunnel/proxy/inbound_plain.h"
#include "ztunnel/proxy/outbound.h"
#include "ztunnel/proxy/pod_context.h"
#include "ztunnel/proxy/pool.h"

namespace weft::proxy {

class PodProxy {
 public:
  PodProxy(LoopContext& context, pods::Pod pod);
  // REQUIRES: stop() returned.
  ~PodProxy();
  PodProxy(const PodProxy&) = delete;
  PodProxy& operator=(const PodProxy&) = delete;

  // Serves these listeners instead of the ones before; live connections go on.
  void listen(pods::LoopSockets sockets);
  void on_snapshot();

  // The pod left the mesh: HBONE is still accepted, and the resolvers that asked us are answered;
  // what waits at the other listeners is served, then they close.
  void leave();
  // What waits at the listeners is served, then they close; peers get GOAWAY; DNS ends with the
  // last answer.
  void drain();
  // After drain(): waits until no connection and no DNS query lives. Errors: kTimedOut.
  io::Task<Result<void>> quiet(Deadline deadline);
  void hurry();  // quiet() returns
  // Resets what lives and joins everything; listeners close. Idempotent.
  io::Task<void> stop();

  std::size_t connections() const { return context_.live_count; }
  std::size_t tunnels() const { return pool_.tunnels(); }

 private:
  using Listeners = std::vector<std::unique_ptr<Listener>>;
  void open(Listeners& listeners, Fd fd, Server& server);
  void replace(Listeners& listeners);
  io::Spawned finish_replaced(io::Scope& scope);
  io::Task<Result<void>> listeners_finished(Deadline deadline);

  PodContext context_;
  Pool pool_;
  Outbound outbound_;
  InboundHbone hbone_;
  InboundPlain plain_;
  Dns dns_;
  Listeners local_;     // 15001, 15006, 15053
  Listeners remote_;    // 15008
  Listeners replaced_;  // served a little longer
  io::Event ended_;     // set by stop()
  bool hurried_ = false;
};

}  // namespace weft::proxy
