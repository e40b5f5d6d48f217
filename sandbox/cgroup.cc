#include "sandbox/cgroup.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <mntent.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <thread>

#include "base/fd.h"
#include "sandbox/layout.h"

namespace weft::sandbox {
namespace fs = std::filesystem;

Parsed<std::string> cgroup2_mount() {
  const std::unique_ptr<FILE, int (*)(FILE*)> mounts(setmntent("/proc/self/mounts", "re"),
                                                     endmntent);
  if (!mounts) return problem("cannot read /proc/self/mounts: is /proc mounted?");
  while (const mntent* entry = getmntent(mounts.get())) {
    if (std::strcmp(entry->mnt_type, "cgroup2") == 0) return std::string(entry->mnt_dir);
  }
  std::string own = "/run/weft/cgroup2";
  if (auto made = make_directories(own); !made) return problem(made.error().text);
  if (unshare(CLONE_NEWNS) != 0 || mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
      mount("cgroup2", own.c_str(), "cgroup2", 0, nullptr) != 0) {
    return problem(fmt::format(
        "cannot mount cgroup2: {}; the kernel needs CONFIG_CGROUPS and you need to be root",
        std::strerror(errno)));
  }
  return own;
}

Parsed<void> make_directories(const std::string& path, unsigned mode) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) return problem(fmt::format("cannot make {}: {}", path, error.message()));
  chmod(path.c_str(), mode);
  return {};
}

namespace {

std::vector<fs::path> directories_below(const std::string& dir) {
  std::vector<fs::path> found;
  std::error_code error;
  if (!fs::is_directory(dir, error)) return found;
  found.emplace_back(dir);
  for (fs::recursive_directory_iterator it(dir, error), end; !error && it != end;
       it.increment(error)) {
    std::error_code ignored;
    if (it->is_directory(ignored)) found.push_back(it->path());
  }
  return found;
}

}  // namespace

std::vector<pid_t> processes_below(const std::string& dir) {
  std::vector<pid_t> pids;
  for (const auto& path : directories_below(dir)) {
    std::ifstream procs(path / "cgroup.procs");
    for (pid_t pid = 0; procs >> pid;) pids.push_back(pid);
  }
  return pids;
}

void kill_cgroup(const std::string& dir) {
  const Fd file(open((dir + "/cgroup.kill").c_str(), O_WRONLY | O_CLOEXEC));
  if (file && write(file.get(), "1", 1) == 1) return;
  signal_cgroup(dir, SIGKILL);  // before Linux 5.14
}

void signal_cgroup(const std::string& dir, int signal) {
  for (const pid_t pid : processes_below(dir)) {
    if (pid > 1 && pid != getpid()) kill(pid, signal);
  }
}

bool remove_cgroup(const std::string& dir, Deadline deadline) {
  for (;;) {
    auto paths = directories_below(dir);
    std::reverse(paths.begin(), paths.end());
    for (const auto& path : paths) rmdir(path.c_str());
    std::error_code error;
    if (!fs::exists(dir, error)) return true;
    if (deadline.passed(Clock::now())) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

}  // namespace weft::sandbox
