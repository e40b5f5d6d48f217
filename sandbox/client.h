// Talking to a daemon over a Unix socket: one JSON line there, one JSON line back. Also the agents'
// and the control plane's API.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "base/clock.h"
#include "base/fd.h"
#include "base/result.h"

namespace weft::sandbox {

// Invalid when nobody listens there.
Fd dial_unix(const std::string& path);

// Refused: nobody listens, no answer in time, an answer that is no JSON, or {"error": text}.
Parsed<nlohmann::json> call(const std::string& path, const nlohmann::json& request,
                            Clock::duration timeout = std::chrono::seconds(30));

}  // namespace weft::sandbox
