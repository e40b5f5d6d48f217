// What a person probably meant.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace weft::source {

// The one of `known` that is nearest to `name`, case, '_' and '-' apart; "" when none is near.
std::string likely_name(std::string_view name, std::span<const std::string> known);

}  // namespace weft::source
