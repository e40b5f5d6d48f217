#include "ztunnel/proxy/dns.h"

#include <algorithm>
#include <array>
#include <cerrno>

#include "ztunnel/io/ops.h"
#include "ztunnel/proxy/dns_names.h"
#include "ztunnel/proxy/sockets.h"

namespace weft::proxy {
namespace {

constexpr std::size_t kQueryMax = 4096;              // of a datagram to us
constexpr std::chrono::milliseconds kFinishPoll{5};  // a finishing socket's answers are awaited

}  // namespace

std::optional<Dns::Bytes> Dns::answer(std::span<const std::byte> message, bool tcp,
                                      std::optional<dns::Query>& query) {
  Bytes out;
  if (message.size() < dns::kHeaderBytes) return out;  // not even an id to answer to
  auto parsed = dns::parse_query(message);
  if (!parsed) {
    dns::encode_error(message, dns::kFormErr, out);
    return out;
  }
  query = std::move(*parsed);
  series(*query, tcp).requests.add(1);
  if (query->opcode != 0 || query->klass != dns::kClassIn) return std::nullopt;
  const auto snapshot = pod_.snapshot();
  const auto self = pod_.self(*snapshot);
  if (!self) return std::nullopt;
  auto reply = dns::lookup(*snapshot, *self, pod_.config().cluster_domain, query->name, query->type,
                           pod_.random());
  if (!reply) return std::nullopt;
  dns::encode_reply(*query, message, *reply, tcp ? dns::kMessageMax : query->reply_limit, out);
  return out;
}

DnsSeries& Dns::series(const dns::Query& query, bool tcp) {
  const auto self = pod_.self(*pod_.snapshot());
  const std::array<std::string_view, kDnsLabels.size()> values = {
      dns::type_name(query.type), tcp ? "tcp" : "udp",
      self ? std::string_view(self->canonical_name) : std::string_view(),
      self ? std::string_view(self->canonical_revision) : std::string_view()};
  return pod_.loop_context.metrics.dns(values);
}

void Dns::count(DnsSeries& counts, Clock::time_point started, bool good) {
  const auto took = pod_.loop().now() - started;
  const double seconds = std::chrono::duration<double>(took).count();
  counts.upstream_requests.add(1);
  if (!good) counts.upstream_failures.add(1);
  const auto at =
      std::ranges::lower_bound(DnsSeries::kBuckets, seconds) - DnsSeries::kBuckets.begin();
  if (static_cast<std::size_t>(at) < counts.buckets.size())
    counts.buckets[static_cast<std::size_t>(at)].add(1);
  counts.duration_count.add(1);
  counts.duration_ns.add(static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(took).count()));
}

void Dns::serve_udp(Fd fd) {
  udp_.push_back(std::make_shared<Udp>(io::Socket(pod_.loop(), std::move(fd))));
  finished_.clear();
  udp(pod_.scope, udp_.back());
}

void Dns::finish() {
  for (auto& each : udp_) {
    if (each->finishing()) continue;
    each->finish_by = pod_.loop().now() + pod_.config().dns_timeout;
    if (each->socket.valid()) pod_.loop().cancel(each->socket.get());  // wakes udp()
  }
}

io::Task<Result<void>> Dns::finished(Deadline deadline) {
  auto waited = co_await finished_.wait(deadline);
  co_return waited;
}

void Dns::close() {
  for (auto& each : udp_) {
    each->closed = true;
    if (each->socket.valid()) pod_.loop().cancel(each->socket.get());
  }
  idle_.clear();
  for (int fd : asking_) pod_.loop().cancel(fd);
}

io::Spawned Dns::udp(io::Scope& scope, std::shared_ptr<Udp> socket) {
  auto& loop = pod_.loop();
  while (!socket->closed) {
    const bool finishing = socket->finishing();
    const auto wake = finishing ? loop.in(kFinishPoll) : Deadline::never();
    auto ready = co_await io::readable(loop, socket->socket.get(), wake);
    if (socket->closed || (!ready && !socket->finishing())) break;
    const std::size_t served = serve_batch(scope, socket);
    if (!finishing) continue;
    if (served == 0 && (socket->asked == 0 || loop.now() >= socket->finish_by)) break;
  }
  socket->socket.close();
  std::erase(udp_, socket);
  if (udp_.empty()) finished_.set();
}

std::size_t Dns::serve_batch(io::Scope& scope, const std::shared_ptr<Udp>& socket) {
  auto& sockets = pod_.loop_context.sockets;
  std::array<std::byte, kQueryMax> buffer;
  std::size_t served = 0;
  for (; served < kBatch; ++served) {
    SocketAddress client;
    auto got = sockets.receive_from(socket->socket.get(), buffer, client);
    if (!got) break;
    const auto message = std::span<const std::byte>(buffer).first(*got);
    std::optional<dns::Query> query;
    auto reply = answer(message, false, query);
    if (!reply && in_flight_ < pod_.config().dns_in_flight_max &&
        pod_.config().dns_upstream.port != 0) {
      forward_udp(scope, socket, client, Bytes(message.begin(), message.end()),
                  series(*query, false));
      continue;
    }
    if (!reply) dns::encode_error(message, dns::kServFail, reply.emplace());
    // A full socket buffer drops the answer, as a network would: the resolver asks again.
    if (!reply->empty()) (void)sockets.send_to(socket->socket.get(), *reply, client).has_value();
  }
  return served;
}

io::Spawned Dns::forward_udp(io::Scope&, std::shared_ptr<Udp> socket, SocketAddress client,
                             Bytes message, DnsSeries& counts) {
  ++in_flight_;
  ++socket->asked;
  const auto started = pod_.loop().now();
  auto reply = co_await ask_udp(message);
  --in_flight_;
  --socket->asked;
  count(counts, started, reply.has_value());
  if (socket->closed) co_return;
  Bytes failure;
  if (!reply) dns::encode_error(message, dns::kServFail, failure);
  (void)pod_.loop_context.sockets.send_to(socket->socket.get(), reply ? *reply : failure, client)
      .has_value();
}

