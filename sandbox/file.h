// Small files: read whole, replace whole.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace weft::sandbox {

Parsed<std::string> read_file(const std::string& path);

// Writes PATH.tmp and renames it, so that a reader sees the old text or the new one. `gid` other
// than -1 also sets the group.
Parsed<void> write_file(const std::string& path, std::string_view text, unsigned mode = 0644,
                        std::int64_t uid = -1, std::int64_t gid = -1);

}  // namespace weft::sandbox
