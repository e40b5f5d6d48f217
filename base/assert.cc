#include "base/assert.h"

#include <cstdio>
#include <cstdlib>

namespace weft {

void assert_failed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "weft: bug: %s does not hold at %s:%d\n", condition, file, line);
  std::abort();
}

}  // namespace weft
