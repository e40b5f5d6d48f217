// The agent put together: the one place of this binary that constructs things.
#pragma once

#include "agent/config.h"
#include "base/result.h"

namespace weft::agent {

enum class Ended {
  kStopped,  // SIGTERM or SIGINT
  kResume,   // it stepped aside for a successor, and that is gone: start again
};

// What is captured stays captured. Errors: why it cannot start, for a person.
Parsed<Ended> run(const Config& config);

}  // namespace weft::agent
