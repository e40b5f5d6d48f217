// Kinds that are not acted on yet, but that people write wrong: ServiceProfile and TrafficSplit are
// looked at as their own meshes would, so that what is wrong is said before what is missing. Pure.
// Source: mesh-apis facts §2.1.9, §2.3, §2.4.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "source/object.h"

namespace weft::controlplane {

// The first thing wrong, with file, line, field and value; nothing for every other kind.
std::optional<Problem> misshapen(const source::Object& object);

// What is right and probably not meant: {field path, text}.
std::vector<std::pair<std::string, std::string>> doubtful(const source::Object& object);

}  // namespace weft::controlplane
