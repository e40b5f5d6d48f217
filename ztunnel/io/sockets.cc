#include "ztunnel/io/sockets.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <climits>

#include "ztunnel/io/op.h"

namespace weft::io {

int socket_family(int fd) {
  int family = AF_UNSPEC;
  socklen_t length = sizeof family;
  if (::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &length) != 0) return AF_UNSPEC;
  return family;
}

void set_linger_zero(int fd) {
  const linger now{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

bool is_hung_up(int fd) {
  pollfd poll{.fd = fd, .events = 0, .revents = 0};
  return ::poll(&poll, 1, 0) == 1;
}

int send_once(Op& op, int flags) {
  ssize_t sent = 0;
  if (op.kind_ == Op::Kind::kSend) {
    sent = ::send(op.fd_, op.data_, op.size_, flags | MSG_NOSIGNAL);
  } else {
    *op.message_ = {};
    op.message_->msg_iov = reinterpret_cast<iovec*>(op.data_);
    op.message_->msg_iovlen = std::min<std::size_t>(op.size_, IOV_MAX);
    sent = ::sendmsg(op.fd_, op.message_, flags | MSG_NOSIGNAL);
  }
  return sent >= 0 ? static_cast<int>(sent) : -errno;
}

void signal_eventfd(int fd) {
  const eventfd_t one = 1;
  ::eventfd_write(fd, one);  // full: somebody signalled already
}

void drain_eventfd(int fd) {
  eventfd_t count = 0;
  ::eventfd_read(fd, &count);
}

}  // namespace weft::io
