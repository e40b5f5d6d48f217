// Endpoints and EndpointSlices of Services with a selector, as a cluster's controllers would have
// written them. Made when somebody asks: agents and the control plane work from pods. Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "sandbox/store.h"

namespace weft::sandbox {

// Kinds of computed_objects(): "Endpoints", "EndpointSlice.discovery.k8s.io".
bool is_computed(const std::string& kind);

// Ordered by namespace and name. Not those that a person wrote; they are in the store.
std::vector<nlohmann::json> computed_objects(const Store& store, const std::string& kind);

}  // namespace weft::sandbox
