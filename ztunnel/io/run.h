// run_until_done: drives a loop until one task has finished. For tests and for main().
#pragma once

#include <optional>
#include <utility>

#include "base/assert.h"
#include "ztunnel/io/loop.h"
#include "ztunnel/io/scope.h"
#include "ztunnel/io/task.h"

namespace weft::io {

namespace detail {
template <class T>
Spawned keep_result(Scope&, Loop& loop, Task<T> task, std::optional<T>& out) {
  out.emplace(co_await task);
  loop.stop();
}
inline Spawned keep_done(Scope&, Loop& loop, Task<void> task, bool& out) {
  co_await task;
  out = true;
  loop.stop();
}
}  // namespace detail

// REQUIRES: called by the loop's thread, outside run(). Asserts when a SimLoop stalls before the task is done.
template <class T>
T run_until_done(Loop& loop, Task<T> task) {
  Scope scope;
  std::optional<T> out;
  detail::keep_result<T>(scope, loop, std::move(task), out);
  loop.run();
  WEFT_ASSERT(out.has_value());
  return std::move(*out);
}
inline void run_until_done(Loop& loop, Task<void> task) {
  Scope scope;
  bool done = false;
  detail::keep_done(scope, loop, std::move(task), done);
  loop.run();
  WEFT_ASSERT(done);
}

}  // namespace weft::io
