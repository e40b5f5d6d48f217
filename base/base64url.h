// base64url as RFC 7515 writes it: RFC 4648 §5 without padding.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace weft {

// The bytes; nothing when `text` is not base64url.
std::optional<std::string> base64url_decoded(std::string_view text);

}  // namespace weft
