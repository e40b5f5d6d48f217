#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>

#include "tests/bench/bench.h"

namespace weft::bench {

double busy_seconds() {
  std::ifstream stat("/proc/stat");
  std::string cpu;
  double user = 0, nice = 0, system = 0, idle = 0, iowait = 0, irq = 0, softirq = 0;
  stat >> cpu >> user >> nice >> system >> idle >> iowait >> irq >> softirq;
  return (user + nice + system + irq + softirq) / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

Fd listen_on(const SocketAddress& address) {
  sockaddr_storage raw{};
  const socklen_t length = address.to_sockaddr(raw);
  Fd fd(::socket(raw.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int on = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&raw), length) != 0 || ::listen(fd.get(), 4096) != 0) {
    std::perror("weft-bench: listen");
    return {};
  }
  return fd;
}

}  // namespace weft::bench
