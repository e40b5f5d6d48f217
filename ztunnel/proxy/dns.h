// Dns: one pod's answers on 15053, UDP and TCP, on one loop. Loop thread.
// A and AAAA of what the mesh knows come from the snapshot; everything else is relayed byte for
// byte to the cluster's DNS from a socket in the pod's netns, and the answer byte for byte back.
// Source: ambient-protocol facts §5.5.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <vector>

#include "ztunnel/io/event.h"
#include "ztunnel/proxy/dns_codec.h"
#include "ztunnel/proxy/metrics.h"
#include "ztunnel/proxy/pod_context.h"

namespace weft::proxy {

class Dns final : public Server {
 public:
  static constexpr std::size_t kIdleUpstreams =
      8;  // UDP sockets to the cluster's DNS kept for the next query
  static constexpr std::size_t kBatch = 32;  // datagrams answered before others get their turn
  static constexpr std::chrono::seconds kTcpIdle{10};

  explicit Dns(PodContext& pod) : pod_(pod), finished_(pod.loop()) { finished_.set(); }

  // Answers datagrams of `fd` until finish() or close().
  void serve_udp(Fd fd);
  void serve(io::Socket client) override {
    tcp(pod_.scope, std::move(client));
  }  // a TCP connection
  // Others stand in for the UDP sockets of now, or nobody asks any more: each goes on until what
  // came is answered, at most `dns_timeout`, and is then closed. A lost query would cost a resolver
  // its own wait, 5 s as a rule.
  void finish();
  // Waits for that. Errors: kTimedOut.
  io::Task<Result<void>> finished(Deadline deadline);
  void hurry() { finished_.set(); }  // finished() returns
  // Queries under way are dropped.
  void close();

 private:
  using Bytes = std::vector<std::byte>;
  struct Udp {
    io::Socket socket;
    bool closed = false;
    std::size_t asked = 0;  // upstream, not yet answered
    Clock::time_point finish_by = Clock::time_point::max();
    bool finishing() const { return finish_by != Clock::time_point::max(); }
  };

  // The reply if it is ours to give; nullopt: ask upstream. `query` is what was parsed, if it could
  // be.
  std::optional<Bytes> answer(std::span<const std::byte> message, bool tcp,
                              std::optional<dns::Query>& query);
  DnsSeries& series(const dns::Query& query, bool tcp);

  io::Spawned udp(io::Scope& scope, std::shared_ptr<Udp> socket);
  // Answers what waits, one batch at most. Returns how much it was.
  std::size_t serve_batch(io::Scope& scope, const std::shared_ptr<Udp>& socket);
  io::Spawned forward_udp(io::Scope& scope, std::shared_ptr<Udp> socket, SocketAddress client,
                          Bytes message, DnsSeries& counts);
  io::Task<Result<Bytes>> ask_udp(const Bytes& message);
  io::Task<Result<io::Socket>> upstream(bool udp, Deadline deadline);
  io::Spawned tcp(io::Scope& scope, io::Socket client);
  io::Task<Result<Bytes>> ask_tcp(const Bytes& message);
  io::Task<Result<Bytes>> read_framed(int fd, Deadline deadline);
  io::Task<Result<void>> write_framed(int fd, const Bytes& message, Deadline deadline);
  void count(DnsSeries& counts, Clock::time_point started, bool good);

  PodContext& pod_;
  std::vector<std::shared_ptr<Udp>> udp_;  // those that are open
  io::Event finished_;                     // set while there is none
  std::vector<io::Socket> idle_;           // connected to the upstream, nothing pending
  std::set<int> asking_;                   // upstream sockets with a query under way
  std::size_t in_flight_ = 0;
  std::size_t tcp_ = 0;  // connections
};

}  // namespace weft::proxy
