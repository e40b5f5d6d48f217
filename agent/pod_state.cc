#include "agent/pod_state.h"

#include <algorithm>

#include "base/assert.h"

namespace weft::agent {

const char* to_string(State state) {
  switch (state) {
    case State::kUnseen: return "unseen";
    case State::kOffered: return "offered";
    case State::kCaptured: return "captured";
    case State::kDraining: return "draining";
    case State::kGone: return "gone";
  }
  return "?";
}

bool is_edge(State from, State to) {
  switch (from) {
    case State::kUnseen: return to == State::kOffered || to == State::kDraining;
    case State::kOffered: return to == State::kCaptured || to == State::kUnseen || to == State::kDraining;
    case State::kCaptured: return to == State::kDraining;
    case State::kDraining: return to == State::kGone;
    case State::kGone: return false;
  }
  return false;
}

void Life::change(State to, WallClock::time_point now) {
  WEFT_ASSERT(is_edge(state_, to));
  state_ = to;
  since_ = now;
}

Clock::time_point Backoff::after_failure(Clock::time_point now) {
  const auto at = now + next_;
  next_ = std::min<Clock::duration>(next_ * 2, kMost);
  return at;
}

Clock::time_point Backoff::after_absence(Clock::time_point now) {
  if (absent_since_ == Clock::time_point{}) absent_since_ = now;
  return now - absent_since_ < kSettleFor ? now + kSettle : after_failure(now);
}

void Backoff::reset() { *this = Backoff(); }

}  // namespace weft::agent
