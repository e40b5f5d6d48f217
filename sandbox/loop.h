// The daemon's event loop: poll(2), timers, child exits. Everything runs on the one thread that
// calls run().
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>

#include "base/clock.h"
#include "base/fd.h"

namespace weft::sandbox {

class Loop {
 public:
  using Timer = std::uint64_t;

  // `ready(revents)` whenever poll says so, until unwatch. The descriptor stays the caller's.
  void watch(int fd, short events, std::function<void(short)> ready);
  void unwatch(int fd);

  Timer after(Clock::duration wait, std::function<void()> fire);
  void cancel(Timer timer);

  // `done(wait status)` once, when the child `pid` has ended (it is reaped here).
  void on_exit(pid_t pid, std::function<void(int)> done);

  // Called after each turn, before the next wait.
  void on_turn(std::function<void()> work) { turn_ = std::move(work); }

  void run();
  void stop() { running_ = false; }

 private:
  struct Watch {
    short events;
    std::function<void(short)> ready;
    std::uint64_t id;
  };
  void wait_once();
  void fire_timers();

  std::map<int, Watch> watches_;
  std::map<std::pair<Clock::time_point, Timer>, std::function<void()>> timers_;
  std::map<Timer, Clock::time_point> timer_at_;
  std::function<void()> turn_;
  std::uint64_t next_id_ = 1;
  bool running_ = false;
};

}  // namespace weft::sandbox
