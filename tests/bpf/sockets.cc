#include "tests/bpf/sockets.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>

#include <cerrno>
#include <cstring>

namespace weft::bpf_test {
namespace {

constexpr int kOriginalDst = 80;

void bound_waits(int fd) {
  const timeval wait{.tv_sec = kWaitMs / 1000};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
}

void reuse(int fd) {
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
}

std::string text_of(const sockaddr_storage& address, socklen_t length) {
  return SocketAddress::from_sockaddr(reinterpret_cast<const sockaddr*>(&address), length)->str();
}

std::string error_text() { return fmt::format("errno {}", errno); }

}  // namespace

std::string name_of(Form form) {
  return form == Form::kV4 ? "V4" : form == Form::kV6 ? "V6" : "Mapped";
}
int family_of(Form form) { return form == Form::kV4 ? AF_INET : AF_INET6; }

SocketAddress at(const char* ip, std::uint16_t port) { return {*IpAddress::parse(ip), port}; }

Fd stream_socket(Form form, int protocol) {
  Fd fd(socket(family_of(form), SOCK_STREAM | SOCK_CLOEXEC, protocol));
  if (fd) bound_waits(fd.get());
  return fd;
}

Fd datagram_socket(Form form) {
  Fd fd(socket(family_of(form), SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (fd) bound_waits(fd.get());
  return fd;
}

int bind_to(const Fd& fd, const SocketAddress& address, Form form) {
  sockaddr_storage raw{};
  const socklen_t length = address.to_sockaddr(raw, family_of(form));
  return bind(fd.get(), reinterpret_cast<const sockaddr*>(&raw), length) == 0 ? 0 : -errno;
}

Fd listen_at(const SocketAddress& address, int backlog, const Opened& opened) {
  const Form form = address.ip.is_v4() ? Form::kV4 : Form::kV6;
  Fd fd = stream_socket(form);
  if (opened) opened(fd);
  reuse(fd.get());
  if (bind_to(fd, address, form) != 0 || listen(fd.get(), backlog) != 0) return {};
  return fd;
}

Fd datagram_at(const SocketAddress& address, const Opened& opened) {
  const Form form = address.ip.is_v4() ? Form::kV4 : Form::kV6;
  Fd fd = datagram_socket(form);
  if (opened) opened(fd);
  if (bind_to(fd, address, form) != 0) return {};
  return fd;
}

int connect_to(const Fd& fd, const SocketAddress& address, Form form) {
  sockaddr_storage raw{};
  const socklen_t length = address.to_sockaddr(raw, family_of(form));
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&raw), length) == 0) return 0;
  return errno == EINPROGRESS ? -ETIMEDOUT : -errno;  // SO_SNDTIMEO ran out
}

void start_connect(const Fd& fd, const SocketAddress& address, Form form) {
  const int flags = fcntl(fd.get(), F_GETFL);
  fcntl(fd.get(), F_SETFL, flags | O_NONBLOCK);
  connect_to(fd, address, form);
  fcntl(fd.get(), F_SETFL, flags);
}

Fd accept_from(const Fd& listener, SocketAddress* peer, int wait_ms) {
  pollfd wait{.fd = listener.get(), .events = POLLIN};
  if (poll(&wait, 1, wait_ms) != 1) return {};
  sockaddr_storage raw{};
  socklen_t length = sizeof(raw);
  Fd fd(accept4(listener.get(), reinterpret_cast<sockaddr*>(&raw), &length, SOCK_CLOEXEC));
  if (!fd) return fd;
  bound_waits(fd.get());
  if (peer) *peer = *SocketAddress::from_sockaddr(reinterpret_cast<const sockaddr*>(&raw), length);
  return fd;
}

std::string peer_of(const Fd& fd) {
  sockaddr_storage raw{};
  socklen_t length = sizeof(raw);
  if (getpeername(fd.get(), reinterpret_cast<sockaddr*>(&raw), &length) != 0) return error_text();
  return text_of(raw, length);
}

std::string local_of(const Fd& fd) {
  sockaddr_storage raw{};
  socklen_t length = sizeof(raw);
  if (getsockname(fd.get(), reinterpret_cast<sockaddr*>(&raw), &length) != 0) return error_text();
  return text_of(raw, length);
}

std::string original_of(const Fd& fd, int level) {
  sockaddr_storage raw{};
  socklen_t length = sizeof(raw);
  if (getsockopt(fd.get(), level, kOriginalDst, &raw, &length) != 0) return error_text();
  return text_of(raw, length);
}

bool echoes(const Fd& one, const Fd& other) {
  char got[8] = {};
  if (send(one.get(), "ping", 4, 0) != 4 || recv(other.get(), got, 4, MSG_WAITALL) != 4 ||
      std::memcmp(got, "ping", 4) != 0)
    return false;
  return send(other.get(), "pong", 4, 0) == 4 && recv(one.get(), got, 4, MSG_WAITALL) == 4 &&
         std::memcmp(got, "pong", 4) == 0;
}

int send_to(const Fd& fd, std::string_view text, const std::optional<SocketAddress>& to,
            Form form) {
  sockaddr_storage raw{};
  const socklen_t length = to ? to->to_sockaddr(raw, family_of(form)) : 0;
  const auto sent = sendto(fd.get(), text.data(), text.size(), 0,
                           to ? reinterpret_cast<const sockaddr*>(&raw) : nullptr, length);
  return sent == static_cast<ssize_t>(text.size()) ? 0 : -errno;
}

std::string receive_from(const Fd& fd, SocketAddress* from) {
  char buffer[512];
  sockaddr_storage raw{};
  socklen_t length = sizeof(raw);
  const auto got =
      recvfrom(fd.get(), buffer, sizeof(buffer), 0, reinterpret_cast<sockaddr*>(&raw), &length);
  if (got < 0) return error_text();
  if (from) *from = *SocketAddress::from_sockaddr(reinterpret_cast<const sockaddr*>(&raw), length);
  return {buffer, static_cast<std::size_t>(got)};
}

}  // namespace weft::bpf_test
