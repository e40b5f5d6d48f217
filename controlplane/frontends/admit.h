// Admission of mesh objects: what their front end refuses, said before they are stored. Pure; used
// by the control plane for what it reads and by weftctl for what it is given.
#pragma once

#include <optional>

#include "base/result.h"
#include "source/object.h"

namespace weft::controlplane {

// The first thing wrong with an object of a mesh API, with file, line, field and value. Kinds that
// no front end knows pass, core kinds too (source::admit_core is for those).
std::optional<Problem> admit_mesh(const source::Object& object);

}  // namespace weft::controlplane
