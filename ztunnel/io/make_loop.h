// Which Loop a process runs on.
#pragma once

#include <memory>
#include <optional>
#include <string_view>

#include "base/result.h"
#include "ztunnel/io/loop.h"

namespace weft::io {

enum class LoopKind { kAuto, kUring, kEpoll };
std::optional<LoopKind> parse_loop_kind(std::string_view word);  // "auto" "uring" "epoll"

// Errors: kUnsupported (io_uring forbidden, or the kernel too old; os says), kExhausted (descriptors, memory).
Result<std::unique_ptr<Loop>> make_uring_loop(const LoopOptions& options = {});
Result<std::unique_ptr<Loop>> make_epoll_loop(const LoopOptions& options = {});
// kAuto: io_uring, else epoll and one log line with the reason.
Result<std::unique_ptr<Loop>> make_loop(LoopKind kind, const LoopOptions& options = {});

}  // namespace weft::io
