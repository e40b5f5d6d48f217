// What Istio's kinds have in common: selector, targetRefs, exportTo.
#pragma once

#include <vector>

#include "controlplane/frontends/values.h"
#include "controlplane/model/types.h"
#include "source/fields.h"

namespace weft::controlplane::istio {

using read::provenance;
// matchLabels of a WorkloadSelector; empty when absent. Wildcards and empty keys are refused.
mesh::Labels selector(const source::Field& field);
// ".", "*", "~" and namespaces.
std::vector<std::string> export_to(const source::Field& field);
// `targetRef` and `targetRefs` of a spec.
std::vector<model::TargetRef> targets(const source::Field& spec);

}  // namespace weft::controlplane::istio
