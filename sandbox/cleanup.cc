#include "sandbox/cleanup.h"

#include <fmt/format.h>
#include <signal.h>

#include <filesystem>
#include <thread>

#include "sandbox/cgroup.h"
#include "sandbox/client.h"

namespace weft::sandbox {
namespace fs = std::filesystem;

bool is_up(const Layout& layout) { return dial_unix(layout.api_socket()).valid(); }

bool exists(const Layout& layout) {
  std::error_code error;
  if (fs::exists(layout.root(), error)) return true;
  const auto mount = cgroup2_mount();
  return mount && fs::exists(*mount + "/" + layout.cgroup(), error);
}

Parsed<bool> take_down(const Layout& layout) {
  const auto mount = cgroup2_mount();
  if (!mount) return problem(mount.error().text);
  // The daemon buries its own children; without it they wait for init.
  const auto daemon = processes_below(*mount + "/" + layout.cgroup() + "/daemon");
  const auto deadline = Deadline::after(Clock::now(), std::chrono::seconds(5));
  for (const auto pid : daemon) kill(pid, SIGTERM);
  while (!daemon.empty() && exists(layout) && !deadline.passed(Clock::now())) {
    std::this_thread::sleep_for(std::chrono::milliseconds(3));
  }
  auto destroyed = destroy(layout);
  if (destroyed && !daemon.empty()) return true;
  return destroyed;
}

Parsed<bool> destroy(const Layout& layout) {
  const auto mount = cgroup2_mount();
  if (!mount) return problem(mount.error().text);
  const auto cgroup = *mount + "/" + layout.cgroup();
  const bool there = exists(layout);
  std::error_code error;
  if (fs::exists(cgroup, error)) {
    bool gone = false;
    for (int tries = 0; tries < 10 && !gone; ++tries) {
      kill_cgroup(cgroup);
      gone = remove_cgroup(cgroup, Deadline::after(Clock::now(), std::chrono::seconds(1)));
    }
    if (!gone) {
      std::string left;
      for (const auto pid : processes_below(cgroup)) left += fmt::format(" {}", pid);
      return problem(fmt::format(
          "processes of sandbox {} do not end:{}; look at /proc/PID/stack, then run down again",
          layout.name, left));
    }
  }
  fs::remove_all(layout.root(), error);
  if (error) return problem(fmt::format("cannot remove {}: {}", layout.root(), error.message()));
  fs::remove(std::string(kStateRoot), error);  // only when no other sandbox is there
  fs::remove(fs::path(kStateRoot).parent_path(), error);
  return there;
}

}  // namespace weft::sandbox
