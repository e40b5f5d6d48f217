#include "cli/duration.h"

#include <gtest/gtest.h>

namespace weft::cli {
namespace {

TEST(Duration, ReadsKubectlsForms) {
  const std::pair<const char*, long> cases[] = {{"0", 0},       {"500ms", 500},  {"10s", 10000},
                                                {"2m", 120000}, {"1h", 3600000}, {"1m30s", 90000},
                                                {"1.5s", 1500}};
  for (const auto& [text, ms] : cases) {
    const auto duration = parse_duration(text);
    ASSERT_TRUE(duration) << text;
    EXPECT_EQ(duration->count(), ms) << text;
  }
}

TEST(Duration, RefusesTheRest) {
  for (const char* text : {"", "10", "s", "-1s", "10x", "1s2", "ms"})
    EXPECT_FALSE(parse_duration(text)) << text;
}

}  // namespace
}  // namespace weft::cli
