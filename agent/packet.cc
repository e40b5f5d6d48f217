#include "agent/packet.h"

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "base/assert.h"

namespace weft::agent {

namespace {
constexpr std::size_t kDescriptorsTaken = 8;  // nobody sends the agent descriptors; enough to close what comes

std::unexpected<Error> socket_error(const char* where) {
  if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ETOOMANYREFS) return fail(Code::kExhausted, where, errno);
  if (errno == EPIPE || errno == ECONNRESET || errno == ENOTCONN) return fail(Code::kClosed, where, errno);
  return fail(Code::kSystem, where, errno);
}

void take_descriptors(msghdr& message, Packet& packet) {
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr; part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof fd);
      packet.descriptors.emplace_back(fd);
    }
  }
}
}  // namespace

Result<void> send_packet(int socket, std::span<const std::byte> bytes, std::span<const int> descriptors) {
  WEFT_ASSERT(descriptors.size() <= kDescriptorsMost);
  iovec vector{const_cast<std::byte*>(bytes.data()), bytes.size()};
  msghdr message{};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(kDescriptorsMost * sizeof(int))> control{};
  if (!descriptors.empty()) {
    message.msg_control = control.data();
    message.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
    cmsghdr* part = CMSG_FIRSTHDR(&message);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(descriptors.size_bytes());
    std::memcpy(CMSG_DATA(part), descriptors.data(), descriptors.size_bytes());
  }
  if (::sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) return socket_error("sendmsg to ztunnel");
  return {};
}

Result<Packet> receive_packet(int socket, std::size_t bytes_most) {
  Packet packet;
  packet.bytes.resize(bytes_most);
  iovec vector{packet.bytes.data(), packet.bytes.size()};
  alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(kDescriptorsTaken * sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const auto got = ::recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (got < 0) return socket_error("recvmsg from ztunnel");
  take_descriptors(message, packet);
  packet.cut = (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0;
  packet.bytes.resize(static_cast<std::size_t>(got));
  // An empty packet and the end look alike; no frame is empty on purpose, so both end the connection.
  if (got == 0 && packet.descriptors.empty() && !packet.cut) return fail(Code::kClosed, "ztunnel closed the connection");
  return packet;
}

}  // namespace weft::agent
