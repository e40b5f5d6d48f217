#include "sandbox/proxy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weft::sandbox {
namespace {

using testing::HasSubstr;
using testing::Not;

std::vector<ServiceView> two_backends() {
  return {{.ns = "n",
           .name = "s",
           .vips = {"10.96.1.1", "fd00:96::101"},
           .ports = {{.name = "http",
                      .protocol = "tcp",
                      .port = 80,
                      .v4 = {{"10.244.1.2", 8080}, {"10.244.2.2", 8080}},
                      .v6 = {{"fd00::2", 8080}}}}}};
}

TEST(NftRuleset, IsThisText) {
  EXPECT_EQ(nft_ruleset(two_backends()), R"(table inet weft_services
delete table inet weft_services
table inet weft_services {
 chain services_v4_1 {  # n/s:80
  meta l4proto tcp dnat ip addr . port to numgen random mod 2 map { 0 : 10.244.1.2 . 8080, 1 : 10.244.2.2 . 8080 }
 }
 map services_v4 {
  type ipv4_addr . inet_proto . inet_service : verdict
  elements = {
   10.96.1.1 . tcp . 80 : goto services_v4_1 }
 }
 set self_v4 {
  type ipv4_addr . ipv4_addr
  elements = {
   10.244.1.2 . 10.244.1.2, 10.244.2.2 . 10.244.2.2 }
 }
 chain services_v6_1 {  # n/s:80
  meta l4proto tcp dnat ip6 addr . port to numgen random mod 1 map { 0 : fd00::2 . 8080 }
 }
 map services_v6 {
  type ipv6_addr . inet_proto . inet_service : verdict
  elements = {
   fd00:96::101 . tcp . 80 : goto services_v6_1 }
 }
 set self_v6 {
  type ipv6_addr . ipv6_addr
  elements = {
   fd00::2 . fd00::2 }
 }
 chain from_pods {
  type nat hook prerouting priority dstnat;
  ip daddr . meta l4proto . th dport vmap @services_v4
  ip6 daddr . meta l4proto . th dport vmap @services_v6
 }
 chain from_node {
  type nat hook output priority -100;
  ip daddr . meta l4proto . th dport vmap @services_v4
  ip6 daddr . meta l4proto . th dport vmap @services_v6
 }
 chain hairpin {
  type nat hook postrouting priority srcnat;
  ct status dnat ip saddr . ip daddr @self_v4 masquerade
  ct status dnat ip6 saddr . ip6 daddr @self_v6 masquerade
 }
 chain refuse_pods {
  type filter hook forward priority filter;
  ip daddr 10.96.0.0/16 meta l4proto tcp reject with tcp reset
  ip daddr 10.96.0.0/16 reject
  ip6 daddr fd00:96::/112 meta l4proto tcp reject with tcp reset
  ip6 daddr fd00:96::/112 reject
 }
 chain refuse_node {
  type filter hook output priority filter;
  ip daddr 10.96.0.0/16 meta l4proto tcp reject with tcp reset
  ip daddr 10.96.0.0/16 reject
  ip6 daddr fd00:96::/112 meta l4proto tcp reject with tcp reset
  ip6 daddr fd00:96::/112 reject
 }
}
)");
}

TEST(NftRuleset, AServiceWithoutBackendsIsLeftToTheRefusal) {
  auto views = two_backends();
  views[0].ports[0].v4.clear();
  EXPECT_THAT(nft_ruleset(views), Not(HasSubstr("10.96.1.1")));
  EXPECT_THAT(nft_ruleset(views), HasSubstr("fd00:96::101"));
}

TEST(NftRuleset, OtherProtocolsAndHeadlessServicesAreLeftOut) {
  auto views = two_backends();
  views[0].ports[0].protocol = "sctp";
  EXPECT_THAT(nft_ruleset(views), Not(HasSubstr("sctp")));
  views = two_backends();
  views[0].vips.clear();
  EXPECT_THAT(nft_ruleset(views), Not(HasSubstr("8080")));
}

}  // namespace
}  // namespace weft::sandbox
