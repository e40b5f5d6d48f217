#include "ztunnel/proxy/inbound_plain.h"

#include "mesh/resolve.h"
#include "ztunnel/proxy/end.h"
#include "ztunnel/proxy/relay.h"
#include "ztunnel/proxy/sockets.h"

namespace weft::proxy {

io::Spawned InboundPlain::handle(io::Scope&, io::Socket client) {
  auto& loop = pod_.loop();
  Live live(pod_);
  ConnectionRecord record(pod_.loop_context.metrics, pod_.loop_context.access_log,
                          Direction::kInbound, loop.now(), &pod_.failures);
  auto app = co_await admit(client.get(), live, record);
  if (!app) {
    client.reset();
    finish_refused(record, loop.now(), app.error(), live);
    co_return;
  }
  record.established();
  auto relayed = co_await relay(loop, client, *app, record.client_to_server,
                                record.server_to_client, live.stop, &pod_.buffers);
  finish(record, loop.now(), relayed, live);
}

io::Task<Result<io::Socket>> InboundPlain::admit(int client, Live& live, ConnectionRecord& record) {
  auto& sockets = pod_.loop_context.sockets;
  auto peer = sockets.peer(client);
  if (!peer) co_return std::unexpected(peer.error());
  auto local = sockets.local(client);
  if (!local) co_return std::unexpected(local.error());
  record.source = *peer;
  record.destination = *local;
  auto self = co_await pod_.wait_for_self();
  if (!self) co_return std::unexpected(self.error());
  record.destination_workload = *self;
  const auto snapshot = pod_.snapshot();
  record.source_workload = snapshot->workload_by_ip(peer->ip);
  record.service = guess_service(*snapshot, **self, local->port, {});
  if (!pod_.owns(self->get(), local->ip))
    co_return fail(Code::kMalformed, "destination is not this pod");
  if (mesh::is_in_pod_port(local->port))
    co_return fail(Code::kUnreachable, "port of the proxy itself");
  // Who writes there is believed to be anybody: whatever listens, only ztunnel comes through.
  if (mesh::is_claims_port(**self, local->port))
    co_return fail(Code::kUnreachable, "port of the waypoint itself");
  live.attributes = {peer->ip, local->ip, local->port, nullptr};
  auto delivered = co_await deliver(pod_, **self, *peer, *local, live);
  co_return delivered;
}

}  // namespace weft::proxy
