// Paths and locations as rewrites and redirects make them. Pure.
#pragma once

#include <string>

#include "controlplane/explain/request.h"
#include "controlplane/model/routes.h"

namespace weft::controlplane::explain {

// The path that goes on (no query), given the rule's match.
std::string rewritten(const model::Rewrite& rewrite, const std::optional<model::TextMatch>& match,
                      const std::string& path);

// The `location` of a redirect.
std::string location(const model::Redirect& redirect, const std::optional<model::TextMatch>& match,
                     const Asked& asked);

}  // namespace weft::controlplane::explain
