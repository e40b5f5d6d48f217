// "500ms", "10s", "2m", "1h", "1m30s" → milliseconds. Pure.
#pragma once

#include <chrono>
#include <string>

#include "base/result.h"

namespace weft::cli {
Parsed<std::chrono::milliseconds> parse_duration(const std::string& text);
}  // namespace weft::cli
