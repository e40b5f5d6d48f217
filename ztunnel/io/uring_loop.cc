#include "ztunnel/io/uring_loop.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <climits>

#include "ztunnel/io/ops.h"
#include "ztunnel/io/sockets.h"

namespace weft::io {

namespace {
constexpr unsigned kSubmissions = 512;
constexpr unsigned kCompletions = 4096;
constexpr std::uint16_t kBufferGroup = 1;
constexpr std::uint32_t kFirstDepth = 8;
// user_data: an Op's address, or one of these.
constexpr std::uint64_t kIgnored = 0;
constexpr std::uint64_t kWake = 1;

std::uint64_t tag(const Op& op) { return reinterpret_cast<std::uint64_t>(&op); }
}  // namespace

Result<std::unique_ptr<UringLoop>> UringLoop::make(const LoopOptions& options) {
  Fd wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake) return fail(Code::kExhausted, "eventfd", errno);
  std::unique_ptr<UringLoop> loop(new UringLoop(std::move(wake), options));
  auto ready = loop->set_up();
  if (!ready) return std::unexpected(ready.error());
  return loop;
}

UringLoop::UringLoop(Fd wake_fd, const LoopOptions& options)
    : Loop(1),
      wake_(std::move(wake_fd)),
      pool_(options.buffers, options.buffer_size, options.spill_max),
      depth_(std::min(kFirstDepth, options.buffers)) {}

Result<void> UringLoop::set_up() {
  io_uring_params params{};
  params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL |
                 IORING_SETUP_CLAMP | IORING_SETUP_CQSIZE | IORING_SETUP_R_DISABLED;
  params.cq_entries = kCompletions;
  const int made = ::io_uring_queue_init_params(kSubmissions, &ring_, &params);
  if (made < 0) return fail(Code::kUnsupported, "io_uring_setup", -made);
  ring_made_ = true;
  if ((params.features & IORING_FEAT_EXT_ARG) == 0)
    return fail(Code::kUnsupported, "io_uring timeouts");

  const std::size_t bytes = pool_.count() * sizeof(io_uring_buf);
  void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return fail(Code::kExhausted, "mmap", errno);
  buffer_ring_ = static_cast<io_uring_buf_ring*>(memory);
  io_uring_buf_reg registration{};
  registration.ring_addr = reinterpret_cast<std::uint64_t>(memory);
  registration.ring_entries = pool_.count();
  registration.bgid = kBufferGroup;
  const int registered = ::io_uring_register_buf_ring(&ring_, &registration, 0);
  if (registered < 0) return fail(Code::kUnsupported, "io_uring buffer ring", -registered);
  ::io_uring_buf_ring_init(buffer_ring_);
  return {};
}

UringLoop::~UringLoop() {
  if (ring_made_) ::io_uring_queue_exit(&ring_);
  if (buffer_ring_ != nullptr) ::munmap(buffer_ring_, pool_.count() * sizeof(io_uring_buf));
}

// The ring belongs to the thread that enables it. (liburing 2.3 declares io_uring_enable_rings and
// does not export it.)
void UringLoop::prepare() {
  if (enabled_) return;
  enabled_ = true;
  WEFT_ASSERT(::io_uring_register(static_cast<unsigned>(ring_.ring_fd),
                                  IORING_REGISTER_ENABLE_RINGS, nullptr, 0) == 0);
  ::io_uring_register_ring_fd(
      &ring_);  // saves a lookup per enter; older kernels refuse, which is fine
  arm_wake();
}

io_uring_sqe* UringLoop::next_sqe() {
  io_uring_sqe* sqe = ::io_uring_get_sqe(&ring_);
  if (sqe == nullptr) {
    ::io_uring_submit(&ring_);
    sqe = ::io_uring_get_sqe(&ring_);
  }
  WEFT_ASSERT(sqe != nullptr);
  return sqe;
}

void UringLoop::arm_wake() {
  io_uring_sqe* sqe = next_sqe();
  ::io_uring_prep_poll_multishot(sqe, wake_.get(), POLLIN);
  ::io_uring_sqe_set_data64(sqe, kWake);
}

