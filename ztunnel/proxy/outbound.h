// Outbound: connections that the pod's applications opened and BPF turned to 15001. Loop thread.
// SO_ORIGINAL_DST → resolve() → a stream of the pool, or plain TCP → relay. Whatever fails, the
// application gets a RST, never a hang. Source: ambient-protocol facts §5.1, §1.5.
#pragma once

#include <string>
#include <vector>

#include "mesh/resolve.h"
#include "ztunnel/hbone/tunnel.h"
#include "ztunnel/proxy/pod_context.h"
#include "ztunnel/proxy/pool.h"

namespace weft::proxy {

class Outbound final : public Server {
 public:
  static constexpr int kEndpointsMax =
      3;  // of a service or replicas of its waypoint, tried one after the other before any byte was sent

  // Both outlive it, and so does every connection: the pod's scope is joined first.
  Outbound(PodContext& pod, Pool& pool) : pod_(pod), pool_(pool) {}

  void serve(io::Socket app) override { handle(pod_.scope, std::move(app)); }

 private:
  // One of them is set.
  struct Upstream {
    hbone::Stream stream;
    io::Socket socket;
  };

  io::Spawned handle(io::Scope& scope, io::Socket app);
  io::Task<Result<Upstream>> reach(int app, Live& live, ConnectionRecord& record, Refusal& why);
  io::Task<Result<Upstream>> dial(const mesh::Workload& self, const mesh::Route& route, Live& live,
                                  ConnectionRecord& record, Refusal& why);
  hbone::ConnectRequest connect_request(const mesh::Workload& self, const mesh::Route& route,
                                        const ConnectionRecord& record);

  PodContext& pod_;
  Pool& pool_;
};

}  // namespace weft::proxy
