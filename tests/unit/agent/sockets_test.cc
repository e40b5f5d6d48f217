// In a network namespace of the test's own; skipped without the right to make one.
#include "agent/sockets.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <weft/abi.h>

#include "base/fd.h"

namespace weft::agent {
namespace {

constexpr uid_t kZtunnel = 1337;
constexpr int kSkipped = 77;

Fd dial_outbound() {
  Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(WEFT_PORT_OUTBOUND);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(::connect(fd.get(), reinterpret_cast<sockaddr*>(&to), sizeof to), 0);
  return fd;
}

// A process of ztunnel's user that accepts one connection and lives until `leave` is closed. Returns when it has accepted.
pid_t ztunnel(const std::vector<PodSocket>& sockets, const Fd& leave_read, const Fd& leave_write) {
  int told[2];
  EXPECT_EQ(::pipe(told), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(leave_write.get());
    if (::setuid(kZtunnel) != 0) ::_exit(1);
    int accepted = -1;
    while (accepted < 0) {
      for (const auto& socket : sockets) {
        if (socket.kind == SocketKind::kOutbound4 && accepted < 0) accepted = ::accept(socket.fd.get(), nullptr, nullptr);
      }
      ::usleep(1000);
    }
    char byte = 0;
    (void)!::write(told[1], "x", 1);
    (void)!::read(leave_read.get(), &byte, 1);
    ::_exit(0);
  }
  ::close(told[1]);
  char byte = 0;
  EXPECT_EQ(::read(told[0], &byte, 1), 1);
  ::close(told[0]);
  return child;
}

// In the test's child process, in a namespace of its own.
void story() {
  const Fd control(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq up{};
  up.ifr_name[0] = 'l';
  up.ifr_name[1] = 'o';
  up.ifr_flags = IFF_UP;
  ASSERT_EQ(::ioctl(control.get(), SIOCSIFFLAGS, &up), 0);
  const Fd here(::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
  int leave[2];
  ASSERT_EQ(::pipe(leave), 0);
  const Fd leave_read(leave[0]);
  Fd leave_write(leave[1]);
  pid_t child = -1;
  Fd client;
  {
    auto first = open_listeners(here.get(), 2, true, {});
    ASSERT_TRUE(first) << describe(first.error());
    client = dial_outbound();
    child = ztunnel(*first, leave_read, leave_write);
  }
  EXPECT_TRUE(open_listeners(here.get(), 2, true, {})) << "while it lives with its connections";
  leave_write.reset();
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  auto again = open_listeners(here.get(), 2, true, {});
  EXPECT_TRUE(again) << "after it died and its client did not: " << describe(again.error());
}

TEST(Listeners, OpenAgainBesideTheConnectionsOfAnEarlierZtunnel) {
  const pid_t child = ::fork();
  if (child == 0) {
    if (::unshare(CLONE_NEWNET) != 0) ::_exit(kSkipped);
    story();
    ::_exit(::testing::Test::HasFailure() ? 1 : 0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  if (WIFEXITED(status) && WEXITSTATUS(status) == kSkipped) GTEST_SKIP() << "needs CAP_SYS_ADMIN";
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace weft::agent
