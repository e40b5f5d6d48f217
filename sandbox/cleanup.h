// Removing a sandbox, whatever state it is in: a healthy one, one whose daemon was killed, one that
// never finished starting.
#pragma once

#include "base/result.h"
#include "sandbox/layout.h"

namespace weft::sandbox {

// Everything of a sandbox is a process in its cgroup, a mount or pin that dies with those
// processes, or a file below its directory. True: something was there. Refused: something cannot be
// removed.
Parsed<bool> destroy(const Layout& layout);

// Asks the daemon to do that, and does it itself where there is none or it does not.
Parsed<bool> take_down(const Layout& layout);

// True while its daemon answers.
bool is_up(const Layout& layout);
// True when anything of it is there.
bool exists(const Layout& layout);

}  // namespace weft::sandbox
