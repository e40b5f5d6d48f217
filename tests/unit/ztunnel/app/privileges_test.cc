// What is left to somebody who took weft-ztunnel over: each attempt in a child that gave up its
// privileges as the process does.
#include "ztunnel/app/privileges.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/netlink.h>
#include <linux/perf_event.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <thread>

namespace weft::app {
namespace {

constexpr unsigned kUid = 1337;
constexpr int kWorked = 0, kRefused = 1, kOtherwise = 2, kNoStart = 3;

// "killed", "refused" (EPERM), "works", or what else became of it. `attempt` answers like a system call.
template <class Attempt>
std::string outcome(Attempt attempt) {
  const pid_t child = ::fork();
  if (child == 0) {
    if (::geteuid() == 0 && (::setresgid(kUid, kUid, kUid) != 0 || ::setresuid(kUid, kUid, kUid) != 0)) ::_exit(kNoStart);
    if (!give_up_privileges()) ::_exit(kNoStart);
    errno = 0;
    const long got = attempt();
    ::_exit(got >= 0 ? kWorked : errno == EPERM ? kRefused : kOtherwise);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  if (WIFSIGNALED(status)) return WTERMSIG(status) == SIGSYS ? "killed" : "signal";
  switch (WEXITSTATUS(status)) {
    case kWorked: return "works";
    case kRefused: return "refused";
    case kNoStart: return "could not give up its privileges";
    default: return "another error";
  }
}

TEST(Privileges, WhatOnlyAnAttackerCallsKills) {
  char* const arguments[] = {const_cast<char*>("/bin/true"), nullptr};
  EXPECT_EQ(outcome([&] { return ::execve("/bin/true", arguments, arguments + 1); }), "killed");
  EXPECT_EQ(outcome([&] { return ::syscall(SYS_execveat, AT_FDCWD, "/bin/true", arguments, arguments + 1, 0); }), "killed");
  EXPECT_EQ(outcome([] { return ::ptrace(PTRACE_ATTACH, ::getppid(), 0, 0); }), "killed");
  for (const long call : {SYS_bpf, SYS_setns, SYS_unshare, SYS_mount, SYS_process_vm_readv, SYS_process_vm_writev, SYS_keyctl, SYS_add_key,
                          SYS_perf_event_open, SYS_userfaultfd, SYS_init_module, SYS_open_by_handle_at, SYS_setuid, SYS_capset}) {
    EXPECT_EQ(outcome([call] { return ::syscall(call, 0, 0, 0, 0, 0, 0); }), "killed") << call;
  }
}

TEST(Privileges, WhatIsNotNeededIsRefused) {
  EXPECT_EQ(outcome([] { return ::fork(); }), "refused");
  EXPECT_EQ(outcome([] { return ::socket(AF_PACKET, SOCK_DGRAM, 0); }), "refused");
  EXPECT_EQ(outcome([] { return ::socket(AF_VSOCK, SOCK_STREAM, 0); }), "refused");
  EXPECT_EQ(outcome([] { return ::socket(AF_ALG, SOCK_SEQPACKET, 0); }), "refused");
  EXPECT_EQ(outcome([] { return ::socket(AF_INET, SOCK_RAW, 6); }), "refused");
  EXPECT_EQ(outcome([] { return ::socket(AF_INET6, SOCK_RAW | SOCK_NONBLOCK, 6); }), "refused");
  EXPECT_EQ(outcome([] { return ::socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER); }), "refused");
  EXPECT_EQ(outcome([] { return ::kill(::getppid(), 0); }), "refused");
  EXPECT_EQ(outcome([] { return ::chmod("/tmp", 0777); }), "refused");
  EXPECT_EQ(outcome([] { return ::syscall(SYS_memfd_create, "x", 0); }), "refused");
  EXPECT_EQ(outcome([] {
              return ::mmap(nullptr, 4096, PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1 : 0;
            }),
            "refused");
}

TEST(Privileges, WhatTheProxyDoesWorks) {
  EXPECT_EQ(outcome([] { return ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0); }), "works");
  EXPECT_EQ(outcome([] { return ::socket(AF_INET6, SOCK_DGRAM, 0); }), "works");
  EXPECT_EQ(outcome([] { return ::socket(AF_UNIX, SOCK_SEQPACKET, 0); }), "works");
  EXPECT_EQ(outcome([] { return ::socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE); }), "works") << "getaddrinfo";
  EXPECT_EQ(outcome([] { return ::epoll_create1(EPOLL_CLOEXEC); }), "works");
  EXPECT_EQ(outcome([] { return ::open("/proc/self/status", O_RDONLY); }), "works");
  EXPECT_EQ(outcome([] {
              bool ran = false;
              std::thread([&] { ran = true; }).join();
              return ran ? 0 : -1;
            }),
            "works");
}

}  // namespace
}  // namespace weft::app
