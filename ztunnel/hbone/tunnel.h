// Tunnel: socket + tls::Engine + Session on a Loop: many streams to one peer. Everything here
// belongs to the loop's thread.
//
// A tunnel has two coroutines, a reader and a writer, living in the Scope it was made with; both
// end soon after the tunnel ends, so that `scope.join()` after dropping (or close()ing) all tunnels
// terminates. The writer batches frames of all streams into full TLS records and up to kFlushBytes
// per send. While nothing flows a tunnel holds no buffer. Every wait is bounded: handshake and
// preface by dial()'s/accept()'s deadline, an unanswered PING by kPingTimeout. Source:
// ambient-protocol facts §1.3, §1.4, §1.9 to §1.11.
#pragma once

#include <coroutine>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/fd.h"
#include "base/result.h"
#include "mesh/identity.h"
#include "ztunnel/hbone/block.h"
#include "ztunnel/hbone/head.h"
#include "ztunnel/io/event.h"
#include "ztunnel/io/loop.h"
#include "ztunnel/io/scope.h"
#include "ztunnel/io/task.h"
#include "ztunnel/tls/credentials.h"

namespace weft::hbone {

inline constexpr std::size_t kFlushBytes = 256 * 1024;
inline constexpr std::chrono::seconds kPingInterval{10};
inline constexpr std::chrono::seconds kPingTimeout{20};

class TunnelCore;

// Awaiters of Stream; no allocation per read or write.
class [[nodiscard]] ReadOp {
 public:
  ReadOp(StreamState& state, Deadline deadline);
  bool await_ready() const noexcept { return wait_.await_ready(); }
  void await_suspend(std::coroutine_handle<> waiter) { wait_.await_suspend(waiter); }
  Result<Received> await_resume();

 private:
  StreamState& state_;
  io::Event::Wait wait_;
};
class [[nodiscard]] WriteOp {
 public:
  WriteOp(StreamState& state, std::span<const std::byte> bytes, Deadline deadline);
  bool await_ready();
  void await_suspend(std::coroutine_handle<> waiter) { wait_.await_suspend(waiter); }
  Result<void> await_resume();

 private:
  StreamState& state_;
  std::span<const std::byte> bytes_;
  io::Event::Wait wait_;
};

// Why a stream stopped being writable or readable before its END_STREAM.
//   kClosed os=0          the tunnel ended in order, or the peer closed the stream (NO_ERROR,
//   CANCEL) kClosed os=EPIPE      written after the peer stopped listening (STREAM_CLOSED) kClosed
//   os=ECONNRESET the peer's application connection was reset, or the tunnel broke kDraining
//   REFUSED_STREAM: never seen by the application; may be tried elsewhere
class Stream {
 public:
  Stream() = default;
  Stream(Stream&&) noexcept;
  Stream& operator=(Stream&&) noexcept;
  // A stream that is dropped before both directions ended is reset (CANCEL: the peer sees EOF).
  ~Stream();
  explicit operator bool() const { return state_ != nullptr; }

  // Waits for bytes; empty: the peer's END_STREAM (or RST_STREAM NO_ERROR/CANCEL). One reader at a
  // time. A read and a write may overlap. Result<Received>. Errors: kTimedOut (the stream stays
  // usable), kClosed as above.
  ReadOp read(Deadline deadline) { return {*state_, deadline}; }
  // Waits until read() would return at once; needs less room in a waiting frame than read().
  // Result<void>.
  io::Event::Wait readable(Deadline deadline);
  bool is_readable() const;
  // Waits until every byte is in the tunnel's send buffer: flow control and a slow peer hold it up.
  // `bytes` stay valid until then. One writer at a time. Result<void>. After kTimedOut the stream
  // is fit for reset() only.
  WriteOp write(std::span<const std::byte> bytes, Deadline deadline) {
    return {*state_, bytes, deadline};
  }
  // END_STREAM. No write may be pending. Does not wait.
  void finish();
  // Abnormal end, both directions: RST_STREAM(CONNECT_ERROR). Pending read and write end with
  // kClosed. Does not wait.
  void reset();

  // Client only: the `baggage` of the 200.
  const std::string& response_baggage() const;
  bool read_ended() const;  // END_STREAM was read (or the stream broke)
  bool write_ended() const;
  // The peer reset the stream, or the tunnel broke, though nobody reads: how, or null. What came
  // before may still be read.
  const Error* broken() const;

