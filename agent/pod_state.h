// The life of an enrolled pod, and when to try again. Pure: time is an argument.
//
//   kUnseen ─offer→ kOffered ─ready→ kCaptured ─withdraw→ kDraining ─closed→ kGone
//      ↑────refused, late──┘ └──────────withdraw──────────────↑
//      └───────────────────────────────withdraw───────────────┘
//
// A pod that an earlier agent captured starts at kUnseen too, and stays captured in the kernel while it goes through kOffered again.
// kOffered retries after 1 s, doubling to 60 s.
#pragma once

#include <cstdint>

#include "base/clock.h"

namespace weft::agent {

enum class State : std::uint8_t { kUnseen, kOffered, kCaptured, kDraining, kGone };
inline constexpr int kStateCount = 5;

const char* to_string(State state);  // "unseen", "offered", "captured", "draining", "gone"
bool is_edge(State from, State to);

// The one place where a pod's state changes.
class Life {
 public:
  Life() = default;
  explicit Life(WallClock::time_point now) : since_(now) {}
  State state() const { return state_; }
  // When the present state began, for people.
  WallClock::time_point since() const { return since_; }
  // REQUIRES: is_edge(state(), to); anything else is a bug and stops the agent.
  void change(State to, WallClock::time_point now);

 private:
  State state_ = State::kUnseen;
  WallClock::time_point since_{};
};

// Waits of 1, 2, 4 … 60 s. The first failures of a pod whose network namespace is not there yet are no failures: its runtime is
// at work; they wait kSettle instead, for at most kSettleFor.
class Backoff {
 public:
  static constexpr auto kFirst = std::chrono::seconds(1);
  static constexpr auto kMost = std::chrono::seconds(60);
  static constexpr auto kSettle = std::chrono::milliseconds(50);
  static constexpr auto kSettleFor = std::chrono::seconds(5);

  Clock::time_point after_failure(Clock::time_point now);
  Clock::time_point after_absence(Clock::time_point now);
  void reset();

 private:
  Clock::duration next_ = kFirst;
  Clock::time_point absent_since_{};
};

}  // namespace weft::agent
