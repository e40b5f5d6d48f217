// What Istio's kinds have in common: selector, targetRefs, exportTo.
#pragma once

#include <initializer_list>
#include <string_view>
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
// `targetRef` and `targetRefs` of a spec. Kinds other than `supported` and parts of an object
// (sectionName) are noted.
std::vector<model::TargetRef> targets(const source::Field& spec,
                                      std::initializer_list<std::string_view> supported,
                                      read::Notes& notes);

}  // namespace weft::controlplane::istio
