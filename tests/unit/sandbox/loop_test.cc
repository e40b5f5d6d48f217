#include "sandbox/loop.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <vector>

#include "sandbox/process.h"

namespace weft::sandbox {
namespace {

using std::chrono::milliseconds;

TEST(Loop, TimersFireInOrderAndCancelledOnesDoNot) {
  Loop loop;
  std::vector<int> fired;
  loop.after(milliseconds(20), [&] {
    fired.push_back(2);
    loop.stop();
  });
  loop.after(milliseconds(5), [&] { fired.push_back(1); });
  loop.cancel(loop.after(milliseconds(1), [&] { fired.push_back(9); }));
  loop.run();
  EXPECT_EQ(fired, (std::vector<int>{1, 2}));
}

TEST(Loop, AWatchMayRemoveItselfAndOthers) {
  Loop loop;
  int a[2], b[2], calls = 0;
  ASSERT_EQ(pipe(a), 0);
  ASSERT_EQ(pipe(b), 0);
  const auto remove_both = [&](short) {
    ++calls;
    loop.unwatch(a[0]);
    loop.unwatch(b[0]);
    loop.after(milliseconds(10), [&] { loop.stop(); });
  };
  loop.watch(a[0], POLLIN, remove_both);
  loop.watch(b[0], POLLIN, remove_both);
  ASSERT_EQ(write(a[1], "x", 1), 1);
  ASSERT_EQ(write(b[1], "x", 1), 1);
  loop.run();
  EXPECT_EQ(calls, 1);
  for (const int fd : {a[0], a[1], b[0], b[1]}) close(fd);
}

TEST(Loop, AChildsEndIsTold) {
  Loop loop;
  const auto pid = fork_into({}, [] { return 5; });
  ASSERT_TRUE(pid);
  int code = -1;
  loop.on_exit(*pid, [&](int status) {
    code = exit_code(status);
    loop.stop();
  });
  loop.run();
  EXPECT_EQ(code, 5);
}

}  // namespace
}  // namespace weft::sandbox
