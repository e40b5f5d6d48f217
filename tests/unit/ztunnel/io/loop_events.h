// Of the suite that every Loop passes (loop_suite.h). Events, hooks and posted acts.
#pragma once

#include "tests/unit/ztunnel/io/loop_fixture.h"

namespace weft::io {

inline Spawned wait_event(Scope&, Event& event, int& woken, Deadline deadline) {
  auto done = co_await event.wait(deadline);
  if (done) ++woken;
}
inline Task<void> events(Loop& loop) {
  Event event(loop);
  Scope scope;
  int woken = 0;
  auto early = co_await event.wait(loop.in(5ms));
  EXPECT_TRUE(!early && early.error().code == Code::kTimedOut);
  for (int i = 0; i < 3; ++i) wait_event(scope, event, woken, Deadline::never());
  event.cancel_waits();
  co_await scope.join();
  EXPECT_EQ(woken, 0);
  for (int i = 0; i < 3; ++i) wait_event(scope, event, woken, loop.in(5s));
  event.set();
  EXPECT_EQ(woken, 0);  // nobody resumes inside set()
  co_await scope.join();
  EXPECT_EQ(woken, 3);
  auto sticky = co_await event.wait(loop.in(5s));
  EXPECT_TRUE(sticky.has_value());
}
TYPED_TEST_P(LoopSuite, AnEventWakesAllItsWaitersAndStaysSet) {
  run_until_done(this->net_.loop(), events(this->net_.loop()));
}

inline Task<void> hooked(Loop& loop, int fd) {
  struct Watch : Event::Hook {
    Watch(Loop& loop, int fd) : Hook(&run), loop_(loop), fd_(fd) {}
    static void run(Hook& hook) {
      auto& self = static_cast<Watch&>(hook);
      self.loop_.cancel(self.fd_);
    }
    Loop& loop_;
    int fd_;
  };
  Event stop(loop);
  Scope scope;
  int cancelled = 0;
  Watch watch(loop, fd);
  watch.join(stop);
  wait_for_cancel(scope, loop, fd, cancelled);
  co_await sleep_for(loop, 2ms);
  stop.set();
  co_await scope.join();
  EXPECT_EQ(cancelled, 1);
}
TYPED_TEST_P(LoopSuite, AHookCancelsAReceiveWhenTheEventIsSet) {
  auto [a, b] = this->net_.pair();
  run_until_done(this->net_.loop(), hooked(this->net_.loop(), a.get()));
  this->net_.loop().close(std::move(a));
  this->net_.loop().close(std::move(b));
}

TYPED_TEST_P(LoopSuite, PostedActsRunInOrder) {
  std::vector<int> order;
  for (int i = 0; i < 100; ++i) this->net_.loop().post([&order, i] { order.push_back(i); });
  this->net_.loop().post([this] { this->net_.loop().stop(); });
  this->net_.loop().run();
  ASSERT_EQ(order.size(), 100u);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(order[static_cast<std::size_t>(i)], i);
}

}  // namespace weft::io
