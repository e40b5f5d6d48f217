#include "ztunnel/proxy/inbound.h"

#include <algorithm>

#include "mesh/resolve.h"
#include "ztunnel/io/ops.h"
#include "ztunnel/proxy/sockets.h"

namespace weft::proxy {
namespace {

bool has_address(const mesh::Workload& workload, const IpAddress& ip) {
  return std::ranges::find(workload.addresses, ip) != workload.addresses.end();
}

bool is_endpoint_of(const mesh::Snapshot& snapshot, const mesh::Workload& self,
                    std::string_view service_key) {
  return std::ranges::any_of(snapshot.endpoints(service_key),
                             [&](const auto& each) { return each->uid == self.uid; });
}

// `self` is the waypoint that `address` names.
bool is_gateway(const mesh::Snapshot& snapshot, const mesh::Workload& self,
                const std::optional<mesh::GatewayAddress>& address) {
  if (!address) return false;
  if (const auto* name = std::get_if<mesh::NamespacedHostname>(&address->destination))
    return is_endpoint_of(snapshot, self, name->key());
  const auto& ip = std::get<mesh::NetworkAddress>(address->destination).ip;
  if (has_address(self, ip)) return true;
  auto service = snapshot.service_by_vip(ip, self.ns);
  return service && is_endpoint_of(snapshot, self, service->key());
}

// Traffic for `ip` is to pass through `self`, a waypoint.
bool stands_before(const mesh::Snapshot& snapshot, const mesh::Workload& self,
                   const IpAddress& ip) {
  if (auto workload = snapshot.workload_by_ip(ip))
    return is_gateway(snapshot, self, workload->waypoint);
  auto service = snapshot.service_by_vip(ip, self.ns);
  return service && is_gateway(snapshot, self, service->waypoint);
}

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

}  // namespace

Result<std::uint16_t> target_of(const mesh::Snapshot& snapshot, const mesh::Workload& self,
                                const SocketAddress& local, const hbone::Authority& authority) {
  std::uint16_t port = authority.port;
  if (authority.ip) {
    const bool here = *authority.ip == local.ip || self.application_tunnel ||
                      stands_before(snapshot, self, *authority.ip);
    if (!here) return fail(Code::kMalformed, "authority is not this pod");
  } else {
    auto service = snapshot.service_by_hostname(authority.host, self.ns);
    if (!service) return fail(Code::kUnreachable, "unknown service");
    port = port_of(*service, self, authority.port);
  }
  if (self.application_tunnel && self.application_tunnel->port != 0)
    port = self.application_tunnel->port;
  if (port == 0) return fail(Code::kUnreachable, "port not in service");
  if (mesh::is_in_pod_port(port)) return fail(Code::kUnreachable, "port of the proxy itself");
  return port;
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
                                     SocketAddress client, SocketAddress app, Live& live) {
  auto& context = pod.loop_context;
  auto verdict = mesh::authorize(*pod.snapshot(), self, live.attributes);
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
  auto prepared = context.sockets.deliver_as(socket.get(), client, app,
                                             static_cast<std::uint32_t>(pod.chance()));
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
  record.finish_error(now, Outcome::kConnect, error, hint);
}

}  // namespace weft::proxy
