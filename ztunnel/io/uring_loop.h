// UringLoop: one io_uring, set up for a single thread (SINGLE_ISSUER, DEFER_TASKRUN). A turn's
// operations go to the kernel in one io_uring_enter, which also waits. recv_buffer uses a
// provided-buffer ring: the kernel picks a buffer when bytes are there; the ring is filled from the
// pool before each enter. Deadlines are the loop's; an operation that outlives its own is cancelled
// in the kernel and ends when the kernel says so.
#pragma once

#include <liburing.h>

#include <memory>

#include "base/result.h"
#include "ztunnel/io/buffer.h"
#include "ztunnel/io/buffer_pool.h"
#include "ztunnel/io/fd_table.h"
#include "ztunnel/io/loop.h"

namespace weft::io {

class UringLoop final : public Loop, public BufferOwner {
 public:
  // Any thread; the first run() binds the ring to its own. Errors: kUnsupported.
  static Result<std::unique_ptr<UringLoop>> make(const LoopOptions& options);
  ~UringLoop() override;

  void shutdown_write(int fd) override;
  bool is_broken(int fd) override;
  void close(Fd fd) override;
  void reset(Fd fd) override;
  const char* name() const override { return "io_uring"; }
  BufferOwner& buffer_owner() override { return *this; }
  void give_back(std::byte* base, std::uint32_t id) override;

 private:
  struct Entry {
    OpChain pending;
    bool drained =
        false;  // the last receive emptied the socket: the next one polls before it tries
    bool ended =
        false;  // the peer's FIN came: sends wait for room with a poll of ours (await_room)
  };

  UringLoop(Fd wake_fd, const LoopOptions& options);
  Result<void> set_up();

  OpChain& chain_of(int fd) override { return entries_[fd].pending; }
  void prepare() override;
  void submit(Op& op) override;
  void abort(Op& op) override;
  bool wait(Clock::time_point until) override;
  void wake() override;

  io_uring_sqe* next_sqe();
  void prepare_receive(io_uring_sqe* sqe, Op& op);
  void prepare_send(io_uring_sqe* sqe, Op& op);
  void arm_wake();
  void on_completion(const io_uring_cqe& cqe);
  void await_room(Op& op);
  void on_room(Op& op, const io_uring_cqe& cqe);
  void on_sent(Op& op, int result);
  void on_received(Op& op, const io_uring_cqe& cqe);
  void on_received_buffer(Op& op, const io_uring_cqe& cqe);
  void on_no_buffer(Op& op);
  void fill_ring();
  bool wake_parked();

  io_uring ring_{};
  io_uring_buf_ring* buffer_ring_ = nullptr;
  bool ring_made_ = false;
  bool enabled_ = false;
  Fd wake_;
  FdTable<Entry> entries_;
  BufferPool pool_;
  // The kernel takes buffers in turn; giving it few, and those used last, keeps them in the cache.
  // `depth_` doubles on demand.
  std::uint32_t in_ring_ = 0;
  std::uint32_t depth_;
};

}  // namespace weft::io
