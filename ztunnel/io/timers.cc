#include "ztunnel/io/timers.h"

#include "ztunnel/io/op.h"

namespace weft::io {

void TimerHeap::insert(Op& op) {
  WEFT_ASSERT(op.timer_ == Op::kNoTimer);
  heap_.emplace_back();
  sift_up(heap_.size() - 1, Entry{op.deadline_.at, &op});
}

void TimerHeap::remove(Op& op) {
  if (op.timer_ == Op::kNoTimer) return;
  const std::size_t hole = op.timer_;
  op.timer_ = Op::kNoTimer;
  const Entry last = heap_.back();
  heap_.pop_back();
  if (hole == heap_.size()) return;
  if (hole > 0 && last.at < heap_[(hole - 1) / 2].at) {
    sift_up(hole, last);
  } else {
    sift_down(hole, last);
  }
}

Op* TimerHeap::pop_due(Clock::time_point now) {
  if (heap_.empty() || heap_.front().at > now) return nullptr;
  Op* op = heap_.front().op;
  remove(*op);
  return op;
}

void TimerHeap::place(std::size_t index, Entry entry) {
  heap_[index] = entry;
  entry.op->timer_ = static_cast<std::uint32_t>(index);
}

void TimerHeap::sift_up(std::size_t index, Entry entry) {
  while (index > 0) {
    const std::size_t parent = (index - 1) / 2;
    if (heap_[parent].at <= entry.at) break;
    place(index, heap_[parent]);
    index = parent;
  }
  place(index, entry);
}

void TimerHeap::sift_down(std::size_t index, Entry entry) {
  for (;;) {
    std::size_t child = 2 * index + 1;
    if (child >= heap_.size()) break;
    if (child + 1 < heap_.size() && heap_[child + 1].at < heap_[child].at) ++child;
    if (entry.at <= heap_[child].at) break;
    place(index, heap_[child]);
    index = child;
  }
  place(index, entry);
}

}  // namespace weft::io
