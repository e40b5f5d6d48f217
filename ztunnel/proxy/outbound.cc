#include "ztunnel/proxy/outbound.h"

#include <cerrno>

#include "ztunnel/hbone/baggage.h"
#include "ztunnel/hbone/head.h"
#include "ztunnel/proxy/end.h"
#include "ztunnel/proxy/metrics.h"
#include "ztunnel/proxy/relay.h"
#include "ztunnel/proxy/sockets.h"

namespace weft::proxy {
namespace {

void describe_route(const mesh::Route& route, ConnectionRecord& record) {
  record.destination = route.address;
  record.hbone = route.kind == mesh::Route::Kind::kHbone ? route.tunnel : SocketAddress{};
  record.destination_workload = route.workload;
  record.service = route.service;
}

// A waypoint says that this service is not behind it: its node knows more than this one, or less.
bool is_disowned(const mesh::Route& route, const Refusal& why) {
  return route.via_waypoint && why.error.code == Code::kMalformed;
}

// The application has seen nothing yet, and another endpoint, another replica of the waypoint or
// newer knowledge may do.
bool may_try_again(const mesh::Route& route, const Refusal& why) {
  if (is_disowned(route, why)) return true;
  if (route.via_waypoint) return why.dial_failed || why.error.code == Code::kUnreachable;
  return route.service && route.workload && why.dial_failed;
}

const char* hint_of(const Error& error) {
  switch (error.code) {
    case Code::kDenied:
      return "a connection to the proxy itself";
    case Code::kUnsupported:
      return "the destination is on another network";
    case Code::kUnreachable:
      return std::string_view(error.where) == mesh::kUnknownWaypoint
                 ? "its waypoint is not known or has no healthy replica"
                 : "no endpoint of that service is ready";
    case Code::kTimedOut:
      return "the control plane has not told of this pod: is it reachable?";
    case Code::kNotFound:
      return "nobody knows where the application wanted to go: it connected to 15001 itself";
    default:
      return "";
  }
}

}  // namespace

io::Spawned Outbound::handle(io::Scope&, io::Socket app) {
  auto& loop = pod_.loop();
  Live live(pod_);
  ConnectionRecord record(pod_.loop_context.metrics, pod_.loop_context.access_log,
                          Direction::kOutbound, loop.now(), &pod_.failures);
  Upstream upstream;
  {
    Refusal why;
    auto reached = co_await reach(app.get(), live, record, why);
    if (!reached) {
      app.reset();
      record.finish_error(loop.now(), why.outcome, why.error, explain(why));
      co_return;
    }
    upstream = std::move(*reached);
  }
  record.established();
  Relayed relayed;
  if (upstream.stream) {
    auto done = co_await relay(loop, app, upstream.stream, record.client_to_server,
                               record.server_to_client, live.stop, &pod_.buffers);
    relayed = std::move(done);
  } else {
    auto done = co_await relay(loop, app, upstream.socket, record.client_to_server,
                               record.server_to_client, live.stop, &pod_.buffers);
    relayed = std::move(done);
  }
  finish(record, loop.now(), relayed, live);
}

io::Task<Result<Outbound::Upstream>> Outbound::reach(int app, Live& live, ConnectionRecord& record,
                                                     Refusal& why) {
  auto& context = pod_.loop_context;
  const auto fault = [&why](const Error& error) {
    why.error = error;
    why.hint = hint_of(error);
    return std::unexpected(error);
  };
  if (auto peer = context.sockets.peer(app)) record.source = *peer;
  auto original = context.sockets.original_destination(app);
  if (!original) co_return fault(original.error());
  record.destination = *original;
  auto self = co_await pod_.wait_for_self();
  if (!self) co_return fault(self.error());
  const mesh::Workload& me = **self;
  record.source_workload = *self;
  // What the application's socket shows is loopback; the peer will see the pod's address.
  for (const auto& ip : me.addresses) {
    if (ip.is_v4() == original->ip.is_v4()) record.source.ip = ip;
  }
  if (context.lookup != nullptr) {
    auto fetched =
        co_await context.lookup->fetch(context.loop, me.network + "/" + original->ip.str(),
                                       context.loop.in(context.config.workload_wait));
    if (!fetched) co_return fault(fetched.error());
  }
  auto snapshot = pod_.snapshot();
  auto route = mesh::resolve(*snapshot, me, *original, pod_.random());
  if (!route) co_return fault(route.error());

  std::vector<std::string> tried;
  for (int endpoint = 1;; ++endpoint) {
    describe_route(*route, record);
    auto dialed = co_await dial(me, *route, live, record, why);
    if (dialed) co_return dialed;
    if (endpoint == kEndpointsMax || live.stop.is_set() || !may_try_again(*route, why))
      co_return std::unexpected(dialed.error());
    if (is_disowned(*route, why)) {
      if (pod_.snapshot() == snapshot) {
        auto news =
            co_await pod_.snapshot_changed.wait(context.loop.in(context.config.transit_wait));
        if (!news) co_return std::unexpected(dialed.error());
      }
      snapshot = pod_.snapshot();
    } else {
      tried.push_back(route->workload->uid);
    }
    auto next = mesh::resolve(*snapshot, me, *original, pod_.random(), tried);
    if (!next) co_return std::unexpected(dialed.error());
    route = std::move(next);
  }
}

io::Task<Result<Outbound::Upstream>> Outbound::dial(const mesh::Workload& self,
                                                    const mesh::Route& route, Live& live,
                                                    ConnectionRecord& record, Refusal& why) {
  Upstream upstream;
  if (route.kind == mesh::Route::Kind::kPassthrough) {
    auto socket = co_await connect_from_pod(pod_, route.address, live,
                                            pod_.loop().in(pod_.config().connect_timeout));
    if (!socket) {
      why = Refusal{.outcome = Outcome::kConnect, .error = socket.error(), .dial_failed = true};
      co_return std::unexpected(socket.error());
    }
    upstream.socket = std::move(*socket);
    co_return std::move(upstream);
  }
  auto stream = co_await pool_.open(self.identity(), TunnelKey{route.tunnel, route.expected},
                                    connect_request(self, route, record), why);
  // A refusal by policy came from a peer that proved itself, too.
  if (stream || why.outcome == Outcome::kDenied) record.mutual_tls = true;
  if (!stream) co_return std::unexpected(stream.error());
  upstream.stream = std::move(*stream);
  co_return std::move(upstream);
}

hbone::ConnectRequest Outbound::connect_request(const mesh::Workload& self,
                                                const mesh::Route& route,
                                                const ConnectionRecord& record) {
  hbone::ConnectRequest request;
  request.authority = route.authority;
  request.baggage = hbone::format_baggage(baggage_of(self));
  request.forwarded = hbone::format_forwarded(
      record.source,
      route.service ? std::string_view(route.service->hostname) : std::string_view());
  request.traceparent = hbone::make_traceparent(pod_.chance(), pod_.chance(), pod_.chance());
  return request;
}

}  // namespace weft::proxy
