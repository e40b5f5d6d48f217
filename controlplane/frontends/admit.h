// Admission of mesh objects: what their front end refuses, said before they are stored. Pure; used
// by the control plane for what it reads and by weftctl for what it is given.
#pragma once

#include <optional>
#include <string_view>

#include "base/result.h"
#include "source/object.h"

namespace weft::controlplane {

// The first thing wrong with an object of a mesh API, with file, line, field and value: a kind or a
// version that the API never had, a field beside spec, what its front end refuses. Kinds that no
// front end reads yet pass, core kinds too (source::admit_core is for those).
std::optional<Problem> admit_mesh(const source::Object& object);

// True when objects of this ObjectKey::kind are acted on.
bool has_front_end(std::string_view kind);

}  // namespace weft::controlplane
