// Reactor: the agent's one thread. Descriptors, one-shot timers and posted work, over epoll.
// Everything in agent/ runs on it except what says "any thread". The agent is no data path: std::function is fine here.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "base/clock.h"
#include "base/fd.h"
#include "base/result.h"

namespace weft::agent {

class Reactor {
 public:
  using Callback = std::function<void(std::uint32_t events)>;
  using Work = std::function<void()>;

  // Errors: kSystem.
  static Result<std::unique_ptr<Reactor>> make();

  // Calls `callback` with EPOLL* bits, level-triggered, until forget(fd). The descriptor stays the caller's; forget it before closing it.
  Result<void> watch(int fd, std::uint32_t events, Callback callback);
  Result<void> change(int fd, std::uint32_t events);
  // Safe inside the descriptor's own callback; no callback for `fd` comes after it.
  void forget(int fd);

  // Calls `work` once, not before `at`. Returns a number for cancel(). Timers of the same moment run in the order they were made.
  std::uint64_t at(Clock::time_point when, Work work);
  void cancel(std::uint64_t timer);

  // Runs `work` at the end of every turn.
  void after_turn(Work work) { after_turn_ = std::move(work); }

  // Any thread: `work` runs on the reactor's thread, in order.
  void post(Work work);
  // Any thread, and a signal handler's thread: run() returns soon.
  void stop();
  void run();
  // One turn: waits at most `wait`, runs what is due.
  void turn(std::chrono::milliseconds wait);

 private:
  struct Watch {
    Callback callback;
    std::uint64_t serial;
  };
  struct Timer {
    Clock::time_point when;
    std::uint64_t number;
    auto operator<=>(const Timer&) const = default;
  };

  Reactor(Fd epoll, Fd wake) : epoll_(std::move(epoll)), wake_(std::move(wake)) {}
  int wait_ms(std::chrono::milliseconds most) const;
  void run_timers();
  void run_posted();

  // Set once.
  Fd epoll_;
  Fd wake_;
  // Owned by the reactor's thread.
  std::map<int, std::shared_ptr<Watch>> watches_;
  std::map<Timer, Work> timers_;
  std::uint64_t next_number_ = 1;
  Work after_turn_;
  bool stopping_ = false;
  // Any thread.
  std::mutex mutex_;
  std::vector<Work> posted_;
};

}  // namespace weft::agent
