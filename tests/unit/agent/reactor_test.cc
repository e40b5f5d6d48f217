#include "agent/reactor.h"

#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>
#include <thread>

namespace weft::agent {
namespace {

using namespace std::chrono_literals;

std::array<Fd, 2> pair() {
  int fds[2];
  EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
  return {Fd(fds[0]), Fd(fds[1])};
}

TEST(Reactor, RunsTimersInTheirOrder) {
  auto reactor = *Reactor::make();
  std::string order;
  const auto now = Clock::now();
  reactor->at(now + 2ms, [&] { order += 'c'; });
  reactor->at(now, [&] { order += 'a'; });
  reactor->at(now, [&] { order += 'b'; });
  const auto never = reactor->at(now, [&] { order += 'x'; });
  reactor->cancel(never);
  for (int i = 0; i < 20 && order.size() < 3; ++i) reactor->turn(5ms);
  EXPECT_EQ(order, "abc");
}

TEST(Reactor, TakesWorkFromAnyThread) {
  auto reactor = *Reactor::make();
  int done = 0;
  std::thread other([&] {
    for (int i = 0; i < 100; ++i) reactor->post([&] { ++done; });
    reactor->stop();
  });
  reactor->run();
  other.join();
  EXPECT_EQ(done, 100);
}

TEST(Reactor, CallsNobodyAfterForget) {
  auto reactor = *Reactor::make();
  auto a = pair();
  auto b = pair();
  int calls = 0;
  const auto only_one = [&](std::uint32_t) {
    ++calls;
    reactor->forget(a[0].get());
    reactor->forget(b[0].get());
  };
  ASSERT_TRUE(reactor->watch(a[0].get(), EPOLLIN, only_one));
  ASSERT_TRUE(reactor->watch(b[0].get(), EPOLLIN, only_one));
  ASSERT_EQ(::write(a[1].get(), "x", 1), 1);
  ASSERT_EQ(::write(b[1].get(), "x", 1), 1);
  reactor->turn(5ms);
  reactor->turn(5ms);
  EXPECT_EQ(calls, 1);
}

}  // namespace
}  // namespace weft::agent
