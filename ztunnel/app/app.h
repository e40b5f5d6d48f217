// App: wires the rooms of weft-ztunnel and runs the main thread.
#pragma once

#include <memory>

#include "base/result.h"
#include "ztunnel/app/config.h"

namespace weft::app {

// Runs until SIGTERM, SIGINT or POST /quitquitquit, then drains. Errors: why it cannot start, one sentence.
// REQUIRES: give_up_privileges() was called; no other thread runs.
Parsed<void> run(const Config& config);

}  // namespace weft::app
