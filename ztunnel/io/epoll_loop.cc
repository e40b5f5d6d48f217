#include "ztunnel/io/epoll_loop.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <array>
#include <cerrno>

#include "ztunnel/io/ops.h"
#include "ztunnel/io/sockets.h"

namespace weft::io {

namespace {
constexpr int kEventsPerWait = 256;
constexpr int kPasses = 4;  // an operation that succeeds at once costs no epoll_wait

int or_errno(ssize_t result) { return result >= 0 ? static_cast<int>(result) : -errno; }
}  // namespace

Result<std::unique_ptr<EpollLoop>> EpollLoop::make(const LoopOptions& options) {
  Fd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) return fail(Code::kExhausted, "epoll_create", errno);
  Fd wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake) return fail(Code::kExhausted, "eventfd", errno);
  epoll_event event{.events = EPOLLIN, .data = {.fd = wake.get()}};
  if (::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, wake.get(), &event) != 0)
    return fail(Code::kSystem, "epoll_ctl", errno);
  return std::unique_ptr<EpollLoop>(new EpollLoop(std::move(epoll), std::move(wake), options));
}

EpollLoop::EpollLoop(Fd epoll, Fd wake_fd, const LoopOptions& options)
    : Loop(kPasses),
      epoll_(std::move(epoll)),
      wake_(std::move(wake_fd)),
      pool_(options.buffers, options.buffer_size, options.spill_max) {}

void EpollLoop::submit(Op& op) {
  const int result = attempt(op);
  if (result == -EAGAIN) {
    if (!op.parked_) await_edge(op);
  } else {
    complete(op, result);
  }
}

int EpollLoop::attempt(Op& op) {
  switch (op.kind_) {
    case Op::Kind::kAccept:
      return try_accept(op);
    case Op::Kind::kConnect:
      return try_connect(op);
    case Op::Kind::kReceive:
      return or_errno(::recv(op.fd_, op.data_, op.size_, MSG_DONTWAIT));
    case Op::Kind::kReceiveBuffer:
      return try_receive_buffer(op);
    case Op::Kind::kSend:
    case Op::Kind::kGather:
      return try_send(op);
    case Op::Kind::kReadable:
      return try_readable(op);
    case Op::Kind::kSleep:
    case Op::Kind::kEvent:
      break;
  }
  WEFT_ASSERT(false);
  return -EINVAL;
}

int EpollLoop::try_accept(Op& op) {
  make_nonblocking(op.fd_);
  for (;;) {
    const int fd = or_errno(::accept4(op.fd_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (fd == -ECONNABORTED || fd == -EINTR) continue;  // that one is gone; the next
    if (fd >= 0) entries_[fd].registered = false;
    return fd;
  }
}

// A second connect() on the same socket tells how the first one ended.
int EpollLoop::try_connect(Op& op) {
  make_nonblocking(op.fd_);
  auto& connect = static_cast<ConnectOp&>(op);
  if (op.data_ == nullptr) connect.fill_address(socket_family(op.fd_));
  const int result = or_errno(::connect(op.fd_, reinterpret_cast<const sockaddr*>(op.data_),
                                        static_cast<socklen_t>(op.size_)));
  if (result == -EISCONN) return 0;
  if (result == -EINPROGRESS || result == -EALREADY) return -EAGAIN;
  return result == -EAGAIN ? -EADDRNOTAVAIL : result;  // no local port left
}

int EpollLoop::try_receive_buffer(Op& op) {
  const BufferPool::Piece piece = pool_.take(op.held_, op.share_);
  if (piece.base == nullptr) {
    park(op);
    return -EAGAIN;
  }
  const int result = or_errno(::recv(op.fd_, piece.base, piece.size, MSG_DONTWAIT));
  if (result > 0) {
    op.data_ = piece.base;
    op.buffer_id_ = piece.id;
  } else {
    pool_.put(piece.base, piece.id);
  }
  return result;
}

int EpollLoop::try_send(Op& op) {
  for (;;) {
    if (op.size_ == 0) return 0;
    const int sent = send_once(op, MSG_DONTWAIT);
    if (sent == -EINTR) continue;
    if (sent < 0) return sent;
    if (op.advance(static_cast<std::size_t>(sent))) return 0;
  }
}

int EpollLoop::try_readable(Op& op) {
  pollfd poll{.fd = op.fd_, .events = POLLIN | POLLRDHUP, .revents = 0};
  const int ready = or_errno(::poll(&poll, 1, 0));
  return ready == 0 ? -EAGAIN : ready < 0 ? ready : 0;
}

// Both directions at once: later waits of this descriptor need no system call. An edge that came
// before this is reported by ADD.
void EpollLoop::await_edge(Op& op) {
  Entry& entry = entries_[op.fd_];
  if (entry.registered) return;
  epoll_event event{.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data = {.fd = op.fd_}};
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, op.fd_, &event) != 0 && errno != EEXIST) {
    complete(op, -errno);
    return;
  }
  entry.registered = true;
}

