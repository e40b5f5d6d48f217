// Event: a wake-up between coroutines of one loop. Sticky: once set, every wait passes until clear().
//
//   auto woken = co_await event.wait(deadline);   // kTimedOut, or fine
//
// set() makes the waiters ready; they resume in this or the next turn, never inside set(). Several may wait. Memory of an Event
// with nobody waiting: 40 bytes. REQUIRES: no waiter when it dies (set() first, or cancel_waits(), and let them run).
// A Hook is the cheap way to be told without a coroutine: its act runs inside set() and may only mark, cancel and set further
// events. Thread: the loop's; from another thread, post().
#pragma once

#include "base/result.h"
#include "ztunnel/io/op.h"

namespace weft::io {

class Event {
 public:
  explicit Event(Loop& loop) : loop_(loop) {}
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  ~Event();

  void set();
  void clear() { set_ = false; }
  bool is_set() const { return set_; }
  // Ends the waits of now with kClosed/ECANCELED; the event stays as it is.
  void cancel_waits();

  class [[nodiscard]] Wait final : public Op {
   public:
    Wait(Event& event, Deadline deadline) : Op(event.loop_, Kind::kEvent, -1, deadline), event_(event) {}
    bool await_ready() const noexcept { return event_.set_; }
    void await_suspend(std::coroutine_handle<> waiter) {
      event_.waits_.push_back(*this);
      Op::await_suspend(waiter);
    }
    Result<void> await_resume() const;

   private:
    Event& event_;
  };
  Wait wait(Deadline deadline = Deadline::never()) { return {*this, deadline}; }

  // Runs `act(hook)` inside set(); at once if the event is set already. Leaves the event when it dies.
  class Hook {
   public:
    using Act = void (*)(Hook&);
    explicit Hook(Act act) : act_(act) {}
    Hook(const Hook&) = delete;
    Hook& operator=(const Hook&) = delete;
    ~Hook() { leave(); }
    void join(Event& event);
    void leave();

   private:
    friend class Event;
    Act act_;
    Event* event_ = nullptr;
    Hook* next_ = nullptr;
    Hook* prev_ = nullptr;
  };

 private:
  Loop& loop_;
  OpChain waits_;
  Hook* hooks_ = nullptr;
  bool set_ = false;
};

}  // namespace weft::io
