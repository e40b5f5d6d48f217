// Task<T>: a lazy coroutine with one result. It starts when it is awaited, and resumes its awaiter by symmetric transfer.
// Owner: whoever holds the Task; destroying it destroys the frame, which must be unstarted or finished (an operation that the
// kernel holds lives in the frame; ~Op asserts). Thread: the loop's. Tasks carry errors as values: Task<Result<T>>.
#pragma once

#include <coroutine>
#include <cstdlib>
#include <optional>
#include <utility>

#include "base/assert.h"

namespace weft::io {

namespace detail {

class TaskPromiseBase {
 public:
  std::suspend_always initial_suspend() const noexcept { return {}; }

  struct Final {
    bool await_ready() const noexcept { return false; }
    template <class Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> done) const noexcept {
      return done.promise().awaiter_;
    }
    void await_resume() const noexcept {}
  };
  Final final_suspend() const noexcept { return {}; }
  [[noreturn]] void unhandled_exception() const noexcept { std::abort(); }

  void set_awaiter(std::coroutine_handle<> awaiter) { awaiter_ = awaiter; }

 private:
  std::coroutine_handle<> awaiter_ = std::noop_coroutine();
};

template <class T>
class TaskPromise : public TaskPromiseBase {
 public:
  std::coroutine_handle<TaskPromise> get_return_object() {
    return std::coroutine_handle<TaskPromise>::from_promise(*this);
  }
  template <class U = T>
  void return_value(U&& value) {
    value_.emplace(std::forward<U>(value));
  }
  T take() {
    WEFT_ASSERT(value_.has_value());
    return std::move(*value_);
  }

 private:
  std::optional<T> value_;
};

template <>
class TaskPromise<void> : public TaskPromiseBase {
 public:
  std::coroutine_handle<TaskPromise> get_return_object() {
    return std::coroutine_handle<TaskPromise>::from_promise(*this);
  }
  void return_void() const noexcept {}
  void take() const noexcept {}
};

}  // namespace detail

template <class T = void>
class [[nodiscard]] Task {
 public:
  using promise_type = detail::TaskPromise<T>;

  Task(std::coroutine_handle<promise_type> frame) : frame_(frame) {}  // from get_return_object
  Task(Task&& other) noexcept : frame_(std::exchange(other.frame_, nullptr)) {}
  Task& operator=(Task&& other) noexcept {
    if (this != &other) {
      if (frame_) frame_.destroy();
      frame_ = std::exchange(other.frame_, nullptr);
    }
    return *this;
  }
  ~Task() {
    if (frame_) frame_.destroy();
  }

  // REQUIRES: awaited once. The frame stays until the Task dies, so that what it owns outlives the awaiting expression.
  bool await_ready() const noexcept { return false; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> awaiter) noexcept {
    frame_.promise().set_awaiter(awaiter);
    return frame_;
  }
  T await_resume() { return frame_.promise().take(); }

 private:
  std::coroutine_handle<promise_type> frame_;
};

}  // namespace weft::io
