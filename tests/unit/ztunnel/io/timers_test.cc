#include "ztunnel/io/timers.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <random>

#include "ztunnel/io/ops.h"
#include "ztunnel/io/sim_loop.h"

namespace weft::io {
namespace {

TEST(TimerHeap, GivesOperationsInOrderThoughSomeLeaveEarly) {
  SimLoop loop;
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    TimerHeap heap;
    std::vector<std::unique_ptr<SleepOp>> ops;
    for (int i = 0; i < 50; ++i) {
      ops.push_back(std::make_unique<SleepOp>(loop, Clock::time_point(Clock::duration(random() % 40))));
      heap.insert(*ops.back());
    }
    std::shuffle(ops.begin(), ops.end(), random);
    for (int i = 0; i < 20; ++i) heap.remove(*ops[static_cast<std::size_t>(i)]);
    heap.remove(*ops[0]);  // not in it any more: nothing happens
    int taken = 0;
    Clock::time_point last{};
    while (Op* op = heap.pop_due(Clock::time_point(Clock::duration(1000)))) {
      EXPECT_LE(last, op->deadline_.at);
      last = op->deadline_.at;
      ++taken;
    }
    EXPECT_EQ(taken, 30);
    EXPECT_EQ(heap.next(), Clock::time_point::max());
  }
}

TEST(TimerHeap, KeepsWhatIsNotDue) {
  SimLoop loop;
  TimerHeap heap;
  SleepOp op(loop, Clock::time_point(std::chrono::seconds(5)));
  heap.insert(op);
  EXPECT_EQ(heap.pop_due(Clock::time_point(std::chrono::seconds(4))), nullptr);
  EXPECT_EQ(heap.pop_due(Clock::time_point(std::chrono::seconds(5))), &op);
}

}  // namespace
}  // namespace weft::io
