#include "mesh/resolve.h"

#include <gtest/gtest.h>

#include <map>

#include "world.h"

namespace weft::mesh {
namespace {

std::uint64_t first(std::uint64_t) { return 0; }

SocketAddress at(const char* text) { return *SocketAddress::parse(text); }

Workload client() { return pod("client", "10.0.0.9"); }

Workload backend(const char* name, const char* address, std::uint16_t target) {
  auto w = pod(name, address);
  w.services["default/web.default.svc.cluster.local"] = {{80, target}};
  return w;
}

TEST(Resolve, AnUnknownAddressPassesThrough) {
  const auto route = resolve(*Builder().build(), client(), at("93.184.216.34:443"), first);
  ASSERT_TRUE(route);
  EXPECT_EQ(route->kind, Route::Kind::kPassthrough);
  EXPECT_EQ(route->address, at("93.184.216.34:443"));
}

TEST(Resolve, APodInTheMeshIsReachedThroughItsOwnTunnelPort) {
  const auto route = resolve(*Builder().add(pod("b", "10.0.0.2")).build(), client(), at("10.0.0.2:6379"), first);
  ASSERT_TRUE(route);
  EXPECT_EQ(route->kind, Route::Kind::kHbone);
  EXPECT_EQ(route->tunnel, at("10.0.0.2:15008"));
  EXPECT_EQ(route->authority, "10.0.0.2:6379");
  ASSERT_EQ(route->expected.size(), 1u);
  EXPECT_EQ(route->expected[0].str(), "spiffe://cluster.local/ns/default/sa/b");
}

TEST(Resolve, AV6AuthorityIsBracketed) {
  const auto route = resolve(*Builder().add(pod("b", "fd00::2")).build(), client(), at("[fd00::2]:80"), first);
  ASSERT_TRUE(route);
  EXPECT_EQ(route->authority, "[fd00::2]:80");
}

TEST(Resolve, APodOutsideTheMeshGetsPlainTcp) {
  const auto route = resolve(*Builder().add(pod("b", "10.0.0.2", TunnelProtocol::kNone)).build(), client(), at("10.0.0.2:80"), first);
  ASSERT_TRUE(route);
  EXPECT_EQ(route->kind, Route::Kind::kPassthrough);
  EXPECT_TRUE(route->workload);
}

TEST(Resolve, AVipBecomesAnEndpointWithItsNamedTargetPort) {
  const auto s = Builder().add(service("web", "10.96.0.1", {{80, 0}})).add(backend("b", "10.0.0.2", 8081)).build();
  const auto route = resolve(*s, client(), at("10.96.0.1:80"), first);
  ASSERT_TRUE(route);
  EXPECT_EQ(route->authority, "10.0.0.2:8081");
  EXPECT_EQ(route->service->name, "web");
}

TEST(Resolve, AServiceWithoutUsableEndpointsIsUnreachableNotPassedThrough) {
  auto sick = backend("sick", "10.0.0.2", 80);
  sick.healthy = false;
  for (const auto& s : {Builder().add(service("web", "10.96.0.1", {{80, 80}})).build(),
                        Builder().add(service("web", "10.96.0.1", {{80, 80}})).add(sick).build()}) {
    const auto route = resolve(*s, client(), at("10.96.0.1:80"), first);
    ASSERT_FALSE(route);
    EXPECT_EQ(route.error().code, Code::kUnreachable);
  }
}

TEST(Resolve, APortTheServiceDoesNotHaveIsUnreachable) {
  const auto s = Builder().add(service("web", "10.96.0.1", {{80, 80}})).add(backend("b", "10.0.0.2", 80)).build();
  EXPECT_FALSE(resolve(*s, client(), at("10.96.0.1:81"), first));
}

TEST(Resolve, PublishNotReadyServicesTakeUnhealthyEndpoints) {
  auto web = service("web", "10.96.0.1", {{80, 80}});
  web.load_balancing.allow_unhealthy = true;
  auto sick = backend("sick", "10.0.0.2", 80);
  sick.healthy = false;
  EXPECT_TRUE(resolve(*Builder().add(web).add(sick).build(), client(), at("10.96.0.1:80"), first));
}

TEST(Resolve, SelfCallsToInPodPortsAreRefused) {
  const auto route = resolve(*Builder().build(), client(), at("127.0.0.1:15001"), first);
  ASSERT_FALSE(route);
  EXPECT_EQ(route.error().code, Code::kDenied);
}

TEST(Balance, WeighsByCapacityAndSkipsZero) {
  auto heavy = backend("heavy", "10.0.0.2", 80), light = backend("light", "10.0.0.3", 80), never = backend("never", "10.0.0.4", 80);
  heavy.capacity = 3;
  never.capacity = 0;
  const auto s = Builder().add(service("web", "10.96.0.1", {{80, 80}})).add(heavy).add(light).add(never).build();
  std::map<std::string, int> hits;
  for (std::uint64_t n = 0; n < 4; ++n) {
    const auto route = resolve(*s, client(), at("10.96.0.1:80"), [&](std::uint64_t bound) {
      EXPECT_EQ(bound, 4u);
      return n;
    });
    ++hits[route->workload->name];
  }
  EXPECT_EQ(hits, (std::map<std::string, int>{{"heavy", 3}, {"light", 1}}));
}

TEST(Balance, FailoverTakesTheBestRankAndStrictOnlyTheFullOne) {
  auto here = backend("here", "10.0.0.2", 80), there = backend("there", "10.0.0.3", 80);
  there.node = "node2";
  auto web = service("web", "10.96.0.1", {{80, 80}});
  web.load_balancing = {{Scope::kNode}, BalanceMode::kFailover, false};
  const auto both = Builder().add(web).add(here).add(there).build();
  EXPECT_EQ(resolve(*both, client(), at("10.96.0.1:80"), first)->workload->name, "here");
  const auto far = Builder().add(web).add(there).build();
  EXPECT_EQ(resolve(*far, client(), at("10.96.0.1:80"), first)->workload->name, "there");
  web.load_balancing.mode = BalanceMode::kStrict;
  EXPECT_FALSE(resolve(*Builder().add(web).add(there).build(), client(), at("10.96.0.1:80"), first));
}

TEST(Balance, PrefersTheFamilyOfTheVipAndTriesAnotherEndpoint) {
  auto b = backend("b", "10.0.0.2", 80);
  b.addresses.push_back(ip("fd00::2"));
  auto web = service("web", "10.96.0.1", {{80, 80}});
  web.addresses.push_back({"", ip("fd00:96::1"), std::nullopt});
  const auto s = Builder().add(web).add(b).build();
  EXPECT_TRUE(resolve(*s, client(), at("[fd00:96::1]:80"), first)->address.ip.is_v6());
  EXPECT_TRUE(resolve(*s, client(), at("10.96.0.1:80"), first)->address.ip.is_v4());
  EXPECT_FALSE(choose_endpoint(*s, *s->service_by_vip(ip("10.96.0.1"), ""), 80, client(), false, {b.uid}, first));
}

}  // namespace
}  // namespace weft::mesh
