#include "agent/netns.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <thread>

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

namespace weft::agent {

namespace {

Result<std::uint64_t> cookie_here() {
  Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket) return fail(Code::kSystem, "socket for the netns cookie", errno);
  std::uint64_t cookie = 0;
  socklen_t length = sizeof cookie;
  if (::getsockopt(socket.get(), SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &length) != 0) {
    return fail(Code::kUnsupported, "SO_NETNS_COOKIE (Linux 5.14)", errno);
  }
  return cookie;
}

bool is_link_local(const IpAddress& ip) {
  const auto bytes = ip.bytes();
  return ip.is_v6() && bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80;
}

Result<std::vector<IpAddress>> addresses_here() {
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return fail(Code::kSystem, "getifaddrs", errno);
  std::vector<IpAddress> found;
  for (const ifaddrs* at = list; at != nullptr; at = at->ifa_next) {
    if (at->ifa_addr == nullptr) continue;
    const socklen_t length = at->ifa_addr->sa_family == AF_INET6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
    const auto address = SocketAddress::from_sockaddr(at->ifa_addr, length);
    if (address && !address->ip.is_loopback() && !is_link_local(address->ip)) found.push_back(address->ip);
  }
  ::freeifaddrs(list);
  return found;
}

}  // namespace

bool contains(const std::vector<IpAddress>& list, const IpAddress& ip) {
  return std::ranges::find(list, ip) != list.end();
}

Result<void> in_netns(int netns_fd, const std::function<void()>& work) {
  int error = 0;
  std::thread inside([&] {
    if (::setns(netns_fd, CLONE_NEWNET) != 0) {
      error = errno;
      return;
    }
    work();
  });
  inside.join();
  if (error != 0) return fail(Code::kSystem, "setns to the pod's network namespace", error);
  return {};
}

Result<Netns> identify_netns(Fd fd) {
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return fail(Code::kSystem, "fstat of a network namespace", errno);
  Result<std::uint64_t> cookie = fail(Code::kSystem, "netns cookie");
  auto entered = in_netns(fd.get(), [&] { cookie = cookie_here(); });
  if (!entered) return std::unexpected(entered.error());
  if (!cookie) return std::unexpected(cookie.error());
  return Netns{std::make_shared<const Fd>(std::move(fd)), *cookie, info.st_ino};
}

Result<std::vector<IpAddress>> addresses_in(int netns_fd) {
  Result<std::vector<IpAddress>> found;
  auto entered = in_netns(netns_fd, [&] { found = addresses_here(); });
  if (!entered) return std::unexpected(entered.error());
  return found;
}

}  // namespace weft::agent
