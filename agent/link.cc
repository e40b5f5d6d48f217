#include "agent/link.h"

#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>

#include "base/assert.h"
#include "base/log.h"

namespace weft::agent {

namespace {
constexpr int kReceivesPerTurn = 16;
constexpr int kLinkBacklog = 16;

std::optional<ucred> peer_of(int fd) {
  ucred peer{};
  socklen_t length = sizeof peer;
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) return std::nullopt;
  return peer;
}
// So that `uid` may connect. In a set-group-ID directory (an emptyDir with fsGroup) the group is
// right already, and that is enough: the agent has no CAP_CHOWN in a cluster.
Result<void> give(const std::string& path, unsigned uid, unsigned gid) {
  struct stat made{};
  if (::stat(path.c_str(), &made) != 0) return fail(Code::kSystem, "stat", errno);
  if (::geteuid() != 0 || made.st_uid == uid || made.st_gid == gid) return {};
  if (::chown(path.c_str(), uid, gid) != 0) return fail(Code::kSystem, "chown", errno);
  return {};
}

}  // namespace

Result<Fd> Link::listen(const std::string& path, unsigned uid, unsigned gid) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return fail(Code::kMalformed, "the link's path is too long for a Unix socket");
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  Fd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return fail(Code::kSystem, "socket", errno);
  ::unlink(path.c_str());
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return fail(Code::kSystem, "bind", errno);
  if (::chmod(path.c_str(), 0660) != 0) return fail(Code::kSystem, "chmod", errno);
  if (auto given = give(path, uid, gid); !given) return std::unexpected(given.error());
  if (::listen(fd.get(), kLinkBacklog) != 0) return fail(Code::kSystem, "listen", errno);
  return fd;
}

Link::Link(Reactor& reactor, Fd listener, std::set<unsigned> allowed, LinkEvents& events)
    : reactor_(reactor), listener_(std::move(listener)), allowed_(std::move(allowed)), events_(events) {
  auto watched = reactor_.watch(listener_.get(), EPOLLIN, [this](std::uint32_t) { accept_some(); });
  WEFT_ASSERT(watched.has_value());
}

Link::~Link() {
  *alive_ = false;
  reactor_.forget(listener_.get());
  for (auto& [id, connection] : connections_) {
    disarm(*connection);
    reactor_.forget(connection->fd.get());
  }
}

void Link::accept_some() {
  Fd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (!fd) return;
  const auto peer = peer_of(fd.get());
  if (!peer || !allowed_.contains(peer->uid)) {
    spdlog::warn("a stranger at the ztunnel link was turned away uid={}", peer ? static_cast<long>(peer->uid) : -1L);
    return;
  }
  if (connections_.size() >= kConnectionsMax) {
    spdlog::warn("too many connections at the ztunnel link connections_max={}", kConnectionsMax);
    return;
  }
  auto connection = std::make_unique<Connection>();
  const ConnectionId id = next_id_++;
  connection->id = id;
  connection->fd = std::move(fd);
  auto watched = reactor_.watch(connection->fd.get(), EPOLLIN, [this, id](std::uint32_t events) { serve(id, events); });
  if (!watched) return;
  arm(*connection, "it did not say hello");
  connections_.emplace(id, std::move(connection));
}

void Link::serve(ConnectionId id, std::uint32_t events) {
  if ((events & EPOLLOUT) != 0) {
    if (Connection* connection = find(id)) flush(*connection);
  }
  for (int i = 0; i < kReceivesPerTurn; ++i) {
    Connection* connection = find(id);
    if (connection == nullptr || !receive_one(*connection)) return;
  }
}

bool Link::receive_one(Connection& connection) {
  auto packet = receive_packet(connection.fd.get(), zds::kFrameMax + 1);
  if (!packet) {
    const bool closed = packet.error().code == Code::kClosed;
    if (packet.error().code != Code::kExhausted) close(connection.id, describe(packet.error()), closed);
    return false;
  }
  if (packet->cut) {
    close(connection.id, "its packet is longer than a frame may be, or carries too many descriptors");
    return false;
  }
  return connection.greeted ? hear(connection, *packet) : greet(connection, *packet);
}

bool Link::greet(Connection& connection, const Packet& packet) {
  auto hello = packet.descriptors.empty() ? zds::decode_hello(packet.bytes) : problem("descriptors came with the ZdsHello");
  if (!hello) {
    close(connection.id, hello.error().text);
    return false;
  }
  disarm(connection);
  connection.greeted = true;
  spdlog::info("ztunnel connected connection={} loops={} dns={}", connection.id, hello->loops, hello->dns);
  events_.on_hello(connection.id, *hello);
  return true;
}

