// TimerHeap: the deadlines of pending operations, earliest first. An operation knows its place, so leaving is O(log n).
// Thread: the loop's. Only operations that have a deadline are in it.
#pragma once

#include <cstddef>
#include <vector>

#include "base/clock.h"

namespace weft::io {

class Op;

class TimerHeap {
 public:
  void insert(Op& op);
  void remove(Op& op);  // does nothing when `op` is not in it
  // The earliest deadline; time_point::max() when empty.
  Clock::time_point next() const { return heap_.empty() ? Clock::time_point::max() : heap_.front().at; }
  // Takes out one operation whose deadline is `now` or earlier; nullptr when there is none.
  Op* pop_due(Clock::time_point now);

 private:
  struct Entry {
    Clock::time_point at;
    Op* op;
  };
  void place(std::size_t index, Entry entry);
  void sift_up(std::size_t index, Entry entry);
  void sift_down(std::size_t index, Entry entry);

  std::vector<Entry> heap_;
};

}  // namespace weft::io
