// Uninstall: everything of the mesh off this node. A process of its own, beside an agent that runs
// or after one that is gone.
#pragma once

#include <string>
#include <string_view>

#include "agent/config.h"
#include "base/result.h"

namespace weft::agent {

// What an agent's status (api.h) says about its leaving. Pure.
struct Leaving {
  bool done = false;
  std::string why;  // why not
};
Leaving judge_leaving(std::string_view status);

// With `await_agent_s`, an agent that answers has that long to let its pods go in its own order;
// then, and without one, capture is taken from whoever still has it: the links that make
// connections first. With `stay`: until SIGTERM, and once more then, for what an agent that ended
// meanwhile left. Nothing there is success. Errors: for a person; the next call goes on from there.
Parsed<void> uninstall(const Config& config);

}  // namespace weft::agent
