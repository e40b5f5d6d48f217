// What a fresh cluster has before anyone applies anything: namespaces, nodes, the DNS Service.
// Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <vector>

namespace weft::sandbox {

// Manifests, in the order in which they are admitted.
std::vector<nlohmann::json> first_objects(int nodes);

}  // namespace weft::sandbox
