#include "sandbox/supervisor.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>

namespace weft::sandbox {
namespace {

namespace fs = std::filesystem;

// A directory of the test's own with a program in it.
struct Place {
  fs::path directory = fs::temp_directory_path() / ("weft-supervisor-" + std::to_string(getpid()));
  fs::path program = directory / "sleeper", away = directory / "away";
  Place() {
    fs::create_directories(directory);
    fs::copy_file("/usr/bin/sleep", program, fs::copy_options::overwrite_existing);
  }
  ~Place() { fs::remove_all(directory); }

  Component component() const {
    Component made{
        .name = "sleeper", .node = "", .command = {}, .log = directory / "log", .ready = {}};
    made.command.argv = {"sleeper", "60"};
    made.command.program = program;
    made.command.env = plain_environment();
    return made;
  }
};

// Runs the loop until `done`, or for 10 s.
bool run_until(Loop& loop, const std::function<bool()>& done) {
  bool good = false;
  std::function<void()> look = [&] {
    good = done();
    if (good) return loop.stop();
    loop.after(std::chrono::milliseconds(10), look);
  };
  look();
  const auto limit = loop.after(std::chrono::seconds(10), [&] { loop.stop(); });
  if (!good) loop.run();
  loop.cancel(limit);
  return good;
}

TEST(Supervisor, AStartThatFailsIsTriedAgain) {
  const Place place;
  Loop loop;
  Supervisor supervisor(loop);
  ASSERT_TRUE(supervisor.start(place.component()));
  const auto first = supervisor.states()[0].pid;
  fs::rename(place.program, place.away);
  kill(first, SIGKILL);
  ASSERT_TRUE(
      run_until(loop, [&] { return supervisor.states()[0].last_end.starts_with("cannot start"); }));
  EXPECT_EQ(supervisor.states()[0].state, "waiting");
  fs::rename(place.away, place.program);
  ASSERT_TRUE(run_until(loop, [&] { return supervisor.states()[0].pid > 0; }));
  ASSERT_TRUE(supervisor.stop("sleeper", "", SIGKILL));
  EXPECT_TRUE(run_until(loop, [&] { return supervisor.states()[0].state == "stopped"; }));
}

TEST(Supervisor, AFirstStartThatFailsIsToldAndLeftAlone) {
  const Place place;
  Loop loop;
  Supervisor supervisor(loop);
  fs::remove(place.program);
  const auto started = supervisor.start(place.component());
  ASSERT_FALSE(started);
  EXPECT_NE(started.error().text.find("cannot start"), std::string::npos) << started.error().text;
  EXPECT_EQ(supervisor.states()[0].state, "stopped");
}

}  // namespace
}  // namespace weft::sandbox
