// The operations. Each is an awaiter: `auto got = co_await recv_some(loop, fd, bytes, deadline);`
// Spans, iovecs and descriptors are referenced until the await returns. At most one receive-side and one send-side operation may be
// pending per descriptor; accept, receive and readable are receive-side. A wait that outlives its deadline gives kTimedOut.
// Errors of all: kClosed (peer gone: os ECONNRESET, EPIPE; cancelled: os ECANCELED), kTimedOut, kUnreachable (connect),
// kExhausted (EMFILE, ENOBUFS, ENOMEM), kSystem (anything else, os says).
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <cerrno>
#include <cstddef>
#include <span>

#include "base/fd.h"
#include "base/net.h"
#include "base/result.h"
#include "ztunnel/io/buffer.h"
#include "ztunnel/io/op.h"

namespace weft::io {

// errno (positive) of a socket call → Error.
Error socket_error(int os, const char* where);
// The operation ended because somebody called cancel(), close() or reset() on this side.
inline bool is_cancelled(const Error& error) { return error.code == Code::kClosed && error.os == ECANCELED; }

class [[nodiscard]] AcceptOp final : public Op {
 public:
  AcceptOp(Loop& loop, int listener, Deadline deadline) : Op(loop, Kind::kAccept, listener, deadline) {}
  Result<Fd> await_resume() const;
};
class [[nodiscard]] ConnectOp final : public Op {
 public:
  ConnectOp(Loop& loop, int fd, const SocketAddress& address, Deadline deadline);
  Result<void> await_resume() const;

  // For the loops: fills data_ and size_ with the address in the form that `family` (the socket's) wants.
  void fill_address(int family);
  const SocketAddress& address() const { return address_; }

 private:
  SocketAddress address_;
  sockaddr_in6 raw_;
};
class [[nodiscard]] ReceiveOp final : public Op {
 public:
  ReceiveOp(Loop& loop, int fd, std::span<std::byte> into, Deadline deadline);
  Result<std::size_t> await_resume() const;
};
// What a reader does with a buffer: gives it back in the same turn, or keeps it while it waits for a slow writer (a relay).
enum class Claim : std::uint8_t { kBrief, kHeld };

class [[nodiscard]] ReceiveBufferOp final : public Op {
 public:
  ReceiveBufferOp(Loop& loop, int fd, Deadline deadline, Claim claim, Share* share)
      : Op(loop, Kind::kReceiveBuffer, fd, deadline) {
    held_ = claim == Claim::kHeld;
    share_ = share;
  }
  Result<Buffer> await_resume() const;
};
class [[nodiscard]] SendOp final : public Op {
 public:
  SendOp(Loop& loop, int fd, std::span<const std::byte> bytes, Deadline deadline);
  Result<void> await_resume() const;
};
class [[nodiscard]] GatherOp final : public Op {
 public:
  GatherOp(Loop& loop, int fd, std::span<iovec> pieces, Deadline deadline);
  Result<void> await_resume() const;

 private:
  msghdr raw_{};
};
class [[nodiscard]] ReadableOp final : public Op {
 public:
  ReadableOp(Loop& loop, int fd, Deadline deadline) : Op(loop, Kind::kReadable, fd, deadline) {}
  Result<void> await_resume() const;
};
class [[nodiscard]] SleepOp final : public Op {
 public:
  SleepOp(Loop& loop, Clock::time_point until) : Op(loop, Kind::kSleep, -1, Deadline{until}) {}
  void await_resume() const {}
};

// The next connection of a listener; the socket is close-on-exec. Ended by loop.cancel/close of the listener.
inline AcceptOp accept(Loop& loop, int listener, Deadline deadline = Deadline::never()) {
  return {loop, listener, deadline};
}
// A v4 address on an AF_INET6 socket is sent v4-mapped. Errors: kUnreachable (refused, no route, os says), kTimedOut (os is 0 when
// the deadline passed, ETIMEDOUT when the kernel gave up).
inline ConnectOp connect(Loop& loop, int fd, const SocketAddress& address, Deadline deadline) {
  return {loop, fd, address, deadline};
}
// At least one byte, or 0 at the end of the stream. REQUIRES: `into` is not empty.
inline ReceiveOp recv_some(Loop& loop, int fd, std::span<std::byte> into, Deadline deadline = Deadline::never()) {
  return {loop, fd, into, deadline};
}
// As recv_some, into a buffer of the loop that is chosen when bytes are there: an idle connection holds no memory. Empty at the end.
// When buffers run out (LoopOptions::spill_max), or `share` holds as much as it may (kHeld only), the operation waits for one.
inline ReceiveBufferOp recv_buffer(Loop& loop, int fd, Deadline deadline = Deadline::never(), Claim claim = Claim::kBrief,
                                   Share* share = nullptr) {
  return {loop, fd, deadline, claim, share};
}
// All of `bytes`, or an error; how much went out before an error is not said.
inline SendOp send_all(Loop& loop, int fd, std::span<const std::byte> bytes, Deadline deadline = Deadline::never()) {
  return {loop, fd, bytes, deadline};
}
// As send_all, for pieces. The iovecs are advanced as bytes go out: they are spent afterwards.
inline GatherOp send_gather(Loop& loop, int fd, std::span<iovec> pieces, Deadline deadline = Deadline::never()) {
  return {loop, fd, pieces, deadline};
}
// Until `fd` is readable, or has an error or end of file to tell. For UDP and for descriptors that are no sockets.
inline ReadableOp readable(Loop& loop, int fd, Deadline deadline = Deadline::never()) { return {loop, fd, deadline}; }
inline SleepOp sleep_until(Loop& loop, Clock::time_point when) { return {loop, when}; }
inline SleepOp sleep_for(Loop& loop, Clock::duration wait) { return {loop, loop.now() + wait}; }

// The same on the Loop, said as verbs of STYLE.md.
inline void cancel(Loop& loop, int fd) { loop.cancel(fd); }
inline void shutdown_write(Loop& loop, int fd) { loop.shutdown_write(fd); }

}  // namespace weft::io
