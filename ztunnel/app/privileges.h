// What weft-ztunnel gives up before it parses a hostile byte: it must have no capability and no root already, and locks itself in.
#pragma once

#include "base/result.h"

namespace weft::app {

// Raises the limit of open files to its hard limit, checks CapEff = 0 and a uid other than root, sets NoNewPrivs, and installs the
// seccomp filter: an allow-list; anything else is EPERM, and what only an attacker calls (execve, ptrace, mount, bpf, setns …) kills.
// Threads are allowed, processes are not. Call once, before any thread.
// Errors: one sentence; the process must not go on.
Parsed<void> give_up_privileges();

}  // namespace weft::app
