// Where the agent's pods and namespaces come from, as --source says.
#pragma once

#include <memory>

#include "agent/config.h"
#include "base/result.h"
#include "source/source.h"

namespace weft::agent {

// From Kubernetes it returns when both lists are in (a minute at most) and asks for this node's pods only.
Parsed<std::unique_ptr<source::Source>> open_objects(const Config& config);

}  // namespace weft::agent
