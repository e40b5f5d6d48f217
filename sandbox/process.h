// Starting processes inside a sandbox's namespaces and cgroups. One thread (the daemon's or the
// CLI's); nothing here is thread-safe, as a child runs our code between fork and exec.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace weft::sandbox {

// Where a process goes before it runs: a cgroup, then namespaces. Borrowed descriptors; -1 means
// "stay".
struct Entry {
  std::string cgroup_dir;  // absolute; empty: stay
  int mnt = -1;
  int net = -1;
  int uts = -1;
  int cgroup = -1;
};

// Text of what failed, for people; empty when it worked.
std::string enter(const Entry& entry);

// What a process gives up before exec.
struct Drop {
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  bool deny_io_uring = false;  // a seccomp filter that answers EPERM to io_uring_setup
};

struct Spawn {
  std::vector<std::string> argv;
  std::string program;  // what to exec when argv[0] is only a name to show; empty: argv[0], found
                        // in PATH of `env`
  std::vector<std::string> env;  // KEY=VALUE; the whole environment
  Entry entry;
  std::function<std::string()>
      prepare;  // in the child, after entry, still root; returns what failed or ""
  std::string cwd = "/";
  int in = -1;   // -1: /dev/null
  int out = -1;  // stdout and stderr; -1: /dev/null
  std::optional<Drop> drop;
  std::uint32_t umask = 022;
  std::uint64_t files_max = 0;  // RLIMIT_NOFILE; 0: as it is
  int keep = -1;                // a descriptor that the program gets as number 3
};

// Starts it and returns when exec has happened, so that a wrong program is an error here.
Parsed<pid_t> spawn(const Spawn& what);

// Forks a child that runs `body` in `entry` and exits with its value. For probes: no exec.
Parsed<pid_t> fork_into(const Entry& entry, const std::function<int()>& body);

struct Finished {
  int status = 0;      // as waitpid gives it
  std::string output;  // stdout and stderr
  bool ok() const { return status == 0; }
};
// Runs it to its end with `input` on stdin.
Parsed<Finished> run(Spawn what, std::string_view input = {});
// The same, but a failure of the program is a problem that shows `what.argv[0]` and its output.
Parsed<void> run_ok(Spawn what, std::string_view input = {});

// A plain environment for programs of the host: PATH only.
std::vector<std::string> plain_environment();

// Exit code as a shell and kubectl show it: 128+signal for a killed process.
int exit_code(int wait_status);

// /proc/PID/ns/NAME; invalid when the process is gone.
Fd open_namespace(pid_t pid, const char* name);

}  // namespace weft::sandbox
