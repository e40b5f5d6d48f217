// Op: one pending operation. It is the awaiter, and lives in the coroutine's frame: no allocation
// per operation.
//
//   kNew ─start→ kQueued ─submit→ kFlying ─complete→ kReady ─resume→ kDone
//                   └───────── cancelled ─────────────↑
//
// start() only queues; the turn submits; a coroutine is resumed from the turn, never from start().
// An Op may not die between kQueued and kReady (~Op asserts). Owner: the frame. Thread: the loop's.
// Coroutines see the derived operations of ops.h and event.h; the fields here are for them and for
// the loops.
#pragma once

#include <sys/socket.h>

#include <coroutine>
#include <cstddef>
#include <cstdint>

#include "base/assert.h"
#include "base/clock.h"
#include "base/result.h"
#include "ztunnel/io/loop.h"
#include "ztunnel/io/share.h"

namespace weft::io {

class Op {
 public:
  enum class Kind : std::uint8_t {
    kSleep,
    kEvent,
    kAccept,
    kConnect,
    kReceive,
    kReceiveBuffer,
    kSend,
    kGather,
    kReadable
  };
  enum class State : std::uint8_t { kNew, kQueued, kFlying, kReady, kDone };

  Op(const Op&) = delete;
  Op& operator=(const Op&) = delete;

  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> waiter) {
    waiter_ = waiter;
    loop_.start(*this);
  }

  bool is_send() const {
    return kind_ == Kind::kSend || kind_ == Kind::kGather || kind_ == Kind::kConnect;
  }
  // `count` more bytes went out. True when that was all. REQUIRES: kSend or kGather.
  bool advance(std::size_t count);
  // The failure of a finished operation; `where` names it. REQUIRES: result_ < 0 or timed_out_.
  std::unexpected<Error> failure(const char* where) const;

  Loop& loop_;

  // Set by the derived operation, advanced by the loops.
  std::byte* data_ = nullptr;  // kReceive, kSend: bytes; kReceiveBuffer: the buffer; kGather:
                               // iovec*; kConnect: sockaddr*
  std::size_t size_ = 0;       // bytes, number of iovecs, length of the sockaddr
  union {
    msghdr* message_ = nullptr;  // kGather
    Share* share_;               // kReceiveBuffer: whose buffer it will be; may be null
  };

  // Set by the loop.
  std::int32_t result_ = 0;      // >= 0: bytes or a descriptor; < 0: -errno
  std::uint32_t buffer_id_ = 0;  // kReceiveBuffer
  std::coroutine_handle<> waiter_;
  Deadline deadline_;
  Op* next_ = nullptr;  // in one of the loop's queues
  Op* prev_ = nullptr;
  OpChain* chain_ = nullptr;  // the pending operations of its descriptor or event
  Op* chain_next_ = nullptr;
  Op* chain_prev_ = nullptr;
  std::uint32_t timer_ = kNoTimer;  // place in the timer heap
  int fd_;
  Kind kind_;
  State state_ = State::kNew;
  bool timed_out_ = false;  // the deadline passed while it was pending
  bool cancelled_ = false;
  bool held_ = false;        // kReceiveBuffer: Claim::kHeld
  bool parked_ = false;      // kReceiveBuffer: waits for a buffer
  bool poll_first_ = false;  // the kernel was told to wait for bytes before it takes a buffer
  bool waits_for_room_ =
      false;  // UringLoop: a poll of its descriptor is in flight in place of the send

  static constexpr std::uint32_t kNoTimer = UINT32_MAX;

 protected:
  Op(Loop& loop, Kind kind, int fd, Deadline deadline)
      : loop_(loop), deadline_(deadline), fd_(fd), kind_(kind) {}
  ~Op() { WEFT_ASSERT(state_ == State::kNew || state_ == State::kDone); }
};

inline void OpList::push_back(Op& op) {
  op.next_ = nullptr;
  op.prev_ = last_;
  (last_ != nullptr ? last_->next_ : first_) = &op;
  last_ = &op;
}
inline void OpList::remove(Op& op) {
  (op.prev_ != nullptr ? op.prev_->next_ : first_) = op.next_;
  (op.next_ != nullptr ? op.next_->prev_ : last_) = op.prev_;
  op.next_ = op.prev_ = nullptr;
}
inline Op* OpList::pop_front() {
  Op* op = first_;
  if (op != nullptr) remove(*op);
  return op;
}

inline void OpChain::push_back(Op& op) {
  op.chain_ = this;
  op.chain_next_ = nullptr;
  op.chain_prev_ = last_;
  (last_ != nullptr ? last_->chain_next_ : first_) = &op;
  last_ = &op;
}
inline void OpChain::remove(Op& op) {
  (op.chain_prev_ != nullptr ? op.chain_prev_->chain_next_ : first_) = op.chain_next_;
  (op.chain_next_ != nullptr ? op.chain_next_->chain_prev_ : last_) = op.chain_prev_;
  op.chain_next_ = op.chain_prev_ = nullptr;
  op.chain_ = nullptr;
}

}  // namespace weft::io
