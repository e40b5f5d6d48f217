// Runs the tests in a forked child that has a scratch cgroup and a mount namespace with a bpffs of
// its own; the parent bounds its time and removes the cgroup whatever happened to the child. Not
// root: 77, which is "skipped".
#include <dirent.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <string>
#include <string_view>

namespace {

constexpr std::string_view kScratchPrefix = "weft-bpf-test-";
constexpr unsigned kSecondsMax = 80;
constexpr int kSkipped = 77;

std::string cgroup2_mount() {
  std::ifstream mounts("/proc/mounts");
  std::string device, path, type, rest;
  while (mounts >> device >> path >> type && std::getline(mounts, rest))
    if (type == "cgroup2") return path;
  return "";
}

// Left by a run whose parent was killed too.
void remove_abandoned(const std::string& mount) {
  DIR* dir = opendir(mount.c_str());
  while (const dirent* entry = dir ? readdir(dir) : nullptr) {
    const std::string name = entry->d_name;
    if (!name.starts_with(kScratchPrefix)) continue;
    if (kill(std::atoi(name.c_str() + kScratchPrefix.size()), 0) != 0)
      rmdir((mount + "/" + name).c_str());
  }
  if (dir) closedir(dir);
}

int run_child(const std::string& cgroup) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  signal(SIGPIPE, SIG_IGN);
  std::ofstream(cgroup + "/cgroup.procs") << "0" << std::flush;
  if (unshare(CLONE_NEWNS) != 0 ||
      mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
      mount("bpf", "/sys/fs/bpf", "bpf", 0, "mode=0700") != 0) {
    perror("a mount namespace with a bpffs");
    return 1;
  }
  setenv("WEFT_TEST_CGROUP", cgroup.c_str(), 1);
  return RUN_ALL_TESTS();
}

// The child's exit code; 124 when it was too slow.
int wait_for(pid_t child) {
  for (unsigned tenths = 0; tenths < 10 * kSecondsMax; ++tenths) {
    int status = 0;
    if (waitpid(child, &status, WNOHANG) == child)
      return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    usleep(100'000);
  }
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  return 124;
}

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (testing::GTEST_FLAG(list_tests)) return RUN_ALL_TESTS();
  const std::string mount = cgroup2_mount();
  if (geteuid() != 0 || mount.empty()) {
    fmt::print(stderr, "skipped: needs root and a cgroup2 mount\n");
    return kSkipped;
  }
  remove_abandoned(mount);
  const std::string cgroup = fmt::format("{}/{}{}", mount, kScratchPrefix, getpid());
  if (mkdir(cgroup.c_str(), 0755) != 0) {
    perror(cgroup.c_str());
    return 1;
  }
  const pid_t child = fork();
  if (child == 0) _exit(run_child(cgroup));
  const int code = wait_for(child);
  // A process that the child started may take a moment to leave the cgroup.
  for (int tries = 0; rmdir(cgroup.c_str()) != 0 && tries < 50; ++tries) usleep(20'000);
  return code;
}
