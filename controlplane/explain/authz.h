// Authorization as a waypoint enforces it, judged rule by rule. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "controlplane/explain/request.h"
#include "controlplane/model/plan.h"

namespace weft::controlplane::explain {

struct Judgement {
  enum class Why : std::uint8_t { kNoPolicy, kAllowed, kDenied, kNotAllowed, kClosed };
  bool allowed = true;
  Why why = Why::kNoPolicy;
  std::string policy;                   // "ns/name" that decided; "" when none did
  std::size_t rule = 0;                 // of it, from 1
  std::vector<std::string> considered;  // kNotAllowed: the ALLOW policies that did not match
};

// `port`: the pods'; 0: it differs, and what asks for it fails closed. DENY before ALLOW; each set
// that has an ALLOW must allow.
Judgement judge(const model::PlanAuthz& authz, const Asked& asked, std::uint16_t port);

}  // namespace weft::controlplane::explain
