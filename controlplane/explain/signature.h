// Is this text signed by one of these keys? RS, PS and ES of RFC 7518. Pure.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace weft::controlplane::explain {

enum class Signed : std::uint8_t { kGood, kBad, kNoKey /* none with this kid and algorithm */ };
Signed verify(const nlohmann::json& keys, const std::string& algorithm, const std::string& kid,
              const std::string& text, const std::string& signature);

}  // namespace weft::controlplane::explain
