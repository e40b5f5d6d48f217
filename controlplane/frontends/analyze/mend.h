// An object without one of its fields.
#pragma once

#include <string_view>

#include "source/object.h"

namespace weft::controlplane::analyze {

// Takes out a field that an error named ("spec.http[0].retries"); of a list the place stays, empty.
// Null when there is no such field.
source::ObjectPtr without(const source::Object& object, std::string_view field_path);

}  // namespace weft::controlplane::analyze
