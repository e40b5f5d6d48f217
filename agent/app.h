// The agent put together: the one place of this binary that constructs things.
#pragma once

#include "agent/config.h"
#include "base/result.h"

namespace weft::agent {

// Runs until SIGTERM or SIGINT. What is captured stays captured. Errors: why it cannot start, for a person.
Parsed<void> run(const Config& config);

}  // namespace weft::agent
