// The words of a command line, before any option is read. Pure.
#pragma once

#include <string>
#include <vector>

namespace weft::cli {

// Takes the command of `sandbox exec` out of `words`, so that it reaches its process byte for byte:
// what follows the pod, or the "--" behind the pod's options. Empty for every other command.
std::vector<std::string> take_command(std::vector<std::string>& words);

}  // namespace weft::cli
