// What all security.istio.io kinds have in common: selector, targetRefs, provenance.
#pragma once

#include <vector>

#include "controlplane/model/types.h"
#include "source/fields.h"

namespace weft::controlplane::istio {

model::Provenance provenance(const source::Object& object);
// matchLabels of a WorkloadSelector; empty when absent. Wildcards and empty keys are refused.
mesh::Labels selector(const source::Field& field);
// `targetRef` and `targetRefs` of a spec.
std::vector<model::TargetRef> targets(const source::Field& spec);

}  // namespace weft::controlplane::istio
