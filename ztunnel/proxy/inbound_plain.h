// InboundPlain: what arrived at the pod's address without a tunnel, steered to 15006. Loop thread.
// The socket's own address is the original destination. No identity; policy decides (STRICT is a
// DENY policy); a denial is a RST. Source: ambient-protocol facts §5.3, §3.3.
#pragma once

#include "ztunnel/proxy/inbound.h"
#include "ztunnel/proxy/pod_context.h"

namespace weft::proxy {

class InboundPlain final : public Server {
 public:
  explicit InboundPlain(PodContext& pod) : pod_(pod) {}

  void serve(io::Socket client) override { handle(pod_.scope, std::move(client)); }

 private:
  io::Spawned handle(io::Scope& scope, io::Socket client);
  io::Task<Result<io::Socket>> admit(int client, Live& live, ConnectionRecord& record);

  PodContext& pod_;
};

}  // namespace weft::proxy
