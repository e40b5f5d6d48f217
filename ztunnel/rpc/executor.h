// Executor: runs acts, now or after a while, one at a time; the seam for tests with a clock of their own. Any thread may call.
#pragma once

#include <functional>

#include "base/clock.h"

namespace weft::rpc {

class Executor {
 public:
  virtual ~Executor() = default;
  virtual void post(std::function<void()> act) = 0;
  virtual void after(Clock::duration wait, std::function<void()> act) = 0;
  virtual WallClock::time_point wall_now() const { return WallClock::now(); }
};

}  // namespace weft::rpc
