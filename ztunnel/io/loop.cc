#include "ztunnel/io/loop.h"

#include <cerrno>

#include "ztunnel/io/buffer_pool.h"
#include "ztunnel/io/op.h"

namespace weft::io {

namespace {
constexpr int kResumesPerPass = 8;  // coroutines that only wake each other may not keep the loop from its I/O
}

Loop::Loop(int passes) : passes_(passes), now_(Clock::now()) {}

Loop::~Loop() { WEFT_ASSERT(pending_ == 0); }

void Loop::run() {
  prepare();
  now_ = read_clock();
  while (!stopping_.load(std::memory_order_acquire)) {
    if (!turn()) break;
  }
  stopping_.store(false, std::memory_order_release);
}

void Loop::stop() {
  stopping_.store(true, std::memory_order_release);
  wake();
}

void Loop::post(std::move_only_function<void()> act) {
  {
    const std::lock_guard lock(post_lock_);
    posted_.push_back(std::move(act));
  }
  if (!posted_any_.exchange(true, std::memory_order_acq_rel)) wake();
}

bool Loop::turn() {
  run_posted();
  expire_deadlines();
  for (int pass = 0; pass < passes_; ++pass) {
    for (int i = 0; i < kResumesPerPass && !ready_.empty(); ++i) resume_ready();
    submit_queued();
    if (ready_.empty()) break;
  }
  const bool busy = !queued_.empty() || !ready_.empty() || posted_any_.load(std::memory_order_acquire) ||
                    stopping_.load(std::memory_order_acquire);
  const bool alive = wait(busy ? now_ : timers_.next());
  now_ = read_clock();
  return alive || busy;
}

void Loop::run_posted() {
  if (!posted_any_.load(std::memory_order_acquire)) return;
  std::vector<std::move_only_function<void()>> acts;
  {
    const std::lock_guard lock(post_lock_);
    acts.swap(posted_);
    posted_any_.store(false, std::memory_order_release);
  }
  for (auto& act : acts) act();
}

void Loop::expire_deadlines() {
  while (Op* op = timers_.pop_due(now_)) {
    if (op->kind_ == Op::Kind::kSleep) {
      complete(*op, 0);
      continue;
    }
    op->timed_out_ = true;
    cancel_op(*op);
  }
}

void Loop::submit_queued() {
  OpList batch = queued_.take();
  while (Op* op = batch.pop_front()) {
    op->state_ = Op::State::kFlying;
    if (op->kind_ == Op::Kind::kSleep || op->kind_ == Op::Kind::kEvent) continue;
    submit(*op);
  }
}

void Loop::resume_ready() {
  OpList batch = ready_.take();
  while (Op* op = batch.pop_front()) {
    op->state_ = Op::State::kDone;
    --pending_;
    op->waiter_.resume();  // `*op` may be gone from here on
  }
}

void Loop::start(Op& op) {
  WEFT_ASSERT(op.state_ == Op::State::kNew);
  op.state_ = Op::State::kQueued;
  ++pending_;
  queued_.push_back(op);
  if (op.fd_ >= 0) chain_of(op.fd_).push_back(op);
  if (!op.deadline_.is_never()) timers_.insert(op);
}

void Loop::complete(Op& op, std::int32_t result) {
  WEFT_ASSERT(op.state_ == Op::State::kQueued || op.state_ == Op::State::kFlying);
  if (op.state_ == Op::State::kQueued) queued_.remove(op);
  op.result_ = result;
  op.state_ = Op::State::kReady;
  timers_.remove(op);
  if (op.chain_ != nullptr) op.chain_->remove(op);
  ready_.push_back(op);
}

void Loop::requeue(Op& op) {
  WEFT_ASSERT(op.state_ == Op::State::kFlying);
  op.state_ = Op::State::kQueued;
  queued_.push_back(op);
}

void Loop::park(Op& op) {
  op.parked_ = true;
  if (!op.held_ || op.share_ == nullptr) return parked_[op.held_].push_back(op);
  if (op.share_->parked.empty()) waiting_shares_.push_back(op.share_);
  op.share_->parked.push_back(op);
}

void Loop::leave_park(Op& op) {
  op.parked_ = false;
  if (!op.held_ || op.share_ == nullptr) return parked_[op.held_].remove(op);
  op.share_->parked.remove(op);
  if (op.share_->parked.empty()) std::erase(waiting_shares_, op.share_);
}

bool Loop::requeue_parked(bool held, std::size_t room) {
  bool any = false;
  for (; room > 0 && !parked_[held].empty(); --room) {
    Op& op = *parked_[held].pop_front();
    op.parked_ = false;
    requeue(op);
    any = true;
  }
  return any;
}

bool Loop::requeue_shares(const BufferPool& pool, std::size_t mapped) {
  bool any = false;
  for (Share* share : waiting_shares_) {
    for (std::size_t room = mapped + pool.room_of(*share); room > 0 && !share->parked.empty(); --room) {
      Op& op = *share->parked.pop_front();
      op.parked_ = false;
      requeue(op);
      any = true;
    }
  }
  if (any) std::erase_if(waiting_shares_, [](const Share* share) { return share->parked.empty(); });
  return any;
}

void Loop::cancel(int fd) {
  Op* next = nullptr;
  for (Op* op = chain_of(fd).first(); op != nullptr; op = next) {
    next = op->chain_next_;  // cancelling may take `op` out
    cancel_op(*op);
  }
}

void Loop::cancel_op(Op& op) {
  op.cancelled_ = true;
  if (op.state_ == Op::State::kQueued || op.kind_ == Op::Kind::kEvent) {
    complete(op, -ECANCELED);
  } else {
    abort(op);
  }
}

}  // namespace weft::io
