// Scope: the children of a step, and the place where they are waited for.
//
//   Spawned pump(Scope&, Loop& loop, Fd& from, Fd& to) { … }      // a child: its first parameter is the Scope (`this` may precede it)
//   pump(scope, loop, a, b);                                       // registers, and runs at once to its first suspension
//   scope.spawn(some_task());                                      // any Task<void> as a child
//   co_await scope.join();                                         // until every child has returned
//
// Stopping is: cancel/shut down what the children wait for, then join. ~Scope asserts that nobody is left, because a frame must not
// die while the kernel holds its operation. Thread: the loop's.
#pragma once

#include <coroutine>
#include <cstddef>
#include <cstdlib>
#include <utility>

#include "base/assert.h"
#include "ztunnel/io/task.h"

namespace weft::io {

class Scope;

// Return type of a child coroutine. A token: the frame belongs to itself and frees itself at its end.
struct Spawned {
  class promise_type {
   public:
    template <class... Args>
    explicit promise_type(Scope& scope, Args&...);
    template <class Self, class... Args>
    promise_type(Self&, Scope& scope, Args&...);  // member functions and free functions of one leading argument

    Spawned get_return_object() const noexcept { return {}; }
    std::suspend_never initial_suspend() const noexcept { return {}; }
    struct Final {
      bool await_ready() const noexcept { return false; }
      std::coroutine_handle<> await_suspend(std::coroutine_handle<promise_type> done) const noexcept;
      void await_resume() const noexcept {}
    };
    Final final_suspend() const noexcept { return {}; }
    void return_void() const noexcept {}
    [[noreturn]] void unhandled_exception() const noexcept { std::abort(); }

   private:
    Scope& scope_;
  };
};

class Scope {
 public:
  Scope() = default;
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;
  ~Scope() { WEFT_ASSERT(live_ == 0); }

  // A child from a task; starts it at once.
  void spawn(Task<void> task) { run(*this, std::move(task)); }

  std::size_t live() const { return live_; }

  // Ready when live() is 0. REQUIRES: at most one join at a time.
  class Join {
   public:
    explicit Join(Scope& scope) : scope_(scope) {}
    bool await_ready() const noexcept { return scope_.live_ == 0; }
    void await_suspend(std::coroutine_handle<> joiner) noexcept {
      WEFT_ASSERT(!scope_.joiner_);
      scope_.joiner_ = joiner;
    }
    void await_resume() const noexcept {}

   private:
    Scope& scope_;
  };
  [[nodiscard]] Join join() { return Join(*this); }

 private:
  friend class Spawned::promise_type;
  static Spawned run(Scope&, Task<void> task) { co_await task; }

  void enter() { ++live_; }
  std::coroutine_handle<> leave() {
    WEFT_ASSERT(live_ > 0);
    if (--live_ == 0 && joiner_) return std::exchange(joiner_, nullptr);
    return std::noop_coroutine();
  }

  std::size_t live_ = 0;
  std::coroutine_handle<> joiner_;
};

template <class... Args>
Spawned::promise_type::promise_type(Scope& scope, Args&...) : scope_(scope) {
  scope_.enter();
}
template <class Self, class... Args>
Spawned::promise_type::promise_type(Self&, Scope& scope, Args&...) : scope_(scope) {
  scope_.enter();
}

inline std::coroutine_handle<> Spawned::promise_type::Final::await_suspend(
    std::coroutine_handle<promise_type> done) const noexcept {
  Scope& scope = done.promise().scope_;
  done.destroy();  // `*this` is gone from here on
  return scope.leave();
}

}  // namespace weft::io
