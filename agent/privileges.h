// The agent's privileges: exactly CAP_BPF, CAP_NET_ADMIN and CAP_SYS_ADMIN, and no way to any other.
#pragma once

#include "base/result.h"

namespace weft::agent {

// Trims permitted, effective, inheritable, ambient and bounding set, sets NoNewPrivs, raises the limit of open files to its hard limit.
// REQUIRES: the process has one thread (capabilities are a thread's). Errors: kDenied names what is missing, kSystem.
Result<void> keep_only_needed_privileges();

}  // namespace weft::agent
