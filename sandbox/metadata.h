// What Kubernetes takes as the labels and annotations of an object, and what Weft's own labels may
// say.
#pragma once

#include "base/result.h"
#include "sandbox/json.h"

namespace weft::sandbox {

// `object` is whole; what is wrong names kind, object, field and value as the API server would.
Parsed<void> admit_metadata(const Json& object);

}  // namespace weft::sandbox
