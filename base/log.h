// Logging for every binary: spdlog to stderr, `time level scope message key=value…`, or JSON lines.
// Levels by who must act: error operator now, warn operator soon, info history, debug developer.
// Secrets (keys, tokens) are never arguments.
#pragma once

#include <spdlog/spdlog.h>

#include <string>
#include <string_view>

namespace weft::log {

enum class Format { kText, kJson };

// Call once from main, before any thread. `name` appears in each line. The sink drops nothing and blocks nobody for long (stderr).
void start(std::string_view name, spdlog::level::level_enum level, Format format);

// "error" "warn" "info" "debug" "trace" "off" → level; false if the word is none of them. Any thread.
bool set_level(std::string_view word);

}  // namespace weft::log
