// What no front end acts on, said by name: for an object's status and for analyze.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "source/object.h"

namespace weft::controlplane {

// "kind EnvoyFilter of networking.istio.io/v1alpha3 is not supported yet: it has no effect (…)", or
// "" for kinds that a front end reads and for those of no mesh.
std::string unsupported_kind(const source::Object& object);

// Labels and annotations of other meshes that change nothing here, and values that those which
// enroll do not have: {field path, text}. Of a workload those of its pods' template, too.
std::vector<std::pair<std::string, std::string>> unsupported_marks(const source::Object& object);

}  // namespace weft::controlplane
