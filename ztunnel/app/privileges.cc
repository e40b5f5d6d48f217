#include "ztunnel/app/privileges.h"

#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/netlink.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include <fstream>
#include <memory>
#include <string>

namespace weft::app {
namespace {

// Everything that loops, gRPC, OpenSSL, spdlog and glibc's threads and allocator use, whatever the arguments.
constexpr const char* kAllowed[] = {
    // I/O on descriptors
    "read", "write", "readv", "writev", "pread64", "pwrite64", "lseek", "close", "close_range", "dup", "dup2", "dup3", "fcntl",
    "pipe2", "splice", "eventfd2", "signalfd4", "timerfd_create", "timerfd_settime", "timerfd_gettime", "poll", "ppoll",
    "select", "pselect6", "epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait", "epoll_pwait2", "io_uring_setup",
    "io_uring_enter", "io_uring_register",
    // sockets
    "connect", "accept", "accept4", "bind", "listen", "getsockname", "getpeername", "getsockopt", "setsockopt", "shutdown",
    "sendto", "sendmsg", "sendmmsg", "recvfrom", "recvmsg", "recvmmsg",
    // files: token, roots, state directory, /proc, /etc/hosts
    "open", "openat", "stat", "lstat", "fstat", "newfstatat", "statx", "statfs", "access", "faccessat", "faccessat2", "readlink",
    "readlinkat", "getcwd", "getdents64", "mkdir", "mkdirat", "rename", "renameat", "renameat2", "unlink", "unlinkat", "ftruncate",
    "fsync", "fdatasync", "fadvise64",
    // memory
    "munmap", "mremap", "madvise", "brk", "membarrier",
    // threads, time, signals, oneself
    "futex", "set_robust_list", "get_robust_list", "rseq", "set_tid_address", "exit", "exit_group", "sched_yield",
    "sched_getaffinity", "sched_setaffinity", "sched_getparam", "sched_getscheduler", "sched_get_priority_max",
    "sched_get_priority_min", "getcpu", "gettid", "getpid", "getppid", "tgkill", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn",
    "rt_sigtimedwait", "rt_sigpending", "sigaltstack", "restart_syscall", "nanosleep", "clock_nanosleep", "clock_gettime",
    "clock_getres", "gettimeofday", "time", "getrandom", "uname", "sysinfo", "getrusage", "getrlimit", "getuid", "geteuid",
    "getgid", "getegid", "arch_prctl"};

// Never by accident.
constexpr const char* kDeadly[] = {"execve",   "execveat",     "ptrace",        "process_vm_readv", "process_vm_writev", "bpf",
                                   "setns",    "unshare",      "mount",         "umount2",          "pivot_root",        "chroot",
                                   "kexec_load", "init_module", "finit_module", "delete_module",    "keyctl",            "add_key",
                                   "perf_event_open", "userfaultfd", "open_by_handle_at", "setuid", "setgid", "setresuid", "capset"};

struct FilterDeleter {
  void operator()(void* filter) const { seccomp_release(filter); }
};
using Filter = std::unique_ptr<void, FilterDeleter>;

// The first failure sticks.
class Rules {
 public:
  explicit Rules(scmp_filter_ctx filter) : filter_(filter) {}
  template <class... Comparisons>
  void add(std::uint32_t action, const char* name, Comparisons... comparisons) {
    const int number = seccomp_syscall_resolve_name(name);
    if (number == __NR_SCMP_ERROR || number < 0) return;  // not on this architecture
    const int failed = seccomp_rule_add(filter_, action, number, sizeof...(comparisons), comparisons...);
    if (failed != 0 && error_ == 0) error_ = -failed;
  }
  int error() const { return error_; }

