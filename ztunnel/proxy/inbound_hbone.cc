#include "ztunnel/proxy/inbound_hbone.h"

#include "ztunnel/hbone/baggage.h"
#include "ztunnel/io/ops.h"
#include "ztunnel/proxy/end.h"
#include "ztunnel/proxy/metrics.h"
#include "ztunnel/proxy/proxy_protocol.h"
#include "ztunnel/proxy/relay.h"
#include "ztunnel/proxy/sockets.h"

namespace weft::proxy {

io::Spawned InboundHbone::handle(io::Scope& scope, io::Socket socket) {
  Live live(pod_, Live::Kind::kOurs);
  auto peer = std::make_shared<Peer>();
  {
    std::string detail;
    auto shaken = co_await shake_hands(std::move(socket), live, *peer, detail);
    const auto unproven = shaking_.find(peer->client.ip);
    if (unproven != shaking_.end() && --unproven->second == 0) shaking_.erase(unproven);
    if (!shaken) {
      const bool identity = shaken.error().code == Code::kIdentityMismatch;
      record_broken(*peer, identity ? Outcome::kIdentity : Outcome::kTlsFailure, shaken.error(),
                    detail);
      co_return;
    }
  }
  auto tunnel = peer->tunnel;
  tunnels_.insert(tunnel);
  if (draining_) tunnel->drain();
  for (;;) {
    auto incoming = co_await tunnel->next_stream();
    if (!incoming) {
      if (incoming.error().code == Code::kMalformed)
        record_broken(*peer, Outcome::kH2Handshake, incoming.error(), tunnel->end_reason());
      break;
    }
    if (pod_.is_full()) {
      pod_.loop_context.metrics.accept_pauses.add(1);
      incoming->refuse(hbone::kStatusServiceUnavailable);
      continue;
    }
    handle_stream(scope, std::move(*incoming), peer);
  }
  tunnels_.erase(tunnel);
}

void InboundHbone::record_broken(const Peer& peer, Outcome outcome, const Error& error,
                                 std::string_view detail) {
  const auto now = pod_.loop().now();
  ConnectionRecord record(pod_.loop_context.metrics, pod_.loop_context.access_log,
                          Direction::kInbound, now, &pod_.failures);
  record.source = peer.client;
  record.destination = peer.local;
  record.destination_workload = pod_.self(*pod_.snapshot());
  record.source_identity = peer.identity;
  record.mutual_tls = peer.identity != nullptr;
  record.finish_error(now, outcome, error, detail);
}

io::Task<Result<void>> InboundHbone::shake_hands(io::Socket socket, Live& live, Peer& peer,
                                                 std::string& detail) {
  auto& context = pod_.loop_context;
  auto client = context.sockets.peer(socket.get());
  if (!client) co_return std::unexpected(client.error());
  auto local = context.sockets.local(socket.get());
  if (!local) co_return std::unexpected(local.error());
  peer.client = *client;
  peer.local = *local;
  if (++shaking_[peer.client.ip] > context.config.handshakes_max) {
    detail = "too many handshakes from this address at once";
    co_return fail(Code::kExhausted, "tls handshake");
  }
  auto self = co_await pod_.wait_for_self();
  if (!self) co_return std::unexpected(self.error());
  auto credentials = context.certificates.peek((*self)->identity());
  if (!credentials) {
    auto fetched = co_await context.certificates.get(context.loop, (*self)->identity(),
                                                     context.loop.in(context.config.workload_wait));
    if (!fetched) {
      detail = "no certificate for this workload: is the control plane reachable?";
      co_return std::unexpected(fetched.error());
    }
    credentials = std::move(*fetched);
  }
  live.waits_on = socket.get();
  auto tunnel = co_await hbone::ServerTunnel::accept(
      pod_.scope, context.loop, socket.release(), std::move(credentials),
      context.loop.in(context.config.tls_timeout), &detail);
  live.waits_on = -1;
  if (!tunnel) co_return std::unexpected(tunnel.error());
  peer.tunnel = std::move(*tunnel);
  peer.identity = std::make_shared<mesh::Identity>(peer.tunnel->peer());
  co_return Result<void>();
}

io::Spawned InboundHbone::handle_stream(io::Scope&, hbone::IncomingStream incoming,
                                        std::shared_ptr<const Peer> peer) {
  auto& loop = pod_.loop();
  Live live(pod_);
  ConnectionRecord record(pod_.loop_context.metrics, pod_.loop_context.access_log,
                          Direction::kInbound, loop.now(), &pod_.failures);
  io::Socket app;
  hbone::Stream stream;
  {
    std::string baggage;
    auto admitted = co_await admit(incoming, *peer, live, record, baggage);
    if (!admitted) {
      incoming.refuse(hbone::status_of(admitted.error()));
      finish_refused(record, loop.now(), admitted.error(), live);
      co_return;
    }
    app = std::move(*admitted);
    stream = incoming.accept(std::move(baggage));
    incoming = hbone::IncomingStream();
  }
  record.established();
  auto relayed = co_await relay(loop, app, stream, record.server_to_client, record.client_to_server,
                                live.stop, &pod_.buffers);
  finish(record, loop.now(), relayed, live);
}

// Everything between the head and the 200. On failure the error's code says the status.
io::Task<Result<io::Socket>> InboundHbone::admit(hbone::IncomingStream& incoming, const Peer& peer,
                                                 Live& live, ConnectionRecord& record,
                                                 std::string& baggage) {
  const auto& request = incoming.request();
  record.source = client_of(request.forwarded, peer.client);
  record.destination = record.hbone = peer.local;
  record.mutual_tls = true;
  record.source_identity = peer.identity;
  const auto snapshot = pod_.snapshot();
  const auto self = pod_.self(*snapshot);
  if (!self) co_return fail(Code::kUnreachable, "local workload");
  record.destination_workload = self;
  // A source address whose workload is somebody else than the proven identity tells nothing about
  // the source.
  record.source_workload = snapshot->workload_by_ip(peer.client.ip);
  if (record.source_workload && record.source_workload->identity() != *peer.identity)
    record.source_workload = nullptr;

  const auto authority = hbone::Authority::parse(request.authority);
  if (!authority) co_return fail(Code::kMalformed, "authority");
  auto target = co_await find_target(peer, *authority);
  if (!target) co_return std::unexpected(target.error());
  record.destination = target->destination;
  record.service = target->transit
                       ? target->transit->service
                       : guess_service(*snapshot, *self, target->app.port,
                                       hbone::forwarded_host(request.forwarded));
  baggage = hbone::format_baggage(baggage_of(*self));
  live.attributes = {peer.client.ip, target->destination.ip, target->destination.port,
                     peer.identity.get()};
  live.transit = std::move(target->transit);
  if (!target->header) {
    auto delivered = co_await deliver(pod_, *self, record.source, target->app, live);
    co_return delivered;
  }
  record.source = client_in_family_of(target->destination, record.source,
                                      record.source_workload.get());
  auto proxy = co_await deliver(pod_, *self, std::nullopt, target->app, live);
  if (!proxy) co_return proxy;
  const auto header = proxy_header(record.source, target->destination, *peer.identity);
  live.waits_on = proxy->get();
  auto told = co_await io::send_all(pod_.loop(), proxy->get(), header,
                                    pod_.loop().in(pod_.config().app_connect_timeout));
  live.waits_on = -1;
  if (live.denied) co_return fail(Code::kDenied, "policy");
  if (!told) co_return fail(Code::kUnreachable, "proxy header", told.error().os);
  co_return proxy;
}

// A waypoint's node may hear of a service after the client's node did: what is behind nobody yet is
// looked at again when there is news.
io::Task<Result<Target>> InboundHbone::find_target(const Peer& peer,
                                                   const hbone::Authority& authority) {
  auto& context = pod_.loop_context;
  const auto deadline = context.loop.in(context.config.transit_wait);
  bool asked = context.lookup == nullptr || !authority.ip || *authority.ip == peer.local.ip;
  for (;;) {
    const auto snapshot = pod_.snapshot();
    const auto self = pod_.self(*snapshot);
    if (!self) co_return fail(Code::kUnreachable, "local workload");
    auto target = target_of(*snapshot, *self, peer.local, authority);
    const bool own = authority.ip && *authority.ip == peer.local.ip;
    if (target || own || !mesh::is_sandwiched(*self)) co_return target;
    if (!asked) {
      asked = true;
      auto fetched = co_await context.lookup->fetch(
          context.loop, self->network + "/" + authority.ip->str(), deadline);
      if (fetched) continue;
    }
    auto news = co_await pod_.snapshot_changed.wait(deadline);
    if (!news) co_return target;
    if (pod_.stopping) co_return fail(Code::kDraining, "local workload");
  }
}

void InboundHbone::drain() {
  draining_ = true;
  for (const auto& tunnel : tunnels_) tunnel->drain();
}

void InboundHbone::close() {
  const auto tunnels = tunnels_;
  for (const auto& tunnel : tunnels) tunnel->close("stopping");
}

}  // namespace weft::proxy
