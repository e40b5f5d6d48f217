// EpollLoop: readiness, edge-triggered. An operation is tried when the turn submits it and again on
// each edge; a descriptor is registered on its first EAGAIN, for both directions, and stays so
// until close(). Also the oracle of the io_uring loop.
#pragma once

#include <memory>

#include "base/result.h"
#include "ztunnel/io/buffer.h"
#include "ztunnel/io/buffer_pool.h"
#include "ztunnel/io/fd_table.h"
#include "ztunnel/io/loop.h"

namespace weft::io {

class EpollLoop final : public Loop, public BufferOwner {
 public:
  static Result<std::unique_ptr<EpollLoop>> make(const LoopOptions& options);
  ~EpollLoop() override = default;

  void shutdown_write(int fd) override;
  bool is_broken(int fd) override;
  void close(Fd fd) override;
  void reset(Fd fd) override;
  const char* name() const override { return "epoll"; }
  BufferOwner& buffer_owner() override { return *this; }
  void give_back(std::byte* base, std::uint32_t id) override;

 private:
  struct Entry {
    OpChain pending;
    bool registered = false;
    bool nonblocking = false;
  };

  EpollLoop(Fd epoll, Fd wake_fd, const LoopOptions& options);

  OpChain& chain_of(int fd) override { return entries_[fd].pending; }
  void submit(Op& op) override;
  void abort(Op& op) override;
  bool wait(Clock::time_point until) override;
  void wake() override;

  // Each tries once; the result, or -EAGAIN.
  int try_accept(Op& op);
  int try_connect(Op& op);
  int try_receive_buffer(Op& op);
  int try_send(Op& op);
  int try_readable(Op& op);
  int attempt(Op& op);

  void await_edge(Op& op);
  void on_edge(int fd, std::uint32_t events);
  void make_nonblocking(int fd);
  bool wake_parked();

  Fd epoll_;
  Fd wake_;
  FdTable<Entry> entries_;
  BufferPool pool_;
};

}  // namespace weft::io
