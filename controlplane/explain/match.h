// The model's matches, judged. Pure: written from what the model says they mean, not from what a
// back end makes of them; tests hold both against a real Envoy (tests/data/l7_table.yaml).
#pragma once

#include <string_view>

#include "controlplane/explain/request.h"
#include "controlplane/model/match.h"
#include "controlplane/model/plan.h"

namespace weft::controlplane::explain {

// kPresent: it is not empty. kAbsent never holds of a text.
bool matches(const model::TextMatch& match, std::string_view text);

// A claim: a text, or a list of which one matches. `path` leads to it.
bool matches_claim(const nlohmann::json& claims, const std::vector<std::string>& path,
                   const model::TextMatch& match);

// `port`: of the service, as the client named it.
bool matches(const model::RequestMatch& match, const Asked& asked, std::uint16_t port);

// The route takes this request: one of its matches, and the client is one of those it is about.
bool takes(const model::PlanRoute& route, const Asked& asked, std::uint16_t port);

}  // namespace weft::controlplane::explain
