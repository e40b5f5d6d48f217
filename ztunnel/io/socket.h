// Socket: a descriptor used with a loop. Move-only; dies by loop.close(), as every such descriptor must.
// Thread: the loop's. REQUIRES: the loop outlives it.
#pragma once

#include <utility>

#include "ztunnel/io/loop.h"

namespace weft::io {

class Socket {
 public:
  Socket() = default;
  Socket(Loop& loop, Fd fd) : loop_(&loop), fd_(std::move(fd)) {}
  Socket(Socket&& other) noexcept = default;
  Socket& operator=(Socket&& other) noexcept {
    if (this != &other) {
      close();
      loop_ = other.loop_;
      fd_ = std::move(other.fd_);
    }
    return *this;
  }
  ~Socket() { close(); }

  int get() const { return fd_.get(); }
  bool valid() const { return fd_.valid(); }
  Loop& loop() const { return *loop_; }
  Fd release() { return std::move(fd_); }

  // With FIN, unless bytes that the peer sent were never read (then the kernel sends RST).
  void close() {
    if (fd_) loop_->close(std::move(fd_));
  }
  // With RST.
  void reset() {
    if (fd_) loop_->reset(std::move(fd_));
  }

 private:
  Loop* loop_ = nullptr;
  Fd fd_;
};

}  // namespace weft::io
