#include "sandbox/dns.h"

#include <gtest/gtest.h>

#include "sandbox/pod_world.h"

namespace weft::sandbox {
namespace {

TEST(Dns, ServicesHaveTheirAddressesAndHeadlessOnesTheirPods) {
  const std::vector<ServiceView> views = {
      {.ns = "n",
       .name = "vip",
       .vips = {"10.96.1.1", "fd00:96::1"},
       .pods = {{.ips = {"10.244.1.2"}}}},
      {.ns = "n",
       .name = "hl",
       .pods = {{.hostname = "a", .ips = {"10.244.1.2", "fd00::2"}}, {.ips = {"10.244.1.3"}}}}};
  EXPECT_EQ(dns_hosts(views),
            "10.96.1.1 vip.n.svc.cluster.local\nfd00:96::1 vip.n.svc.cluster.local\n"
            "10.244.1.2 a.hl.n.svc.cluster.local\n10.244.1.2 hl.n.svc.cluster.local\n"
            "fd00::2 a.hl.n.svc.cluster.local\nfd00::2 hl.n.svc.cluster.local\n10.244.1.3 "
            "hl.n.svc.cluster.local\n");
}

TEST(Dns, AnExternalNameIsItsTargetsAddressesHoweverManyStepsAway) {
  const std::vector<ServiceView> views = {
      {.ns = "n", .name = "a", .external_name = "b.n.svc.cluster.local."},
      {.ns = "n", .name = "b", .external_name = "vip.m.svc.cluster.local"},
      {.ns = "n", .name = "circle", .external_name = "circle.n.svc.cluster.local"},
      {.ns = "n", .name = "world", .external_name = "example.org"},
      {.ns = "m", .name = "vip", .vips = {"10.96.1.1"}}};
  EXPECT_EQ(dns_hosts(views),
            "10.96.1.1 a.n.svc.cluster.local\n10.96.1.1 b.n.svc.cluster.local\n"
            "10.96.1.1 vip.m.svc.cluster.local\n");
}

TEST(Dns, APodsResolverIsThatOfKubernetes) {
  EXPECT_EQ(resolv_conf("shop"),
            "nameserver 10.96.0.10\nsearch shop.svc.cluster.local svc.cluster.local "
            "cluster.local\noptions ndots:5\n");
}

TEST(Dns, APodKnowsItsOwnName) {
  const auto text =
      hosts_file({.ns = "n", .hostname = "h", .subdomain = "s", .v4 = "10.244.1.2", .v6 = ""});
  EXPECT_NE(text.find("10.244.1.2\th.s.n.svc.cluster.local\th\n"), std::string::npos) << text;
}

}  // namespace
}  // namespace weft::sandbox
