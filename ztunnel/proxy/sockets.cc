#include "ztunnel/proxy/sockets.h"

#include <linux/netfilter_ipv4.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "bpf/include/weft/abi.h"

namespace weft::proxy {
namespace {

constexpr int kIp6SoOriginalDst =
    80;  // IP6T_SO_ORIGINAL_DST; its header does not compile next to netinet/in.h

Result<SocketAddress> from_storage(const sockaddr_storage& storage, socklen_t length,
                                   const char* where) {
  auto address = SocketAddress::from_sockaddr(reinterpret_cast<const sockaddr*>(&storage), length);
  if (!address) return fail(Code::kSystem, where, EAFNOSUPPORT);
  return *address;
}

class KernelSockets final : public Sockets {
 public:
  Result<SocketAddress> original_destination(int fd) override {
    sockaddr_storage storage{};
    socklen_t length = sizeof storage;
    int family = AF_INET;
    socklen_t family_length = sizeof family;
    if (::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &family_length) != 0)
      return fail(Code::kSystem, "SO_DOMAIN", errno);
    // A v4 flow on a dual-stack socket answers at the v4 level.
    if (family == AF_INET6 &&
        ::getsockopt(fd, IPPROTO_IPV6, kIp6SoOriginalDst, &storage, &length) == 0)
      return from_storage(storage, length, "original destination");
    length = sizeof storage;
    if (::getsockopt(fd, IPPROTO_IP, SO_ORIGINAL_DST, &storage, &length) == 0)
      return from_storage(storage, length, "original destination");
    return fail(Code::kNotFound, "original destination", errno);
  }

  Result<SocketAddress> local(int fd) override {
    sockaddr_storage storage{};
    socklen_t length = sizeof storage;
    if (::getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &length) != 0)
      return fail(Code::kSystem, "getsockname", errno);
    return from_storage(storage, length, "getsockname");
  }

  Result<SocketAddress> peer(int fd) override {
    sockaddr_storage storage{};
    socklen_t length = sizeof storage;
    if (::getpeername(fd, reinterpret_cast<sockaddr*>(&storage), &length) != 0)
      return fail(Code::kSystem, "getpeername", errno);
    return from_storage(storage, length, "getpeername");
  }

  Result<void> deliver_as(int fd, const SocketAddress& client, const SocketAddress& app,
                          std::uint32_t spread) override {
    weft_address shown{};
    auto mapped = client.ip.mapped();
    std::memcpy(shown.ip, mapped.data(), sizeof shown.ip);
    shown.port_be = htons(client.port);
    if (::setsockopt(fd, SOL_WEFT, WEFT_SO_CLIENT, &shown, sizeof shown) != 0)
      return fail(Code::kUnsupported, "WEFT_SO_CLIENT", errno);
    return deliver_from_pod(fd, app, spread);
  }

  Result<void> deliver_from_pod(int fd, const SocketAddress& app, std::uint32_t spread) override {
    int on = 1;
    // The port is chosen at connect(): one source port may serve many destinations.
    if (::setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on) != 0 &&
        errno != ENOPROTOOPT)
      return fail(Code::kSystem, "IP_BIND_ADDRESS_NO_PORT", errno);
    SocketAddress source;
    if (app.ip.is_v4()) {
      // 127.1.0.0 … 127.254.255.255: never 127.0.0.x, which applications use among themselves.
      source.ip = IpAddress::v4({127, static_cast<std::uint8_t>(1 + (spread >> 16) % 254),
                                 static_cast<std::uint8_t>(spread >> 8),
                                 static_cast<std::uint8_t>(1 + spread % 254)});
    } else {
      // Not ::1: a reset to loopback is routed out of the interface that the dialed address is on,
      // and lost, so that a port where nobody listens would time out instead of refusing.
      source.ip = app.ip;
    }
    sockaddr_storage storage{};
    int family = AF_INET;
    socklen_t family_length = sizeof family;
    ::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &family_length);
    socklen_t length = source.to_sockaddr(storage, family);
    if (::bind(fd, reinterpret_cast<const sockaddr*>(&storage), length) != 0)
      return fail(Code::kSystem, "bind before dialing the application", errno);
    return {};
  }

  Result<std::size_t> receive_from(int fd, std::span<std::byte> buffer,
                                   SocketAddress& from) override {
    sockaddr_storage storage{};
    socklen_t length = sizeof storage;
    ssize_t got = ::recvfrom(fd, buffer.data(), buffer.size(), MSG_DONTWAIT,
                             reinterpret_cast<sockaddr*>(&storage), &length);
    if (got < 0) return fail(Code::kSystem, "recvfrom", errno);
    if (auto address =
            SocketAddress::from_sockaddr(reinterpret_cast<const sockaddr*>(&storage), length))
      from = *address;
    return static_cast<std::size_t>(got);
  }

  Result<void> send_to(int fd, std::span<const std::byte> datagram,
                       const SocketAddress& to) override {
    int family = AF_INET;
    socklen_t family_length = sizeof family;
    ::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &family_length);
    sockaddr_storage storage{};
    socklen_t length = to.to_sockaddr(storage, family);
    if (::sendto(fd, datagram.data(), datagram.size(), MSG_DONTWAIT,
                 reinterpret_cast<const sockaddr*>(&storage), length) < 0)
      return fail(Code::kSystem, "sendto", errno);
    return {};
  }
};

}  // namespace

Sockets& Sockets::kernel() {
  static KernelSockets sockets;
  return sockets;
}

}  // namespace weft::proxy
