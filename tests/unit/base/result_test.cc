#include "base/result.h"

#include <gtest/gtest.h>

#include <cerrno>

namespace weft {
namespace {

static_assert(sizeof(Error) == 16);

TEST(Error, IsDescribedWithItsStepAndErrno) {
  EXPECT_EQ(describe({Code::kSystem, EADDRINUSE, "bind"}), "system: bind: Address already in use");
  EXPECT_EQ(describe({Code::kTimedOut}), "timed out");
}

Result<int> half(int n) {
  if (n % 2 != 0) return fail(Code::kMalformed, "odd");
  return n / 2;
}

TEST(Result, CarriesAValueOrAnError) {
  EXPECT_EQ(*half(4), 2);
  const auto odd = half(3);
  ASSERT_FALSE(odd);
  EXPECT_EQ(odd.error().code, Code::kMalformed);
}

}  // namespace
}  // namespace weft