void EpollLoop::abort(Op& op) {
  if (op.parked_) leave_park(op);
  complete(op, -ECANCELED);
}

bool EpollLoop::wait(Clock::time_point until) {
  std::array<epoll_event, kEventsPerWait> events;
  timespec wait{};
  if (wake_parked()) until = now();
  const bool forever = until == Clock::time_point::max();
  if (!forever && until > now()) {
    const auto left =
        std::chrono::duration_cast<std::chrono::nanoseconds>(until - Clock::now()).count();
    if (left > 0) wait = {.tv_sec = left / 1'000'000'000, .tv_nsec = left % 1'000'000'000};
  }
  const int count = ::epoll_pwait2(epoll_.get(), events.data(), kEventsPerWait,
                                   forever ? nullptr : &wait, nullptr);
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = events[static_cast<std::size_t>(i)];
    if (event.data.fd == wake_.get()) {
      drain_eventfd(wake_.get());
    } else {
      on_edge(event.data.fd, event.events);
    }
  }
  return true;
}

void EpollLoop::on_edge(int fd, std::uint32_t events) {
  const bool both = (events & (EPOLLERR | EPOLLHUP)) != 0;
  const bool in = both || (events & (EPOLLIN | EPOLLRDHUP)) != 0;
  const bool out = both || (events & EPOLLOUT) != 0;
  for (Op* op = entries_[fd].pending.first(); op != nullptr; op = op->chain_next_) {
    if (op->state_ != Op::State::kFlying || op->parked_) continue;
    if (op->is_send() ? out : in) requeue(*op);
  }
}

void EpollLoop::wake() { signal_eventfd(wake_.get()); }

void EpollLoop::make_nonblocking(int fd) {
  Entry& entry = entries_[fd];
  if (entry.nonblocking) return;
  ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK);
  entry.nonblocking = true;
}

void EpollLoop::shutdown_write(int fd) { ::shutdown(fd, SHUT_WR); }
bool EpollLoop::is_broken(int fd) { return is_hung_up(fd); }

// Explicitly out of epoll: another process may hold the same open file, and its edges would come
// back under a reused number.
void EpollLoop::close(Fd fd) {
  cancel(fd.get());
  Entry& entry = entries_[fd.get()];
  if (entry.registered) ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd.get(), nullptr);
  entry.registered = entry.nonblocking = false;
}

void EpollLoop::reset(Fd fd) {
  set_linger_zero(fd.get());
  close(std::move(fd));
}

void EpollLoop::give_back(std::byte* base, std::uint32_t id) { pool_.put(base, id); }

bool EpollLoop::wake_parked() {
  const bool brief = requeue_parked(false, pool_.available(false));
  const bool held = requeue_parked(true, pool_.available(true));
  const bool shared = requeue_shares(pool_, pool_.available(true) - pool_.spill_room(true));
  return brief || held || shared;
}

}  // namespace weft::io
