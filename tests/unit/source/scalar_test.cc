#include "source/scalar.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace weft::source {
namespace {

TEST(Scalar, PlainWordsMeanWhatTheyMeanToKubernetes) {
  const std::pair<const char*, const char*> rows[] = {
      {"true", "true"},
      {"yes", "true"},
      {"on", "true"},
      {"Off", "false"},
      {"n", "false"},
      {"null", "null"},
      {"~", "null"},
      {"", "null"},
      {"12", "12"},
      {"-7", "-7"},
      {"+7", "7"},
      {"0x1F", "31"},
      {"0o17", "15"},
      {"017", "15"},
      {"0b101", "5"},
      {"1_000", "1000"},
      {"18446744073709551615", "18446744073709551615"},
      {"-9223372036854775808", "-9223372036854775808"},
      {"1.5", "1.5"},
      {"-.5", "-0.5"},
      {"1e3", "1000.0"},
      {"5.", "5.0"},
      {"1.2.3", "\"1.2.3\""},
      {"10.0.0.1", "\"10.0.0.1\""},
      {"10.0.0.0/8", "\"10.0.0.0/8\""},
      {"2001-01-01", "\"2001-01-01\""},
      {"0x", "\"0x\""},
      {"-", "\"-\""},
      {".", "\".\""},
      {"tRue", "\"tRue\""},
      {"80/TCP", "\"80/TCP\""},
      {"08", "8.0"},
      {"*", "\"*\""},
      {"1e999", "\"1e999\""}};
  for (const auto& [text, json] : rows) EXPECT_EQ(resolve_plain(text).dump(), json) << text;
}

TEST(Scalar, Utf8IsCheckedStrictly) {
  EXPECT_TRUE(is_utf8("plain \xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"));
  for (const char* bad :
       {"\x80", "\xc3", "\xc0\xaf", "\xe2\x82", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xff"})
    EXPECT_FALSE(is_utf8(bad));
}

}  // namespace
}  // namespace weft::source
