#include "ztunnel/io/ops.h"

#include <cstring>

namespace weft::io {

namespace {
Code code_of(int os) {
  switch (os) {
    case ECANCELED:
    case ECONNRESET:
    case ECONNABORTED:
    case EPIPE:
    case ENOTCONN:
    case ESHUTDOWN:
      return Code::kClosed;
    case ETIMEDOUT:
      return Code::kTimedOut;
    case ECONNREFUSED:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EHOSTDOWN:
    case ENETDOWN:
    case EADDRNOTAVAIL:
      return Code::kUnreachable;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
      return Code::kExhausted;
    case EACCES:
    case EPERM:
      return Code::kDenied;
    default:
      return Code::kSystem;
  }
}
}  // namespace

Error socket_error(int os, const char* where) { return Error{code_of(os), os, where}; }

std::unexpected<Error> Op::failure(const char* where) const {
  if (timed_out_ && result_ == -ECANCELED) return fail(Code::kTimedOut, where);
  return std::unexpected<Error>(socket_error(-result_, where));
}

bool Op::advance(std::size_t count) {
  if (kind_ == Kind::kSend) {
    data_ += count;
    size_ -= count;
    return size_ == 0;
  }
  auto* piece = reinterpret_cast<iovec*>(data_);
  while (size_ > 0 && count >= piece->iov_len) {
    count -= piece->iov_len;
    ++piece;
    --size_;
  }
  data_ = reinterpret_cast<std::byte*>(piece);
  if (size_ == 0) return true;
  piece->iov_base = static_cast<std::byte*>(piece->iov_base) + count;
  piece->iov_len -= count;
  return false;
}

ConnectOp::ConnectOp(Loop& loop, int fd, const SocketAddress& address, Deadline deadline)
    : Op(loop, Kind::kConnect, fd, deadline), address_(address) {}
void ConnectOp::fill_address(int family) {
  sockaddr_storage storage{};
  size_ = address_.to_sockaddr(storage, family);
  WEFT_ASSERT(size_ <= sizeof raw_);
  std::memcpy(&raw_, &storage, size_);
  data_ = reinterpret_cast<std::byte*>(&raw_);
}
ReceiveOp::ReceiveOp(Loop& loop, int fd, std::span<std::byte> into, Deadline deadline)
    : Op(loop, Kind::kReceive, fd, deadline) {
  data_ = into.data();
  size_ = into.size();
}
SendOp::SendOp(Loop& loop, int fd, std::span<const std::byte> bytes, Deadline deadline)
    : Op(loop, Kind::kSend, fd, deadline) {
  data_ = const_cast<std::byte*>(bytes.data());  // never written
  size_ = bytes.size();
}
GatherOp::GatherOp(Loop& loop, int fd, std::span<iovec> pieces, Deadline deadline)
    : Op(loop, Kind::kGather, fd, deadline) {
  data_ = reinterpret_cast<std::byte*>(pieces.data());
  size_ = pieces.size();
  message_ = &raw_;
}

Result<Fd> AcceptOp::await_resume() const {
  if (result_ < 0) return failure("accept");
  return Fd(result_);
}
Result<void> ConnectOp::await_resume() const {
  if (result_ < 0) return failure("connect");
  return {};
}
Result<std::size_t> ReceiveOp::await_resume() const {
  if (result_ < 0) return failure("receive");
  return static_cast<std::size_t>(result_);
}
Result<Buffer> ReceiveBufferOp::await_resume() const {
  if (result_ < 0) return failure("receive");
  if (data_ == nullptr) return Buffer();
  return Buffer(loop_.buffer_owner(), data_, buffer_id_, static_cast<std::size_t>(result_));
}
Result<void> SendOp::await_resume() const {
  if (result_ < 0) return failure("send");
  return {};
}
Result<void> GatherOp::await_resume() const {
  if (result_ < 0) return failure("send");
  return {};
}
Result<void> ReadableOp::await_resume() const {
  if (result_ < 0) return failure("poll");
  return {};
}

}  // namespace weft::io
