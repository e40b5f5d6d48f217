// The signals that end a process, as a descriptor.
#pragma once

#include "base/fd.h"
#include "base/result.h"

namespace weft::agent {

// SIGTERM and SIGINT: blocked for the calling thread and those it makes later, readable here.
// Does not block. Errors: kSystem.
Result<Fd> stop_signals();

}  // namespace weft::agent