void UringLoop::submit(Op& op) {
  if (op.is_send() && op.size_ == 0 && op.kind_ != Op::Kind::kConnect) return complete(op, 0);
  io_uring_sqe* sqe = next_sqe();
  switch (op.kind_) {
    case Op::Kind::kAccept:
      ::io_uring_prep_accept(sqe, op.fd_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
      break;
    case Op::Kind::kConnect: {
      auto& connect = static_cast<ConnectOp&>(op);
      connect.fill_address(socket_family(op.fd_));
      ::io_uring_prep_connect(sqe, op.fd_, reinterpret_cast<const sockaddr*>(op.data_),
                              static_cast<socklen_t>(op.size_));
      break;
    }
    case Op::Kind::kReceive:
    case Op::Kind::kReceiveBuffer:
      prepare_receive(sqe, op);
      break;
    case Op::Kind::kSend:
    case Op::Kind::kGather:
      prepare_send(sqe, op);
      break;
    case Op::Kind::kReadable:
      ::io_uring_prep_poll_add(sqe, op.fd_, POLLIN | POLLRDHUP);
      break;
    case Op::Kind::kSleep:
    case Op::Kind::kEvent:
      WEFT_ASSERT(false);
  }
  ::io_uring_sqe_set_data64(sqe, tag(op));
}

void UringLoop::prepare_receive(io_uring_sqe* sqe, Op& op) {
  ::io_uring_prep_recv(sqe, op.fd_, op.data_, op.size_, 0);
  if (op.kind_ == Op::Kind::kReceiveBuffer &&
      op.data_ == nullptr) {  // data_ is set: a heap buffer stands in
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = kBufferGroup;
  }
  op.poll_first_ = entries_[op.fd_].drained;
  if (op.poll_first_) sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
}

// MSG_WAITALL: the kernel goes on after a short write by itself. Once the peer's FIN came it may
// not wait by itself (await_room).
void UringLoop::prepare_send(io_uring_sqe* sqe, Op& op) {
  const int flags = MSG_NOSIGNAL | MSG_WAITALL | (entries_[op.fd_].ended ? MSG_DONTWAIT : 0);
  if (op.kind_ == Op::Kind::kSend) {
    ::io_uring_prep_send(sqe, op.fd_, op.data_, std::min<std::size_t>(op.size_, INT_MAX), flags);
    return;
  }
  *op.message_ = {};
  op.message_->msg_iov = reinterpret_cast<iovec*>(op.data_);
  op.message_->msg_iovlen = std::min<std::size_t>(op.size_, IOV_MAX);
  ::io_uring_prep_sendmsg(sqe, op.fd_, op.message_, flags);
}

// The kernel's own wait of a send also ends for POLLRDHUP. After the peer's FIN that holds for
// ever: it tries 128 times in a row and gives EAGAIN. A multishot poll tells of edges, and
// on_room() looks for the one that is wanted.
void UringLoop::await_room(Op& op) {
  op.waits_for_room_ = true;
  io_uring_sqe* sqe = next_sqe();
  ::io_uring_prep_poll_multishot(sqe, op.fd_, POLLOUT);
  ::io_uring_sqe_set_data64(sqe, tag(op));
}

void UringLoop::on_room(Op& op, const io_uring_cqe& cqe) {
  if ((cqe.flags & IORING_CQE_F_MORE) == 0) {  // the poll is over, by us or by the kernel
    op.waits_for_room_ = false;
    if (op.cancelled_) return complete(op, -ECANCELED);
    if (cqe.res < 0 && cqe.res != -ECANCELED) return complete(op, cqe.res);
    return requeue(op);
  }
  if ((cqe.res & (POLLOUT | POLLERR | POLLHUP)) != 0)
    abort(op);  // ends the poll; then the send is tried again
}

// The cancellation itself says nothing; the operation's own completion does.
void UringLoop::abort(Op& op) {
  if (op.parked_) {
    leave_park(op);
    complete(op, -ECANCELED);
    return;
  }
  io_uring_sqe* sqe = next_sqe();
  ::io_uring_prep_cancel64(sqe, tag(op), 0);
  ::io_uring_sqe_set_data64(sqe, kIgnored);
}

bool UringLoop::wait(Clock::time_point until) {
  io_uring_cqe* first = nullptr;
  if (wake_parked()) until = now();
  fill_ring();
  if (until <= now()) {
    ::io_uring_submit_and_get_events(&ring_);
  } else if (until == Clock::time_point::max()) {
    ::io_uring_submit_and_wait(&ring_, 1);
  } else {
    const auto left = std::max<std::int64_t>(
        0, std::chrono::duration_cast<std::chrono::nanoseconds>(until - Clock::now()).count());
    __kernel_timespec timeout{.tv_sec = left / 1'000'000'000, .tv_nsec = left % 1'000'000'000};
    ::io_uring_submit_and_wait_timeout(&ring_, &first, 1, &timeout, nullptr);
  }
  unsigned head = 0;
  unsigned count = 0;
  io_uring_cqe* cqe = nullptr;
  io_uring_for_each_cqe(&ring_, head, cqe) {
    on_completion(*cqe);
    ++count;
  }
  ::io_uring_cq_advance(&ring_, count);
  return true;
}

void UringLoop::on_completion(const io_uring_cqe& cqe) {
  if (cqe.user_data == kIgnored) return;
  if (cqe.user_data == kWake) {
    drain_eventfd(wake_.get());
    if ((cqe.flags & IORING_CQE_F_MORE) == 0) arm_wake();
    return;
  }
  Op& op = *reinterpret_cast<Op*>(cqe.user_data);
  if (op.waits_for_room_) return on_room(op, cqe);
  switch (op.kind_) {
    case Op::Kind::kReceive:
      return on_received(op, cqe);
    case Op::Kind::kReceiveBuffer:
      return on_received_buffer(op, cqe);
    case Op::Kind::kSend:
    case Op::Kind::kGather:
      return on_sent(op, cqe.res);
    case Op::Kind::kAccept:
      if (cqe.res == -ECONNABORTED && !op.cancelled_) return requeue(op);
      if (cqe.res >= 0) entries_[cqe.res].drained = entries_[cqe.res].ended = false;
      return complete(op, cqe.res);
    case Op::Kind::kReadable:
      return complete(op, std::min(cqe.res, 0));
    default:
      return complete(op, cqe.res);
  }
}

void UringLoop::on_sent(Op& op, int result) {
  if (result == -EAGAIN && !op.cancelled_) {
    entries_[op.fd_].ended = true;
    return await_room(op);
  }
  if (result < 0) return complete(op, result);
  if (op.advance(static_cast<std::size_t>(result))) return complete(op, 0);
  if (op.cancelled_) return complete(op, -ECANCELED);
  requeue(op);
}

void UringLoop::on_received(Op& op, const io_uring_cqe& cqe) {
  if (cqe.res == 0) entries_[op.fd_].ended = true;
  entries_[op.fd_].drained = (cqe.flags & IORING_CQE_F_SOCK_NONEMPTY) == 0;
  complete(op, cqe.res);
}

void UringLoop::on_received_buffer(Op& op, const io_uring_cqe& cqe) {
  if (cqe.res == -ENOBUFS && op.data_ == nullptr) return on_no_buffer(op);
  if (cqe.res == 0) entries_[op.fd_].ended = true;
  entries_[op.fd_].drained = (cqe.flags & IORING_CQE_F_SOCK_NONEMPTY) == 0;
  if ((cqe.flags & IORING_CQE_F_BUFFER) != 0) {
    --in_ring_;
    op.buffer_id_ = cqe.flags >> IORING_CQE_BUFFER_SHIFT;
    op.data_ = pool_.at(op.buffer_id_);
  }
  if (cqe.res <= 0 && op.data_ != nullptr) {
    give_back(op.data_, op.buffer_id_);
    op.data_ = nullptr;
  }
  complete(op, cqe.res);
}

// No buffer in the ring. The kernel asks for one before it looks for bytes, so first see that there
// are any; then read into the heap, or wait until somebody gives a buffer back.
void UringLoop::on_no_buffer(Op& op) {
  if (op.cancelled_) return complete(op, -ECANCELED);
  if (!op.poll_first_) {
    entries_[op.fd_].drained = true;
    return requeue(op);
  }
  if (pool_.has_mapped()) {  // the ring was too short for this turn
    depth_ = std::min(2 * depth_, pool_.count());
    return requeue(op);
  }
  const BufferPool::Piece piece = pool_.spill(op.held_, op.share_);
  if (piece.base != nullptr) {
    op.data_ = piece.base;
    op.size_ = piece.size;
    op.buffer_id_ = piece.id;
    requeue(op);
    return;
  }
  park(op);
}

void UringLoop::fill_ring() {
  int added = 0;
  for (; in_ring_ < depth_ && pool_.has_mapped(); ++in_ring_) {
    const BufferPool::Piece piece = pool_.take(false);
    ::io_uring_buf_ring_add(buffer_ring_, piece.base, piece.size,
                            static_cast<unsigned short>(piece.id),
                            ::io_uring_buf_ring_mask(pool_.count()), added++);
  }
  if (added > 0) ::io_uring_buf_ring_advance(buffer_ring_, added);
}

void UringLoop::give_back(std::byte* base, std::uint32_t id) { pool_.put(base, id); }

bool UringLoop::wake_parked() {
  const bool brief = requeue_parked(false, in_ring_ + pool_.available(false));
  const bool held = requeue_parked(true, in_ring_ + pool_.available(true));
  const bool shared =
      requeue_shares(pool_, in_ring_ + pool_.available(true) - pool_.spill_room(true));
  return brief || held || shared;
}

void UringLoop::wake() { signal_eventfd(wake_.get()); }

void UringLoop::shutdown_write(int fd) { ::shutdown(fd, SHUT_WR); }
bool UringLoop::is_broken(int fd) { return is_hung_up(fd); }

// The kernel's operations hold the socket until their cancellation, at the end of this turn; then
// FIN or RST goes out.
void UringLoop::close(Fd fd) {
  cancel(fd.get());
  entries_[fd.get()].drained = entries_[fd.get()].ended = false;
}

void UringLoop::reset(Fd fd) {
  set_linger_zero(fd.get());
  close(std::move(fd));
}

}  // namespace weft::io