io::Task<Result<io::Socket>> Dns::upstream(bool udp, Deadline deadline) {
  if (udp && !idle_.empty()) {
    io::Socket kept = std::move(idle_.back());
    idle_.pop_back();
    co_return std::move(kept);
  }
  auto& context = pod_.loop_context;
  const auto& address = context.config.dns_upstream;
  auto taken = co_await context.socket_source.take(pod_.pod.uid, address.ip.is_v6(), udp, deadline);
  if (!taken) co_return std::unexpected(taken.error());
  io::Socket socket(context.loop, std::move(*taken));
  auto connected = co_await io::connect(context.loop, socket.get(), address, deadline);
  if (!connected) co_return std::unexpected(connected.error());
  co_return std::move(socket);
}

// One query at a time per socket, so the id and the bytes travel unchanged; a fresh or kept source
// port per query.
io::Task<Result<Dns::Bytes>> Dns::ask_udp(const Bytes& message) {
  auto& loop = pod_.loop();
  const auto deadline = loop.in(pod_.config().dns_timeout);
  auto socket = co_await upstream(true, deadline);
  if (!socket) co_return std::unexpected(socket.error());
  const int fd = socket->get();
  asking_.insert(fd);
  auto sent = co_await io::send_all(loop, fd, message, deadline);
  Result<std::size_t> got = sent ? Result<std::size_t>(0) : std::unexpected(sent.error());
  Bytes reply;  // made when the answer is there: a query that waits holds no buffer
  while (sent) {
    auto ready = co_await io::readable(loop, fd, deadline);
    if (!ready) {
      got = std::unexpected(ready.error());
      break;
    }
    reply.resize(dns::kMessageMax);
    auto next = co_await io::recv_some(loop, fd, reply, deadline);
    got = next;
    if (!got || dns::answers(std::span(reply).first(*got), message))
      break;  // else: a late answer to somebody before us
  }
  asking_.erase(fd);
  if (!got)
    co_return std::unexpected(
        got.error());  // the socket goes: its late answer must not meet the next query
  if (idle_.size() < kIdleUpstreams && !pod_.stopping) idle_.push_back(std::move(*socket));
  reply.resize(*got);
  reply.shrink_to_fit();
  co_return std::move(reply);
}

io::Spawned Dns::tcp(io::Scope&, io::Socket client) {
  auto& loop = pod_.loop();
  if (tcp_ >= pod_.config().dns_tcp_max) {
    client.reset();
    co_return;
  }
  ++tcp_;
  Live live(pod_, Live::Kind::kOurs);
  live.waits_on = client.get();
  while (!live.stop.is_set()) {
    auto message = co_await read_framed(client.get(), loop.in(kTcpIdle));
    if (!message) break;
    std::optional<dns::Query> query;
    auto reply = answer(*message, true, query);
    if (!reply) {
      const auto started = loop.now();
      auto relayed = co_await ask_tcp(*message);
      count(series(*query, true), started, relayed.has_value());
      reply.emplace();
      if (relayed)
        *reply = std::move(*relayed);
      else
        dns::encode_error(*message, dns::kServFail, *reply);
    }
    if (reply->empty()) break;
    auto sent = co_await write_framed(client.get(), *reply, loop.in(kTcpIdle));
    if (!sent) break;
  }
  --tcp_;
}

io::Task<Result<Dns::Bytes>> Dns::ask_tcp(const Bytes& message) {
  if (pod_.config().dns_upstream.port == 0) co_return fail(Code::kUnreachable, "dns upstream");
  const auto deadline = pod_.loop().in(pod_.config().dns_timeout);
  auto socket = co_await upstream(false, deadline);
  if (!socket) co_return std::unexpected(socket.error());
  const int fd = socket->get();
  asking_.insert(fd);
  auto sent = co_await write_framed(fd, message, deadline);
  Result<Bytes> reply = sent ? Result<Bytes>() : Result<Bytes>(std::unexpected(sent.error()));
  if (sent) {
    auto got = co_await read_framed(fd, deadline);
    reply = std::move(got);
  }
  asking_.erase(fd);
  co_return std::move(reply);
}

io::Task<Result<Dns::Bytes>> Dns::read_framed(int fd, Deadline deadline) {
  std::array<std::byte, 2> head;
  Bytes message;
  std::span<std::byte> into = head;
  for (bool body = false;;) {
    auto got = co_await io::recv_some(pod_.loop(), fd, into, deadline);
    if (!got) co_return std::unexpected(got.error());
    if (*got == 0) co_return fail(Code::kClosed, "dns over tcp");
    into = into.subspan(*got);
    if (!into.empty()) continue;
    if (body) co_return std::move(message);
    const auto size = static_cast<std::size_t>(head[0]) << 8 | static_cast<std::size_t>(head[1]);
    if (size == 0) co_return fail(Code::kMalformed, "dns over tcp");
    message.resize(size);
    into = message;
    body = true;
  }
}

io::Task<Result<void>> Dns::write_framed(int fd, const Bytes& message, Deadline deadline) {
  Bytes framed;
  framed.reserve(message.size() + 2);
  framed.push_back(static_cast<std::byte>(message.size() >> 8));
  framed.push_back(static_cast<std::byte>(message.size()));
  framed.insert(framed.end(), message.begin(), message.end());
  auto sent = co_await io::send_all(pod_.loop(), fd, framed, deadline);
  co_return sent;
}

}  // namespace weft::proxy
