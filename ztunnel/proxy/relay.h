// relay(): moves bytes both ways between two ends until both directions have ended, one failed, or `stop` is set. Loop thread.
// A clean end travels as a clean end (FIN ↔ END_STREAM), each direction on its own; a reset travels as a reset. Backpressure is the
// absence of the next read. An idle relay holds no buffer.
#pragma once

#include "base/result.h"
#include "ztunnel/hbone/tunnel.h"
#include "ztunnel/io/event.h"
#include "ztunnel/io/socket.h"
#include "ztunnel/io/task.h"
#include "ztunnel/proxy/metrics.h"

namespace weft::proxy {

enum class RelayEnd : std::uint8_t {
  kClean,    // both directions ended
  kNear,     // the first end broke
  kFar,      // the second end broke
  kStopped,  // `stop` was set
};

struct Relayed {
  RelayEnd end = RelayEnd::kClean;
  Error error{Code::kClosed};  // unless kClean
};

// `near` and `far` stay the caller's; after anything but kClean both were reset. `to_far` and `to_near` count what was delivered.
io::Task<Relayed> relay(io::Loop& loop, io::Socket& near, hbone::Stream& far, ByteCount& to_far, ByteCount& to_near, io::Event& stop);
io::Task<Relayed> relay(io::Loop& loop, io::Socket& near, io::Socket& far, ByteCount& to_far, ByteCount& to_near, io::Event& stop);

}  // namespace weft::proxy
