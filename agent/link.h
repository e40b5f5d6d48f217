// The link to ztunnel: a SOCK_SEQPACKET server that speaks ZDS. Several ztunnels may be connected (an upgrade); the one that
// connected last is the latest. On each connection one request waits for its Ack at a time, in order; grants go in between.
// A connection that sends what ZDS does not allow, stays silent for kPatience, or is of a stranger is closed with one line in the log;
// the others and the agent live on. Runs on the reactor's thread.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/packet.h"
#include "agent/reactor.h"
#include "agent/zds.h"
#include "base/fd.h"

namespace weft::agent {

using ConnectionId = std::uint64_t;  // never used twice; greater is later; 0 is none

struct Outgoing {
  zds::Frame frame;
  std::vector<std::shared_ptr<const Fd>> descriptors;  // held until the kernel has taken the packet
};

struct Outcome {
  enum Kind : std::uint8_t { kDone, kRefused, kLost, kNotMade };
  Kind kind = kDone;
  std::string text;  // ztunnel's words when refused, ours otherwise
};

// What a link asks for and tells. Called on the reactor's thread, never from inside a call to the link.
class LinkEvents {
 public:
  virtual ~LinkEvents() = default;
  virtual void on_hello(ConnectionId id, const zds::Hello& hello) = 0;
  virtual void on_gone(ConnectionId id) = 0;
  virtual void on_sockets_wanted(ConnectionId id, const zds::SocketRequest& request) = 0;
};

// The sending half, which the enroller needs: a seam for its tests.
class ZtunnelLink {
 public:
  // Called when the request's turn comes, so that sockets exist no longer than needed; an error skips the request (kNotMade).
  using Make = std::function<Result<Outgoing>()>;
  using Done = std::function<void(const Outcome&)>;

  virtual ~ZtunnelLink() = default;
  // Connections that said hello, oldest first.
  virtual std::vector<ConnectionId> connections() const = 0;
  // `done` is called exactly once, later.
  virtual void request(ConnectionId id, Make make, Done done) = 0;
  // The same, ahead of everything that waits. REQUIRES: called from inside a Done of that connection.
  virtual void request_next(ConnectionId id, Make make, Done done) = 0;
};

class Link : public ZtunnelLink {
 public:
  static constexpr auto kPatience = std::chrono::seconds(5);
  static constexpr std::size_t kConnectionsMax = 8;
  static constexpr std::size_t kOutboxMax = 256;

  // A listening socket at `path`, mode 0660, owner `uid`:`gid`; what stood there is removed. Errors: kSystem.
  static Result<Fd> listen(const std::string& path, unsigned uid, unsigned gid);

  // `events` outlives the link. Connections of other users than `allowed` are closed at once.
  Link(Reactor& reactor, Fd listener, std::set<unsigned> allowed, LinkEvents& events);
  ~Link() override;

  std::vector<ConnectionId> connections() const override;
  void request(ConnectionId id, Make make, Done done) override;
  void request_next(ConnectionId id, Make make, Done done) override;
  // An answer to a SocketRequest; nothing happens when the connection is gone.
  void grant(ConnectionId id, Outgoing outgoing);

 private:
  struct Request {
    Make make;
    Done done;
  };
  struct Connection {
    ConnectionId id = 0;
    Fd fd;
    bool greeted = false;
    std::deque<Request> waiting;
    std::optional<Done> in_flight;
    std::deque<Outgoing> outbox;   // not empty only while the socket is full
    std::uint64_t timer = 0;       // of the hello, the Ack, or the full socket
  };

  void accept_some();
  void serve(ConnectionId id, std::uint32_t events);
  // False: the connection is closed.
  bool receive_one(Connection& connection);
  bool greet(Connection& connection, const Packet& packet);
  bool hear(Connection& connection, const Packet& packet);
  void next_request(Connection& connection);
  void send(Connection& connection, Outgoing outgoing);
  void flush(Connection& connection);
  void arm(Connection& connection, const char* what);
  void disarm(Connection& connection);
  void close(ConnectionId id, const std::string& why, bool quiet = false);
  Connection* find(ConnectionId id);

  // Set once.
  Reactor& reactor_;
  const Fd listener_;
  const std::set<unsigned> allowed_;
  LinkEvents& events_;
  // Owned by the reactor's thread.
  std::map<ConnectionId, std::unique_ptr<Connection>> connections_;
  ConnectionId next_id_ = 1;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // for what was posted
};

}  // namespace weft::agent
