// Files of the state directory: written whole or not at all.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "base/result.h"

namespace weft::controlplane::ca {

// Errors name the path and the reason.
Parsed<std::string> read_file(const std::string& path);
// Temporary name, fsync, rename.
std::optional<Problem> write_file(const std::string& path, const std::string& text,
                                  mode_t mode = 0600);
// 0755 when it has to be made: the bundle in it is for everybody, keys are 0600.
std::optional<Problem> make_directory(const std::string& path);

}  // namespace weft::controlplane::ca
