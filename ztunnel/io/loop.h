// Loop: one thread's I/O. Coroutines wait on it through the awaiters of ops.h and event.h.
// Implementations: UringLoop, EpollLoop (make_loop.h), SimLoop (sim_loop.h: seeded, virtual time).
// All pass one suite. Thread: everything is called on the loop's thread (the one in run()) or
// before run(), but for stop() and post().
//
// A turn: posted acts → deadlines → resume what is ready → submit what was started → wait.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "base/clock.h"
#include "base/fd.h"
#include "ztunnel/io/op_list.h"
#include "ztunnel/io/timers.h"

namespace weft::io {

class BufferOwner;
class BufferPool;
struct Share;

struct LoopOptions {
  std::uint32_t buffers = 64;  // in the pool that recv_buffer borrows from; a power of two
  std::uint32_t buffer_size =
      64 * 1024;  // bytes each; touched only when used, the one used last first
  // Bytes of heap buffers when the pool is empty. Past it, readers that hold what they get
  // (Claim::kHeld) pause; the others, who give it back at once, may take as much again, so that a
  // tunnel can always be read and what is held can drain.
  std::size_t spill_max = std::size_t{64} << 20;
};

class Loop {
 public:
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;
  virtual ~Loop();  // asserts that no operation is pending

  // Monotonic; stands still within a turn.
  Clock::time_point now() const { return now_; }
  Deadline in(Clock::duration wait) const { return Deadline::after(now_, wait); }

  // Turns until stop(). May be called again afterwards, by the same thread. SimLoop also returns
  // when nothing can ever happen.
  void run();
  // Ends run() after the current turn. Any thread.
  void stop();
  // Runs `act` on the loop's thread, in a later turn, in order. Any thread; the act must not block.
  // What is still queued when the loop dies is dropped.
  void post(std::move_only_function<void()> act);

  // Socket acts. They complete what is pending on the descriptor in an orderly way; none blocks.
  // Every pending operation on `fd` ends with kClosed/ECANCELED; one that has already finished
  // keeps its result.
  void cancel(int fd);
  // Sends FIN after what was sent. Errors are ignored: a dead connection shows on the next
  // operation.
  virtual void shutdown_write(int fd) = 0;
  // cancel() and close. Always this way, never by ~Fd, for a socket that was used with this loop
  // (Socket does it).
  virtual void close(Fd fd) = 0;
  // cancel() and close with RST: what is unsent is lost and the peer sees ECONNRESET.
  virtual void reset(Fd fd) = 0;
  // The peer reset the connection, though nobody reads: what it sent before may still be read.
  // Takes no error away. REQUIRES: not both directions ended in order (that looks the same). A
  // system call.
  virtual bool is_broken(int fd) = 0;
  // "io_uring", "epoll" or "simulated".
  virtual const char* name() const = 0;

  // Operations that were started and have not been resumed; for tests and drains.
  std::size_t pending() const { return pending_; }

  // For awaiters only.
  void start(Op& op);
  virtual BufferOwner& buffer_owner() = 0;

 protected:
  // `passes`: how often a turn may resume and submit before it looks for events. 1 when submit()
  // only prepares: then no coroutine runs between an operation's preparation and the kernel's
  // seeing it, and a descriptor cannot be closed in between.
  explicit Loop(int passes);

  // --- what an implementation gives ---
  // The pending operations of `fd`; start() adds, complete() removes. The reference stays good
  // while there are any.
  virtual OpChain& chain_of(int fd) = 0;
  // Does or begins the operation; ends in complete(), now or later. kSleep and kEvent never get
  // here.
  virtual void submit(Op& op) = 0;
  // A kFlying operation shall complete soon, with -ECANCELED unless it finished meanwhile.
  virtual void abort(Op& op) = 0;
  // Completes what happened; waits for something to happen, until `until` at most (<= now(): does
  // not wait). False when nothing can ever happen (SimLoop).
  virtual bool wait(Clock::time_point until) = 0;
  // Ends a wait() from another thread.
  virtual void wake() = 0;
  virtual Clock::time_point read_clock() const { return Clock::now(); }
  // On the loop's thread, when run() begins.
  virtual void prepare() {}

  // --- what it may use ---
  void complete(Op& op, std::int32_t result);  // kQueued, kFlying → kReady
  void requeue(Op& op);  // kFlying → kQueued: submitted again, in the next turn
  // Readers without a buffer: parked until there is room for one of their claim.
  void park(Op& op);
  void leave_park(Op& op);
  bool requeue_parked(bool held,
                      std::size_t room);  // at most `room` of them; true if there were any
  // The same for those who wait with a share: as many of each as it has room for, and `mapped`
  // more.
  bool requeue_shares(const BufferPool& pool, std::size_t mapped);
  void set_now(Clock::time_point now) { now_ = now; }

 private:
  friend class Event;

  bool turn();
  void cancel_op(Op& op);
  void run_posted();
  void expire_deadlines();
  void submit_queued();
  void resume_ready();

  const int passes_;

  // Owned by the loop thread.
  Clock::time_point now_;
  OpList queued_;
  OpList ready_;
  TimerHeap timers_;
  OpList parked_[2];                    // [held]; without a share
  std::vector<Share*> waiting_shares_;  // that have parked readers
  std::size_t pending_ = 0;

  // Any thread.
  std::atomic<bool> stopping_ = false;
  std::atomic<bool> posted_any_ = false;
  std::mutex post_lock_;
  std::vector<std::move_only_function<void()>> posted_;
};

}  // namespace weft::io
