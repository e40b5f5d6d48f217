// One question to a process on this machine over its Unix socket, one line back: readiness of a
// container's own process, a word between two agents. Blocks; not for a thread that serves.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"

namespace weft::agent {

inline constexpr std::size_t kShortLine = 4096;

// The first line of what comes back, without its end, of `most` bytes at most. Errors: kUnreachable
// (nobody listens there), kTimedOut, kClosed (no line), kMalformed (a path that no socket can have,
// a line that is too long), kSystem.
Result<std::string> ask_line(const std::string& path, std::string_view question,
                             Clock::duration within, std::size_t most = kShortLine);

// Asks GET /healthz/ready there. The problem's text is for whoever runs the probe.
Parsed<void> ask_readiness(const std::string& path, Clock::duration within);

}  // namespace weft::agent
