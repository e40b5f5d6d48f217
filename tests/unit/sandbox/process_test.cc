#include "sandbox/process.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

namespace weft::sandbox {
namespace {

using testing::HasSubstr;

Spawn shell(const std::string& script) {
  Spawn what;
  what.argv = {"sh", "-c", script};
  what.env = plain_environment();
  return what;
}

TEST(Process, RunsWithInputAndOutput) {
  const auto done = run(shell("cat; echo to-stderr >&2; exit 3"), "hello\n");
  ASSERT_TRUE(done);
  EXPECT_EQ(done->output, "hello\nto-stderr\n");
  EXPECT_EQ(exit_code(done->status), 3);
}

TEST(Process, AProgramThatIsNotThereIsAnErrorOfSpawn) {
  Spawn what;
  what.argv = {"/nonexistent/program"};
  const auto pid = spawn(what);
  ASSERT_FALSE(pid);
  EXPECT_THAT(pid.error().text, HasSubstr("/nonexistent/program"));
  EXPECT_THAT(pid.error().text, HasSubstr("No such file"));
}

TEST(Process, AFailedPreparationIsAnErrorOfSpawn) {
  auto what = shell("true");
  what.prepare = [] { return std::string("no cake left"); };
  const auto pid = spawn(what);
  ASSERT_FALSE(pid);
  EXPECT_EQ(pid.error().text, "no cake left");
}

TEST(Process, InheritsNoDescriptorOfOurs) {
  const int leaked = dup(0);
  const auto done = run(shell("ls /proc/self/fd | wc -l"));
  close(leaked);
  ASSERT_TRUE(done);
  EXPECT_EQ(done->output, "4\n");  // 0, 1, 2 and ls's own
}

TEST(Process, TheKeptDescriptorIsNumberThree) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  auto what = shell("echo hi >&3");
  what.keep = ends[1];
  const auto done = run(std::move(what));
  close(ends[1]);
  char text[8] = {};
  EXPECT_EQ(read(ends[0], text, sizeof text), 3);
  close(ends[0]);
  ASSERT_TRUE(done);
  EXPECT_STREQ(text, "hi\n");
}

TEST(Process, TheEnvironmentIsExactlyWhatIsGiven) {
  auto what = shell("env | grep -v -e ^_= -e ^PWD= -e ^SHLVL= | sort");
  what.env.push_back("A=b");
  const auto done = run(std::move(what));
  ASSERT_TRUE(done);
  EXPECT_EQ(done->output, "A=b\n" + plain_environment()[0] + "\n");
}

TEST(Process, DroppedPrivilegesAreGone) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  auto what =
      shell("id -u; id -g; grep -E '^(CapEff|CapBnd|NoNewPrivs)' /proc/self/status | tr -d '\\t '");
  what.drop = Drop{.uid = 1337, .gid = 1337};
  const auto done = run(std::move(what));
  ASSERT_TRUE(done);
  EXPECT_EQ(done->output,
            "1337\n1337\nCapEff:0000000000000000\nCapBnd:0000000000000000\nNoNewPrivs:1\n");
}

TEST(Process, ASignalIsToldAsShellsDo) {
  const auto done = run(shell("kill -9 $$"));
  ASSERT_TRUE(done);
  EXPECT_EQ(exit_code(done->status), 137);
}

TEST(Process, ForkIntoGivesTheBodysValue) {
  const auto pid = fork_into({}, [] { return 7; });
  ASSERT_TRUE(pid);
  int status = 0;
  ASSERT_EQ(waitpid(*pid, &status, 0), *pid);
  EXPECT_EQ(exit_code(status), 7);
}

}  // namespace
}  // namespace weft::sandbox
