#include "sandbox/settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weft::sandbox {
namespace {

using testing::HasSubstr;

TEST(Settings, DefaultsHoldUntilAKeyIsSet) {
  const auto settings = parse_settings({"certificateTtl=20s"});
  ASSERT_TRUE(settings);
  EXPECT_EQ(settings->get("certificateTtl"), "20s");
  EXPECT_EQ(settings->get("trustDomain"), "cluster.local");
  EXPECT_FALSE(settings->is("denyIoUring"));
}

TEST(Settings, AnUnknownKeyIsRefusedWithTheKnownOnes) {
  const auto settings = parse_settings({"certificateTTL=20s"});
  ASSERT_FALSE(settings);
  EXPECT_THAT(settings.error().text, HasSubstr("certificateTTL"));
  EXPECT_THAT(settings.error().text, HasSubstr("certificateTtl, trustDomain"));
}

TEST(Settings, ValuesAreChecked) {
  for (const char* pair : {"io=magic", "certificateTtl=20", "certificateTtl=s", "ztunnelThreads=0",
                           "ztunnelThreads=x", "denyIoUring=yes", "noequals", "=x", "ztunnel.=x",
                           "sameNode=direct", "tracing=zipkin", "tracingSampling=101"}) {
    EXPECT_FALSE(parse_settings({pair})) << pair;
  }
  EXPECT_THAT(parse_settings({"tracing=zipkin://zipkin:9411"}).error().text,
              HasSubstr("--set tracing: must be zipkin://HOST:PORT[/PATH] or otlp://HOST:PORT"));
}

TEST(Settings, PrefixedKeysReachTheirComponentOnly) {
  const auto settings = parse_settings({"ztunnel.NETWORK=blue", "agent.log-format=json"});
  ASSERT_TRUE(settings);
  EXPECT_EQ(settings->extra("ztunnel"), (std::map<std::string, std::string>{{"NETWORK", "blue"}}));
  EXPECT_EQ(settings->extra("agent"), (std::map<std::string, std::string>{{"log-format", "json"}}));
  EXPECT_TRUE(settings->extra("controlplane").empty());
}

TEST(Settings, AValueMayHoldAnEqualsSign) {
  const auto settings = parse_settings({"ztunnel.X=a=b"});
  ASSERT_TRUE(settings);
  EXPECT_EQ(settings->extra("ztunnel").at("X"), "a=b");
}

}  // namespace
}  // namespace weft::sandbox
