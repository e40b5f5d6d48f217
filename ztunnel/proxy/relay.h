// relay(): moves bytes both ways between two ends until both directions have ended, one failed, or
// `stop` is set. Loop thread. A clean end travels as a clean end (FIN ↔ END_STREAM), each direction
// on its own; a reset travels as a reset. Backpressure is the absence of the next read. An idle
// relay holds no buffer and never times out; one that is half closed does, after kHalfClosedIdle
// without a byte. An end that is not being read (it is half closed, or the other one takes nothing)
// is looked at every kLookEvery: a reset there ends the relay once bytes have stopped flowing.
#pragma once

#include "base/clock.h"
#include "base/result.h"
#include "ztunnel/hbone/tunnel.h"
#include "ztunnel/io/event.h"
#include "ztunnel/io/share.h"
#include "ztunnel/io/socket.h"
#include "ztunnel/io/task.h"
#include "ztunnel/proxy/metrics.h"

namespace weft::proxy {

inline constexpr std::chrono::hours kHalfClosedIdle{1};
inline constexpr std::chrono::seconds kLookEvery{1};

enum class RelayEnd : std::uint8_t {
  kClean,    // both directions ended
  kNear,     // the first end broke, or was silent too long
  kFar,      // the second end
  kStopped,  // `stop` was set
};

struct Relayed {
  RelayEnd end = RelayEnd::kClean;
  Error error{Code::kClosed};  // unless kClean; kTimedOut: half closed and idle
};

// `near` and `far` stay the caller's; after anything but kClean both were reset. `to_far` and
// `to_near` count what was delivered. `share` holds what was read and cannot be written on yet.
io::Task<Relayed> relay(io::Loop& loop, io::Socket& near, hbone::Stream& far, ByteCount& to_far,
                        ByteCount& to_near, io::Event& stop, io::Share* share = nullptr);
io::Task<Relayed> relay(io::Loop& loop, io::Socket& near, io::Socket& far, ByteCount& to_far,
                        ByteCount& to_near, io::Event& stop, io::Share* share = nullptr);

}  // namespace weft::proxy
