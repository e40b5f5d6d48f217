// Tokens of a request, judged as RequestAuthentication means it: a bad one is refused, none passes.
// Pure: time is an argument.
#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "controlplane/explain/request.h"
#include "controlplane/model/authn.h"

namespace weft::controlplane::explain {

struct TokenVerdict {
  int status = 0;         // 0: goes on; 401, or 403 for an audience that is not wanted
  std::string text;       // why not; or whose token it is
  nlohmann::json claims;  // of the good token, "scope" and "permission" as lists; else null
};

// REQUIRES: the rules' jwks are inline, as in a plan.
TokenVerdict judge_tokens(const std::vector<model::JwtRule>& rules, const Asked& asked,
                          WallClock::time_point now);

}  // namespace weft::controlplane::explain
