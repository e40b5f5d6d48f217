#include "ztunnel/proxy/inbound.h"

#include <algorithm>

#include "mesh/resolve.h"
#include "ztunnel/io/ops.h"
#include "ztunnel/proxy/sockets.h"

namespace weft::proxy {
namespace {

std::uint16_t port_of(const mesh::Service& service, const mesh::Workload& self,
                      std::uint16_t service_port) {
  if (auto own = self.services.find(service.key()); own != self.services.end()) {
    for (const auto& port : own->second) {
      if (port.service_port == service_port && port.target_port != 0) return port.target_port;
    }
  }
  for (const auto& port : service.ports) {
    if (port.service_port == service_port) return port.target_port;
  }
  return 0;
}

// The port of `self` that `authority` means, without a tunnel's redirection.
Result<std::uint16_t> named_port(const mesh::Snapshot& snapshot, const mesh::Workload& self,
                                 const hbone::Authority& authority) {
  if (authority.ip) return authority.port;
  auto service = snapshot.service_by_hostname(authority.host, self.ns);
  if (!service) return fail(Code::kUnreachable, "unknown service");
  const auto port = port_of(*service, self, authority.port);
  if (port == 0) return fail(Code::kUnreachable, "port not in service");
  return port;
}

Result<Target> at_port(const IpAddress& ip, std::uint16_t port) {
  if (mesh::is_in_pod_port(port)) return fail(Code::kUnreachable, "port of the proxy itself");
  return Target{.app = {ip, port}, .destination = {ip, port}};
}

// A pod whose applications are shown the client by the kernel. An application tunnel without a
// header takes everything.
Result<Target> plain_target(const mesh::Snapshot& snapshot, const mesh::Workload& self,
                            const SocketAddress& local, const hbone::Authority& authority,
                            bool own) {
  const auto& tunnel = self.application_tunnel;
  if (authority.ip && !own && !tunnel) {
    auto through = mesh::find_transit(snapshot, self, &*authority.ip, {}, authority.port);
    if (!through) return fail(Code::kMalformed, "authority is not this pod");
  }
  auto port = named_port(snapshot, self, authority);
  if (!port) return std::unexpected(port.error());
  return at_port(local.ip, tunnel && tunnel->port != 0 ? tunnel->port : *port);
}

Result<Target> sandwiched_target(const mesh::Snapshot& snapshot, const mesh::Workload& self,
                                 const SocketAddress& local, const hbone::Authority& authority,
                                 bool own) {
  const auto tunnel_port = self.application_tunnel->port;
  const auto believing = [&](std::uint16_t port) -> Result<Target> {
    auto target = at_port(*IpAddress::parse("127.0.0.1"), port);
    if (target) target->header = true;
    return target;
  };
  if (own) {
    if (tunnel_port != 0 && authority.port == tunnel_port)
      return fail(Code::kUnreachable, "port of the waypoint itself");
    auto target = tunnel_port == 0 ? believing(authority.port) : at_port(local.ip, authority.port);
    if (target) target->destination = {local.ip, authority.port};
    return target;
  }
  auto transit = mesh::find_transit(snapshot, self, authority.ip ? &*authority.ip : nullptr,
                                    authority.host, authority.port);
  if (!transit) return std::unexpected(transit.error());
  auto target = believing(tunnel_port != 0 ? tunnel_port : authority.port);
  if (!target) return target;
  target->destination = transit->destination;
  target->transit = std::make_unique<mesh::Transit>(*std::move(transit));
  return target;
}

}  // namespace

Result<Target> target_of(const mesh::Snapshot& snapshot, const mesh::Workload& self,
                         const SocketAddress& local, const hbone::Authority& authority) {
  const bool own = authority.ip && *authority.ip == local.ip;
  return mesh::is_sandwiched(self) ? sandwiched_target(snapshot, self, local, authority, own)
                                   : plain_target(snapshot, self, local, authority, own);
}

SocketAddress client_of(std::string_view forwarded, const SocketAddress& peer) {
  while (!forwarded.empty()) {
    const auto end = forwarded.find(';');
    auto part = forwarded.substr(0, end);
    forwarded.remove_prefix(end == std::string_view::npos ? forwarded.size() : end + 1);
    if (!part.starts_with("for=")) continue;
    part.remove_prefix(4);
    if (part.size() >= 2 && part.front() == '"' && part.back() == '"')
      part = part.substr(1, part.size() - 2);
    const auto told = SocketAddress::parse(part);
    return told && told->ip == peer.ip && told->port != 0 ? *told : peer;
  }
  return peer;
}

SocketAddress client_in_family_of(const SocketAddress& destination, SocketAddress client,
                                  const mesh::Workload* workload) {
  if (workload == nullptr || client.ip.is_v4() == destination.ip.is_v4()) return client;
  const auto found = std::ranges::find(workload->addresses, destination.ip.is_v4(),
                                       [](const IpAddress& ip) { return ip.is_v4(); });
  if (found != workload->addresses.end()) client.ip = *found;
  return client;
}

mesh::ServicePtr guess_service(const mesh::Snapshot& snapshot, const mesh::Workload& self,
                               std::uint16_t port, std::string_view host) {
  if (!host.empty()) {
    if (auto named = snapshot.service_by_hostname(host, self.ns)) return named;
  }
  for (const auto& [key, ports] : self.services) {
    for (const auto& each : ports) {
      auto service = snapshot.service_by_key(key);
      if (service && port_of(*service, self, each.service_port) == port) return service;
    }
  }
  return nullptr;
}

io::Task<Result<io::Socket>> deliver(PodContext& pod, const mesh::Workload& self,
                                     std::optional<SocketAddress> client, SocketAddress app,
                                     Live& live) {
  auto& context = pod.loop_context;
  auto verdict = live.judge(*pod.snapshot(), self);
  live.judged = true;
  if (!verdict.allowed) {
    live.denied = true;
    live.verdict = std::make_unique<mesh::Verdict>(std::move(verdict));
    co_return fail(Code::kDenied, "policy");
  }
  const auto deadline = context.loop.in(context.config.app_connect_timeout);
  auto taken = co_await context.socket_source.take(pod.pod.uid, app.ip.is_v6(), false, deadline);
  if (!taken) co_return std::unexpected(taken.error());
  io::Socket socket(context.loop, std::move(*taken));
  const auto spread = static_cast<std::uint32_t>(pod.chance());
  auto prepared = client ? context.sockets.deliver_as(socket.get(), *client, app, spread)
                         : context.sockets.deliver_from_pod(socket.get(), app, spread);
  if (!prepared) co_return std::unexpected(prepared.error());
  live.waits_on = socket.get();
  auto connected = co_await io::connect(context.loop, socket.get(), app, deadline);
  live.waits_on = -1;
  if (live.denied) co_return fail(Code::kDenied, "policy");
  if (!connected) co_return std::unexpected(connected.error());
  co_return std::move(socket);
}

void finish_refused(ConnectionRecord& record, Clock::time_point now, const Error& error,
                    const Live& live) {
  if (live.denied) return record.finish_denied(now, *live.verdict);
  const char* hint = "";
  if (error.code == Code::kUnsupported)
    hint = "the kernel programs do not answer for this socket: is the agent running?";
  if (error.code == Code::kExhausted)
    hint = "no socket in the pod's network namespace: is the agent running?";
  if (error.code == Code::kUnreachable && error.os != 0)
    hint = "the application does not accept connections on that port";
  if (error.code == Code::kMalformed)
    hint = "the client asked for an address that is neither this pod's nor behind it as a waypoint";
  record.finish_error(now, Outcome::kConnect, error, hint);
}

}  // namespace weft::proxy
