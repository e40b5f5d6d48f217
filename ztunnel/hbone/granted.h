// Granted: the windows of one tunnel, its part of what the tunnels of a thread may make it hold. A window that a peer was granted
// cannot be taken back, and a reader that stalls may leave all of it here: so each tunnel gets a part of what is left, the first ones
// as much as is good for throughput, and none less than works. Belongs to one thread.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "ztunnel/hbone/session.h"

namespace weft::hbone {

inline constexpr std::size_t kGrantedMax = std::size_t{256} << 20;  // beyond it every tunnel gets the least
inline constexpr std::uint32_t kLeastConnectionWindow = 256u << 10;

// The connection window of the next tunnel when `granted` bytes are. Pure.
constexpr std::uint32_t next_window(std::size_t granted) {
  const std::size_t left = kGrantedMax - std::min(kGrantedMax, granted);
  return static_cast<std::uint32_t>(std::clamp<std::size_t>(left / 8, kLeastConnectionWindow, kConnectionWindow));
}

class Granted {
 public:
  Granted() : window_(next_window(total_)) { total_ += window_; }
  ~Granted() { total_ -= std::min<std::size_t>(total_, window_); }
  Granted(const Granted&) = delete;
  Granted& operator=(const Granted&) = delete;

  // A stream that nobody reads leaves room for others of its connection.
  Windows windows() const { return {.connection = window_, .stream = std::min(kStreamWindow, window_ / 4)}; }

 private:
  static inline thread_local std::size_t total_ = 0;
  const std::uint32_t window_;
};

}  // namespace weft::hbone
