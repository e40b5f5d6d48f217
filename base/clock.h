// Clock and Deadline. Monotonic time for waits; wall time only for certificates and logs.
#pragma once

#include <chrono>

namespace weft {

using Clock = std::chrono::steady_clock;
using WallClock = std::chrono::system_clock;

// The moment at which a wait gives up. Every waiting call takes one.
struct Deadline {
  Clock::time_point at = Clock::time_point::max();

  static Deadline never() { return {}; }
  static Deadline after(Clock::time_point now, Clock::duration wait) { return {now + wait}; }
  bool is_never() const { return at == Clock::time_point::max(); }
  bool passed(Clock::time_point now) const { return now >= at; }
};

}  // namespace weft
