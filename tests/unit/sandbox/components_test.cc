#include "sandbox/components.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weft::sandbox {
namespace {

using testing::Contains;
using testing::IsSupersetOf;

TEST(Components, ZtunnelStartsWithoutPrivileges) {
  const Node node;
  const auto c = ztunnel_component({"x"}, "/bin", {}, node);
  ASSERT_TRUE(c.command.drop);
  EXPECT_EQ(c.command.drop->uid, 1337u);
  EXPECT_FALSE(c.command.drop->deny_io_uring);
}

TEST(Components, SettingsBecomeEnvironmentAndFlags) {
  const auto settings =
      parse_settings({"certificateTtl=20s", "io=epoll", "ztunnel.NETWORK=blue", "denyIoUring=true",
                      "rootNamespaces=a,b", "terminationGrace=2m", "onDemand=true"});
  ASSERT_TRUE(settings);
  const Node node;
  const auto z = ztunnel_component({"x"}, "/bin", *settings, node);
  EXPECT_THAT(z.command.env, IsSupersetOf({"SECRET_TTL=20s", "WEFT_IO=epoll", "NETWORK=blue",
                                           "TERMINATION_GRACE_PERIOD_SECONDS=120",
                                           "XDS_ON_DEMAND=true", "ISTIO_META_DNS_CAPTURE=false"}));
  EXPECT_TRUE(z.command.drop->deny_io_uring);
  const Fabric fabric;
  const auto cp = control_plane_component({"x"}, "/bin", *settings, fabric);
  EXPECT_THAT(cp.command.argv,
              IsSupersetOf({"--certificate-ttl", "20s", "--root-namespaces", "a,b"}));
  EXPECT_NE(cp.command.drop->uid, 0u);
  const auto traced = parse_settings({"tracing=otlp://10.0.0.9:4317", "tracingSampling=100"});
  EXPECT_THAT(control_plane_component({"x"}, "/bin", *traced, fabric).command.argv,
              IsSupersetOf({"--tracing", "otlp://10.0.0.9:4317", "--tracing-sampling", "100"}));
}

}  // namespace
}  // namespace weft::sandbox
