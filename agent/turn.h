// How an agent becomes the one of its node that writes, when another one may be there (an upgrade:
// the new pod starts beside the old).
//
//   waiting ─lease is free→ ours
//      └─our ztunnel has connected→ the other is asked to step aside ─it does→ lease is free
#pragma once

#include <string>

#include "agent/lease.h"
#include "base/clock.h"
#include "base/result.h"

namespace weft::agent {

struct TurnOptions {
  bool take_over = false;  // ask the other; else wait a moment for it to end, then give up
  std::string api_path;    // where the other one answers
  int link = -1;           // our listener for ztunnel: readable when one has connected
  int stop = -1;           // readable when this process is to end
  Clock::duration end_within = std::chrono::seconds(5);  // of one that is not asked
};

enum class Turn { kOurs, kStopped };

// The line that the other one is sent, and that it answers with.
inline constexpr const char* kStepAside = "step-aside";
inline constexpr const char* kAside = "aside";

// Blocks until the lease is ours or the process is to end. A ztunnel connects when it can serve
// (WEFT_TAKE_OVER): a successor that never gets that far changes nothing for the node.
Parsed<Turn> wait_for_turn(Lease& lease, const TurnOptions& options);

}  // namespace weft::agent