 private:
  scmp_filter_ctx filter_;
  int error_ = 0;
};

void add_conditional(Rules& rules) {
  // Threads, not processes. clone3's flags cannot be seen: ENOSYS makes glibc use clone.
  rules.add(SCMP_ACT_ALLOW, "clone", SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
  rules.add(SCMP_ACT_ERRNO(ENOSYS), "clone3");
  // Memory is written or executed, not both.
  for (const char* name : {"mmap", "mprotect"}) {
    rules.add(SCMP_ACT_ALLOW, name, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    rules.add(SCMP_ACT_ALLOW, name, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_WRITE, 0));
  }
  constexpr scmp_datum_t kTypeMask = 0xf;  // without SOCK_NONBLOCK and SOCK_CLOEXEC
  for (const scmp_datum_t family : {AF_INET, AF_INET6}) {
    for (const scmp_datum_t type : {SOCK_STREAM, SOCK_DGRAM}) {
      rules.add(SCMP_ACT_ALLOW, "socket", SCMP_A0(SCMP_CMP_EQ, family), SCMP_A1(SCMP_CMP_MASKED_EQ, kTypeMask, type));
    }
  }
  rules.add(SCMP_ACT_ALLOW, "socket", SCMP_A0(SCMP_CMP_EQ, AF_UNIX));
  rules.add(SCMP_ACT_ALLOW, "socket", SCMP_A0(SCMP_CMP_EQ, AF_NETLINK), SCMP_A2(SCMP_CMP_EQ, NETLINK_ROUTE));  // getaddrinfo
  rules.add(SCMP_ACT_ALLOW, "socketpair", SCMP_A0(SCMP_CMP_EQ, AF_UNIX));
  for (const unsigned long request : {FIONREAD, FIONBIO, TCGETS, static_cast<int>(TIOCGWINSZ)}) {
    rules.add(SCMP_ACT_ALLOW, "ioctl", SCMP_A1(SCMP_CMP_EQ, request));
  }
  for (const int option : {PR_SET_NAME, PR_GET_NAME, 0x53564d41 /* PR_SET_VMA */}) {
    rules.add(SCMP_ACT_ALLOW, "prctl", SCMP_A0(SCMP_CMP_EQ, static_cast<scmp_datum_t>(option)));
  }
  rules.add(SCMP_ACT_ALLOW, "prlimit64", SCMP_A2(SCMP_CMP_EQ, 0));  // reading
}

Parsed<void> install_filter() {
  const Filter filter(seccomp_init(SCMP_ACT_ERRNO(EPERM)));
  if (filter == nullptr) return problem("seccomp: cannot make a filter");
  Rules rules(filter.get());
  for (const char* name : kAllowed) rules.add(SCMP_ACT_ALLOW, name);
  for (const char* name : kDeadly) rules.add(SCMP_ACT_KILL_PROCESS, name);
  add_conditional(rules);
  if (rules.error() != 0) return problem(fmt::format("seccomp: a rule was refused (errno {})", rules.error()));
  if (const int failed = seccomp_load(filter.get()); failed != 0) {
    return problem(fmt::format("seccomp: the kernel refused the filter (errno {})", -failed));
  }
  return {};
}

std::string status_field(const std::string& name) {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(name + ":")) continue;
    const auto begin = line.find_first_not_of(" \t", name.size() + 1);
    return begin == std::string::npos ? "" : line.substr(begin);
  }
  return "";
}

}  // namespace

Parsed<void> give_up_privileges() {
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
  }
  if (::getuid() == 0 || ::geteuid() == 0) {
    return problem("weft-ztunnel does not run as root: start it as uid 1337 without capabilities");
  }
  const auto effective = status_field("CapEff");
  if (effective.find_first_not_of('0') != std::string::npos) {
    return problem(fmt::format("weft-ztunnel runs without capabilities, but CapEff is {}", effective));
  }
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return problem("cannot set NoNewPrivs");
  const rlimit no_core{};
  ::setrlimit(RLIMIT_CORE, &no_core);  // keys do not go to disk
  return install_filter();
}

}  // namespace weft::app
