// LineBudget: how many lines about failures somebody (a pod on one loop, the control plane's callers)
// may cause. Beyond it they are counted, not written, and the next line that is written says how
// many are missing: whoever makes us refuse cannot fill the disk, nor drown what happens to others.
// What succeeded is not limited here. One thread; time is an argument.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>

#include "base/clock.h"

namespace weft {

class LineBudget {
 public:
  static constexpr double kPerSecond = 20;
  static constexpr double kAtOnce = 500;

  // True: write it; `missing` is how many were not written since the last.
  bool take(Clock::time_point now, std::uint64_t& missing) {
    const double seconds = std::chrono::duration<double>(now - filled_at_).count();
    lines_ = std::min(kAtOnce, lines_ + seconds * kPerSecond);
    filled_at_ = now;
    missing = 0;
    if (lines_ < 1) return ++missing_, false;
    lines_ -= 1;
    missing = std::exchange(missing_, 0);
    return true;
  }

 private:
  double lines_ = kAtOnce;
  std::uint64_t missing_ = 0;
  Clock::time_point filled_at_{};
};

}  // namespace weft
