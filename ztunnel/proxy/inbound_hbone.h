// InboundHbone: tunnels that peers open to podIP:15008, and the CONNECT streams in them. Loop
// thread. TLS with the pod's credentials → authority must be this pod → policy (401) → the
// application at podIP:port from a loopback source, seeing the client's address (503) → 200 →
// relay. For a sandwiched waypoint: authority must be behind it → the endpoints' policies, where it
// is no HTTP → its proxy on loopback, told by a PROXY v2 header who the client has proven to be. Source: ambient-protocol facts §1.7, §1.8, §3.1, §5.4.
#pragma once

#include <map>
#include <memory>
#include <set>

#include "ztunnel/hbone/tunnel.h"
#include "ztunnel/proxy/inbound.h"
#include "ztunnel/proxy/pod_context.h"
#include "ztunnel/proxy/record.h"

namespace weft::proxy {

class InboundHbone final : public Server {
 public:
  explicit InboundHbone(PodContext& pod) : pod_(pod) {}

  void serve(io::Socket socket) override { handle(pod_.scope, std::move(socket)); }
  // GOAWAY on every tunnel: no new streams, those that run go on.
  void drain();
  // Ends every tunnel now.
  void close();

 private:
  // One accepted tunnel; its streams share it.
  struct Peer {
    SocketAddress client, local;
    std::shared_ptr<const mesh::Identity> identity;
    std::shared_ptr<hbone::ServerTunnel> tunnel;
  };

  io::Spawned handle(io::Scope& scope, io::Socket socket);
  // A tunnel that did not come about, or that its peer broke: one line of its own.
  void record_broken(const Peer& peer, Outcome outcome, const Error& error,
                     std::string_view detail);
  io::Task<Result<void>> shake_hands(io::Socket socket, Live& live, Peer& peer,
                                     std::string& detail);
  io::Spawned handle_stream(io::Scope& scope, hbone::IncomingStream incoming,
                            std::shared_ptr<const Peer> peer);
  io::Task<Result<Target>> find_target(const Peer& peer, const hbone::Authority& authority);
  io::Task<Result<io::Socket>> admit(hbone::IncomingStream& incoming, const Peer& peer, Live& live,
                                     ConnectionRecord& record, std::string& baggage);

  PodContext& pod_;
  std::set<std::shared_ptr<hbone::ServerTunnel>> tunnels_;
  std::map<IpAddress, std::size_t> shaking_;  // accepted and not proven yet, by source
  bool draining_ = false;
};

}  // namespace weft::proxy
