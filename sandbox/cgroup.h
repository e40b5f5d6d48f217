// The cgroup2 directories of a sandbox: one subtree, so that one write ends every process in it.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace weft::sandbox {

// The mount point of cgroup2. Where the machine mounts none, it is mounted in a private mount
// namespace of this process.
Parsed<std::string> cgroup2_mount();

Parsed<void> make_directories(const std::string& path, unsigned mode = 0755);

// Every process below `dir` (itself included).
std::vector<pid_t> processes_below(const std::string& dir);

// SIGKILL to everything below `dir`; returns at once. Fine if there is no such cgroup.
void kill_cgroup(const std::string& dir);
// Sends `signal` to everything below `dir`.
void signal_cgroup(const std::string& dir, int signal);

// Waits until `dir` is empty and removes it with all below it. False at the deadline: something is
// still there.
bool remove_cgroup(const std::string& dir, Deadline deadline);

}  // namespace weft::sandbox
