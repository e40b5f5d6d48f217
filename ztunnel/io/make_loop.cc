#include "ztunnel/io/make_loop.h"

#include "base/log.h"
#include "ztunnel/io/epoll_loop.h"
#include "ztunnel/io/uring_loop.h"

namespace weft::io {

std::optional<LoopKind> parse_loop_kind(std::string_view word) {
  if (word == "auto") return LoopKind::kAuto;
  if (word == "uring" || word == "io_uring") return LoopKind::kUring;
  if (word == "epoll") return LoopKind::kEpoll;
  return std::nullopt;
}

Result<std::unique_ptr<Loop>> make_uring_loop(const LoopOptions& options) {
  auto loop = UringLoop::make(options);
  if (!loop) return std::unexpected(loop.error());
  return std::move(*loop);
}

Result<std::unique_ptr<Loop>> make_epoll_loop(const LoopOptions& options) {
  auto loop = EpollLoop::make(options);
  if (!loop) return std::unexpected(loop.error());
  return std::move(*loop);
}

Result<std::unique_ptr<Loop>> make_loop(LoopKind kind, const LoopOptions& options) {
  if (kind == LoopKind::kEpoll) return make_epoll_loop(options);
  auto loop = make_uring_loop(options);
  if (loop || kind == LoopKind::kUring) return loop;
  spdlog::warn("io: no io_uring, using epoll reason=\"{}\"", describe(loop.error()));
  return make_epoll_loop(options);
}

}  // namespace weft::io
