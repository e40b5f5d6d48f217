// A key server that says anything: what comes out can be used as it is, and by the same judgement.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/assert.h"
#include "controlplane/jwks/keys.h"

namespace jwks = weft::controlplane::jwks;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto keys = jwks::usable_keys({reinterpret_cast<const char*>(data), size});
  if (!keys) return 0;
  const auto again = jwks::usable_keys(*keys);
  WEFT_ASSERT(again && *again == *keys);
  return 0;
}
