// Key sets (RFC 7517) as strangers send them: which keys Envoy's verifier can use. Envoy takes the
// rules of all services or of none: one set that it refuses would take the others down with it, so
// what is not surely usable does not reach it. Pure.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace weft::controlplane::jwks {

inline constexpr std::size_t kBytesMax = 1 << 20;  // of a key set

// The keys of `text` that can verify tokens (RSA of 1024 to 8192 bits, EC on P-256, P-384, P-521,
// Ed25519, and symmetric ones), as a key set; or why there is none. Itself on its own answer.
Parsed<std::string> usable_keys(std::string_view text);

// A key set whose private key nobody has: no token is good.
const std::string& nobodys_keys();

}  // namespace weft::controlplane::jwks