bool Link::hear(Connection& connection, const Packet& packet) {
  auto response = zds::decode_response(packet.bytes, packet.descriptors.size());
  if (!response) {
    close(connection.id, response.error().text);
    return false;
  }
  if (const auto* request = std::get_if<zds::SocketRequest>(&*response)) {
    events_.on_sockets_wanted(connection.id, *request);
    return true;
  }
  if (!connection.in_flight) {
    close(connection.id, "it sent an Ack that nothing waits for");
    return false;
  }
  const Done done = std::move(*connection.in_flight);
  connection.in_flight.reset();
  disarm(connection);
  const auto& error = std::get<zds::Ack>(*response).error;
  const ConnectionId id = connection.id;
  done(error.empty() ? Outcome{} : Outcome{Outcome::kRefused, error});
  if (Connection* still = find(id)) next_request(*still);
  return true;
}

std::vector<ConnectionId> Link::connections() const {
  std::vector<ConnectionId> ids;
  for (const auto& [id, connection] : connections_) {
    if (connection->greeted) ids.push_back(id);
  }
  return ids;
}

void Link::request(ConnectionId id, Make make, Done done) {
  reactor_.post([this, alive = alive_, id, make = std::move(make), done = std::move(done)]() mutable {
    if (!*alive) return;
    Connection* connection = find(id);
    if (connection == nullptr) return done({Outcome::kLost, "ztunnel is gone"});
    connection->waiting.push_back({std::move(make), std::move(done)});
    next_request(*connection);
  });
}

// Whoever calls Done sends what waits next.
void Link::request_next(ConnectionId id, Make make, Done done) {
  if (Connection* connection = find(id)) {
    connection->waiting.push_front({std::move(make), std::move(done)});
  } else {
    request(id, std::move(make), std::move(done));
  }
}

void Link::next_request(Connection& connection) {
  const ConnectionId id = connection.id;
  for (Connection* at = &connection; at != nullptr && !at->in_flight && !at->waiting.empty(); at = find(id)) {
    Request request = std::move(at->waiting.front());
    at->waiting.pop_front();
    auto made = request.make();
    if (!made) {
      request.done({Outcome::kNotMade, describe(made.error())});
      continue;
    }
    at->in_flight = std::move(request.done);
    arm(*at, "it did not answer");
    send(*at, std::move(*made));
  }
}

void Link::grant(ConnectionId id, Outgoing outgoing) {
  if (Connection* connection = find(id)) send(*connection, std::move(outgoing));
}

// REQUIRES: nobody uses `connection` after this call without find(): a broken socket closes it (in a later turn).
void Link::send(Connection& connection, Outgoing outgoing) {
  connection.outbox.push_back(std::move(outgoing));
  if (connection.outbox.size() == 1) flush(connection);
  if (connection.outbox.size() > kOutboxMax) {
    reactor_.post([this, alive = alive_, id = connection.id] {
      if (*alive) close(id, "it does not read what it asked for");
    });
  }
}

void Link::flush(Connection& connection) {
  while (!connection.outbox.empty()) {
    const Outgoing& first = connection.outbox.front();
    std::vector<int> descriptors;
    for (const auto& fd : first.descriptors) descriptors.push_back(fd->get());
    auto sent = send_packet(connection.fd.get(), first.frame, descriptors);
    if (!sent && sent.error().code == Code::kExhausted) break;
    if (!sent) {
      // Reading will find the end, too; but a peer that only shut its reading side down has to go as well.
      reactor_.post([this, alive = alive_, id = connection.id, why = describe(sent.error())] {
        if (*alive) close(id, why);
      });
      connection.outbox.clear();
      break;
    }
    connection.outbox.pop_front();
  }
  [[maybe_unused]] auto changed = reactor_.change(connection.fd.get(), connection.outbox.empty() ? EPOLLIN : EPOLLIN | EPOLLOUT);
}

void Link::arm(Connection& connection, const char* what) {
  disarm(connection);
  const ConnectionId id = connection.id;
  connection.timer = reactor_.at(Clock::now() + kPatience, [this, id, what] {
    close(id, fmt::format("{} within {} s", what, std::chrono::seconds(kPatience).count()));
  });
}

void Link::disarm(Connection& connection) {
  if (connection.timer != 0) reactor_.cancel(connection.timer);
  connection.timer = 0;
}

void Link::close(ConnectionId id, const std::string& why, bool quiet) {
  const auto at = connections_.find(id);
  if (at == connections_.end()) return;
  const std::unique_ptr<Connection> connection = std::move(at->second);
  connections_.erase(at);
  disarm(*connection);
  reactor_.forget(connection->fd.get());
  connection->fd.reset();
  if (quiet) {
    spdlog::info("ztunnel disconnected connection={}", id);
  } else {
    spdlog::error("connection to ztunnel closed connection={} reason=\"{}\"", id, why);
  }
  if (connection->greeted) events_.on_gone(id);  // first, so that nobody who hears of a loss asks this one again
  if (connection->in_flight) (*connection->in_flight)({Outcome::kLost, why});
  for (auto& request : connection->waiting) request.done({Outcome::kLost, why});
}

Link::Connection* Link::find(ConnectionId id) {
  const auto at = connections_.find(id);
  return at == connections_.end() ? nullptr : at->second.get();
}

}  // namespace weft::agent
