// Pods that no node's agent tells of: nobody took them, or the agent does not answer.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "cli/context.h"
#include "sandbox/json.h"

namespace weft::cli {

struct UnplacedPod {
  std::string ns, name, node;  // node: what spec.nodeName says; empty when nothing does
  std::string why;
  bool soon = false;  // its node is there and has not told of it yet
};

// Of `pods` (a list of Pod objects) those that are neither in `told` ("namespace/name", of every
// agent that answered), nor on one of `silent` (nodes whose agent does not answer), nor finished.
// `nodes`: the names of those there are.
std::vector<UnplacedPod> unplaced(const sandbox::Json& pods, const std::set<std::string>& told,
                                  const std::set<std::string>& silent,
                                  const std::set<std::string>& nodes);

// Those of `pods` on one of `silent`, unless finished.
std::vector<UnplacedPod> on_silent_nodes(const sandbox::Json& pods,
                                         const std::set<std::string>& silent);

}  // namespace weft::cli
