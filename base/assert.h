// WEFT_ASSERT: a bug, not an error. On in release too. Split conditions: WEFT_ASSERT(a); WEFT_ASSERT(b).
#pragma once

namespace weft {
[[noreturn]] void assert_failed(const char* condition, const char* file, int line);
}  // namespace weft

#define WEFT_ASSERT(condition) \
  ((condition) ? (void)0 : ::weft::assert_failed(#condition, __FILE__, __LINE__))