 private:
  friend class TunnelCore;
  friend class ClientTunnel;
  friend class IncomingStream;
  explicit Stream(std::shared_ptr<StreamState> state);
  std::shared_ptr<StreamState> state_;
};

class ClientTunnel {
 public:
  // TLS and HTTP/2 over a connected socket; returns when the peer's SETTINGS came. The socket is
  // closed on failure. `detail`, if given, gets the engine's text for logs. Errors: those of
  // tls::Engine::handshake, kTimedOut, kClosed.
  static io::Task<Result<std::shared_ptr<ClientTunnel>>> dial(
      io::Scope& scope, io::Loop& loop, Fd socket, tls::CredentialsPtr credentials,
      std::vector<mesh::Identity> expected, Deadline deadline, std::string* detail = nullptr);
  // The tunnel ends in order when its last stream has; streams keep it alive.
  ~ClientTunnel();
  ClientTunnel(const ClientTunnel&) = delete;
  ClientTunnel& operator=(const ClientTunnel&) = delete;

  // Opens a stream and waits for its answer.
  // Errors: kDenied (401), kMalformed (400), kUnreachable (503 and others), kDraining (GOAWAY,
  // refused stream: try another tunnel), kExhausted (no room), kTimedOut, kClosed.
  io::Task<Result<Stream>> open(ConnectRequest request, Deadline deadline);

  std::size_t streams() const;      // open now, unanswered ones included
  std::size_t streams_max() const;  // min(100, the peer's MAX_CONCURRENT_STREAMS)
  // open() would not fail at once: alive, not draining, streams() < streams_max().
  bool has_room() const;
  bool alive() const;
  Clock::time_point last_used() const;  // last open() or end of a stream
  const mesh::Identity& peer() const;
  const std::string& end_reason() const;  // for logs; empty while alive
  // Ends now: streams fail with kClosed ECONNRESET, pending waits return.
  void close(const char* reason);

 private:
  explicit ClientTunnel(std::shared_ptr<TunnelCore> core);
  std::shared_ptr<TunnelCore> core_;
};

// A CONNECT that waits for an answer. Dropped without one, it is refused with 503.
class IncomingStream {
 public:
  IncomingStream() = default;
  IncomingStream(IncomingStream&&) noexcept;
  IncomingStream& operator=(IncomingStream&&) noexcept;
  ~IncomingStream();

  const ConnectRequest& request() const;
  const mesh::Identity& peer() const;
  // 200. The stream may have been reset meanwhile: then its first read or write says so.
  Stream accept(std::string baggage = {});
  // Any other status; END_STREAM, no body.
  void refuse(int status);

 private:
  friend class TunnelCore;
  friend class ServerTunnel;
  explicit IncomingStream(std::shared_ptr<StreamState> state);
  std::shared_ptr<StreamState> state_;
};

class ServerTunnel {
 public:
  // TLS and HTTP/2 over an accepted socket; returns when the client's preface came. The socket is
  // closed on failure. Errors: as dial().
  static io::Task<Result<std::shared_ptr<ServerTunnel>>> accept(io::Scope& scope, io::Loop& loop,
                                                                Fd socket,
                                                                tls::CredentialsPtr credentials,
                                                                Deadline deadline,
                                                                std::string* detail = nullptr);
  ~ServerTunnel();
  ServerTunnel(const ServerTunnel&) = delete;
  ServerTunnel& operator=(const ServerTunnel&) = delete;

  // The next CONNECT. A request whose method is not CONNECT was answered 400 already. One waiter.
  // Errors: kClosed: the tunnel ended, or drained and its last stream is over; kMalformed: the peer
  // broke the protocol, end_reason() says how.
  io::Task<Result<IncomingStream>> next_stream();
  // Graceful GOAWAY: no new streams, those in flight go on. Idempotent.
  void drain();
  void close(const char* reason);

  const mesh::Identity& peer() const;
  std::size_t streams() const;
  bool alive() const;
  const std::string& end_reason() const;

 private:
  explicit ServerTunnel(std::shared_ptr<TunnelCore> core);
  std::shared_ptr<TunnelCore> core_;
};

}  // namespace weft::hbone
