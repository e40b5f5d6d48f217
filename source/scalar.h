// What a plain YAML scalar means to Kubernetes (go-yaml v2 behind sigs.k8s.io/yaml): YAML 1.1
// booleans, 0x 0o 0b and leading-zero octal, underscores in numbers; timestamps stay strings. Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string_view>

namespace weft::source {

nlohmann::json resolve_plain(std::string_view text);

// True when `text` is well-formed UTF-8.
bool is_utf8(std::string_view text);

}  // namespace weft::source
