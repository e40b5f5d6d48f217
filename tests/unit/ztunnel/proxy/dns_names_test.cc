#include "ztunnel/proxy/dns_names.h"

#include <gtest/gtest.h>

#include <set>

#include "tests/unit/mesh/world.h"

namespace weft::proxy::dns {
namespace {

using mesh::ip;
using mesh::pod;
using mesh::service;

struct DnsNames : testing::Test {
  DnsNames() {
    auto web = service("web", "10.96.0.5", {{80, 8080}});
    web.addresses.push_back({"", ip("fd00:96::5"), std::nullopt});
    auto hidden = service("hidden", "10.96.0.6", {{80, 8080}});
    hidden.ns = "other";
    hidden.hostname = "hidden.other.svc.cluster.local";
    hidden.namespace_private = true;
    auto outside = service("outside", "240.240.0.1", {{443, 443}});
    outside.hostname = "api.example.com";
    auto star = service("star", "240.240.0.2", {{443, 443}});
    star.hostname = "*.wild.example.com";
    auto headless = service("db", nullptr, {{5432, 5432}});
    auto empty = service("empty", nullptr, {{1, 1}});
    auto external = service("external", nullptr, {{443, 443}});
    external.hostname = "no-vip.example.com";
    auto v4 = service("v4", "10.96.0.9", {{80, 80}});
    v4.addresses.push_back({"", ip("fd00:96::9"), std::nullopt});
    v4.ip_families = mesh::IpFamilies::kV4Only;
    world.add(web).add(hidden).add(outside).add(star).add(headless).add(empty).add(external).add(
        v4);
    for (int i = 0; i < 3; ++i) {
      const auto name = "db-" + std::to_string(i);
      const auto address = "10.244.1." + std::to_string(10 + i);
      auto member = pod(name.c_str(), address.c_str());
      member.services["default/db.default.svc.cluster.local"] = {{5432, 5432}};
      member.healthy = i != 2;
      world.add(member);
    }
    snapshot = world.build();
  }
  std::optional<Reply> ask(std::string_view name, std::uint16_t type = kTypeA) {
    return lookup(*snapshot, pod("client", "10.244.1.2"), "cluster.local", name, type,
                  [](std::uint64_t) { return 0; });
  }
  static std::set<std::string> addresses(const std::optional<Reply>& reply) {
    std::set<std::string> out;
    if (reply) {
      for (const auto& each : reply->addresses) out.insert(each.str());
    }
    return out;
  }
  mesh::Builder world;
  std::shared_ptr<const mesh::Snapshot> snapshot;
};
using Set = std::set<std::string>;

TEST_F(DnsNames, AServiceIsItsVip) {
  auto reply = ask("web.default.svc.cluster.local");
  ASSERT_TRUE(reply.has_value());
  EXPECT_EQ(addresses(reply), Set{"10.96.0.5"});
  EXPECT_TRUE(reply->authoritative);
  EXPECT_EQ(reply->canonical, "");
  EXPECT_EQ(addresses(ask("web.default.svc.cluster.local", kTypeAaaa)), Set{"fd00:96::5"});
}

TEST_F(DnsNames, AFamilyThatIsMissingIsAnEmptyAnswerNotAForward) {
  auto reply = ask("api.example.com", kTypeAaaa);
  ASSERT_TRUE(reply.has_value());
  EXPECT_TRUE(reply->addresses.empty());
  EXPECT_EQ(reply->rcode, kNoError);
  EXPECT_TRUE(addresses(ask("v4.default.svc.cluster.local", kTypeAaaa)).empty())
      << "ipFamilies says v4 only";
}

TEST_F(DnsNames, TheSearchPathIsCutOffAndACnameSaysSo) {
  for (const char* suffix :
       {".default.svc.cluster.local", ".svc.cluster.local", ".cluster.local"}) {
    auto reply = ask(std::string("api.example.com") + suffix);
    ASSERT_TRUE(reply.has_value()) << suffix;
    EXPECT_EQ(reply->canonical, "api.example.com");
    EXPECT_EQ(addresses(reply), Set{"240.240.0.1"});
  }
  EXPECT_FALSE(ask("api.example.com.other.svc.cluster.local").has_value())
      << "another namespace's search path";
}

TEST_F(DnsNames, WildcardsMatchBelowThemOnly) {
  EXPECT_EQ(addresses(ask("a.wild.example.com")), Set{"240.240.0.2"});
  EXPECT_EQ(addresses(ask("a.b.wild.example.com")), Set{"240.240.0.2"});
  EXPECT_FALSE(ask("wild.example.com").has_value());
}

TEST_F(DnsNames, AHeadlessServiceIsItsHealthyPods) {
  EXPECT_EQ(addresses(ask("db.default.svc.cluster.local")), (Set{"10.244.1.10", "10.244.1.11"}));
  EXPECT_EQ(addresses(ask("db-1.db.default.svc.cluster.local")), Set{"10.244.1.11"});
}

TEST_F(DnsNames, WhatTheMeshDoesNotKnowIsForwarded) {
  EXPECT_FALSE(ask("nothing.default.svc.cluster.local").has_value());
  EXPECT_FALSE(ask("empty.default.svc.cluster.local").has_value())
      << "no endpoint: the cluster's DNS knows what to say";
  EXPECT_FALSE(ask("no-vip.example.com").has_value())
      << "no address of ours outside the cluster's domain";
  EXPECT_FALSE(ask("db-9.db.default.svc.cluster.local").has_value());
  EXPECT_FALSE(ask("web-0.web.default.svc.cluster.local").has_value())
      << "pod names are for headless services";
  EXPECT_FALSE(ask("web.default.svc.cluster.local", 33).has_value()) << "SRV";
  EXPECT_FALSE(ask("").has_value());
}

TEST_F(DnsNames, APrivateServiceIsSeenInItsNamespaceOnly) {
  EXPECT_FALSE(ask("hidden.other.svc.cluster.local").has_value());
  auto inside = pod("client", "10.244.1.2");
  inside.ns = "other";
  EXPECT_TRUE(lookup(*snapshot, inside, "cluster.local", "hidden.other.svc.cluster.local", kTypeA,
                     [](std::uint64_t) { return 0; }));
}

}  // namespace
}  // namespace weft::proxy::dns
