#include "ztunnel/proxy/inbound.h"

#include <gtest/gtest.h>

#include <span>

#include "tests/unit/mesh/world.h"

namespace weft::proxy {
namespace {

using mesh::pod;
using mesh::service;

// One row: a CONNECT authority that arrives at server 10.244.2.3:15008, and the port it is for (0:
// refused with `code`).
struct Row {
  const char* authority;
  std::uint16_t port;
  Code code = Code::kUnreachable;
};

mesh::Workload server() {
  auto made = pod("server", "10.244.2.3");
  made.services["default/web.default.svc.cluster.local"] = {{80, 8080}};
  made.services["default/named.default.svc.cluster.local"] = {{80, 9090}};
  return made;
}

std::shared_ptr<const mesh::Snapshot> world() {
  mesh::Builder out;
  auto behind = service("behind", "10.96.0.7", {{80, 8080}});
  behind.waypoint =
      mesh::GatewayAddress{mesh::NetworkAddress{"", mesh::ip("10.244.2.3"), std::nullopt}};
  out.add(server())
      .add(service("web", "10.96.0.5", {{80, 8080}}))
      .add(service("named", "10.96.0.6", {{80, 0}, {81, 0}}))
      .add(behind);
  return out.build();
}

TEST(Inbound, AuthorityTable) {
  const auto snapshot = world();
  const auto self = server();
  const auto local = *SocketAddress::parse("10.244.2.3:15008");
  const Row rows[] = {
      {"10.244.2.3:8080", 8080},
      {"10.244.2.3:1", 1},
      {"10.244.2.4:8080", 0, Code::kMalformed},
      {"10.96.0.5:80", 0, Code::kMalformed},  // a VIP is no pod
      {"10.96.0.7:80", 80},                   // but this pod is that service's waypoint
      {"10.244.2.3:15001", 0},
      {"10.244.2.3:15006", 0},
      {"10.244.2.3:15008", 0},
      {"web.default.svc.cluster.local:80", 8080},
      {"web.default.svc.cluster.local:81", 0},
      {"named.default.svc.cluster.local:80", 9090},
      {"named.default.svc.cluster.local:81", 0},
      {"unknown.default.svc.cluster.local:80", 0},
  };
  for (const auto& row : rows) {
    auto authority = hbone::Authority::parse(row.authority);
    ASSERT_TRUE(authority.has_value()) << row.authority;
    auto target = target_of(*snapshot, self, local, *authority);
    if (row.port != 0) {
      ASSERT_TRUE(target) << row.authority;
      EXPECT_EQ(target->app, (SocketAddress{local.ip, row.port})) << row.authority;
      EXPECT_FALSE(target->header || target->transit) << row.authority;
    } else {
      EXPECT_TRUE(!target && target.error().code == row.code) << row.authority;
    }
  }
}

TEST(Inbound, AnApplicationTunnelWithoutAHeaderTakesEverything) {
  auto self = server();
  self.application_tunnel = mesh::ApplicationTunnel{.proxy_protocol = false, .port = 15088};
  for (const char* authority : {"10.96.0.5:80", "10.244.2.3:80", "192.0.2.1:7"}) {
    auto target = target_of(*world(), self, *SocketAddress::parse("10.244.2.3:15008"),
                            *hbone::Authority::parse(authority));
    ASSERT_TRUE(target) << authority;
    EXPECT_EQ(target->app.str(), "10.244.2.3:15088");
    EXPECT_FALSE(target->header);
  }
}

// One row: a CONNECT at a sandwiched waypoint.
struct SandwichRow {
  const char* authority;
  const char* app;  // null: refused with `code`
  const char* destination = "";
  bool transit = false;
  Code code = Code::kMalformed;
};

void check_sandwich(std::uint16_t tunnel_port, std::span<const SandwichRow> rows) {
  auto self = server();
  self.application_tunnel = mesh::ApplicationTunnel{.proxy_protocol = true, .port = tunnel_port};
  const auto snapshot = world();
  for (const auto& row : rows) {
    auto target = target_of(*snapshot, self, *SocketAddress::parse("10.244.2.3:15008"),
                            *hbone::Authority::parse(row.authority));
    if (row.app == nullptr) {
      ASSERT_FALSE(target) << row.authority;
      EXPECT_EQ(target.error().code, row.code) << row.authority;
      continue;
    }
    ASSERT_TRUE(target) << row.authority << ": " << describe(target.error());
    EXPECT_EQ(target->app.str(), row.app) << row.authority;
    EXPECT_EQ(target->destination.str(), row.destination) << row.authority;
    EXPECT_EQ(target->transit != nullptr, row.transit) << row.authority;
    EXPECT_EQ(target->header, row.transit || tunnel_port == 0) << row.authority;
  }
}

TEST(Inbound, ASandwichedWaypointPassesOnWhatIsBehindIt) {
  const SandwichRow rows[] = {
      {"10.96.0.7:80", "127.0.0.1:15089", "10.96.0.7:80", true},
      {"behind.default.svc.cluster.local:80", "127.0.0.1:15089", "10.96.0.7:80", true},
      {"10.96.0.7:81", nullptr, "", false, Code::kUnreachable},
      {"10.96.0.5:80", nullptr},
      {"web.default.svc.cluster.local:80", nullptr},
      {"unknown.default.svc.cluster.local:80", nullptr, "", false, Code::kUnreachable},
      {"10.244.2.4:8080", nullptr},
      {"127.0.0.1:15000", nullptr},
      // Its own ports, an ordinary pod's, but never the one that believes.
      {"10.244.2.3:15021", "10.244.2.3:15021", "10.244.2.3:15021"},
      {"10.244.2.3:15089", nullptr, "", false, Code::kUnreachable},
      {"10.244.2.3:15008", nullptr, "", false, Code::kUnreachable},
  };
  check_sandwich(15089, rows);
}

TEST(Inbound, AnApplicationTunnelWithoutAPortKeepsTheOriginalOne) {
  const SandwichRow rows[] = {
      {"10.96.0.7:80", "127.0.0.1:80", "10.96.0.7:80", true},
      {"10.244.2.3:9000", "127.0.0.1:9000", "10.244.2.3:9000"},
      {"10.244.2.3:15001", nullptr, "", false, Code::kUnreachable},
      {"10.96.0.5:80", nullptr},
  };
  check_sandwich(0, rows);
}

TEST(Inbound, TheClientIsShownInTheFamilyOfItsDestinationIfItHasOne) {
  auto client = pod("client", "10.244.1.2");
  client.addresses.push_back(mesh::ip("fd00:244:1::2"));
  const auto peer = *SocketAddress::parse("10.244.1.2:40000");
  const auto v6 = *SocketAddress::parse("[fd00:96::1]:80");
  EXPECT_EQ(client_in_family_of(v6, peer, &client).str(), "[fd00:244:1::2]:40000");
  EXPECT_EQ(client_in_family_of(v6, peer, nullptr), peer);
  EXPECT_EQ(client_in_family_of(*SocketAddress::parse("10.96.0.1:80"), peer, &client), peer);
}

TEST(Inbound, TheClientsOwnPortIsBelievedForItsOwnAddressOnly) {
  const auto peer = *SocketAddress::parse("10.244.1.2:50000");
  const auto told = [&](const char* header) { return client_of(header, peer).str(); };
  EXPECT_EQ(told(R"(for="10.244.1.2:40000")"), "10.244.1.2:40000");
  EXPECT_EQ(told(R"(for="10.244.1.2:40000";host=web)"), "10.244.1.2:40000");
  EXPECT_EQ(told("host=web;for=10.244.1.2:40000"), "10.244.1.2:40000");
  for (const char* header : {"", "for=", "for=\"", R"(for="10.9.9.9:40000")",
                             R"(for="10.244.1.2:0")", "for=10.244.1.2", "x;;=;"}) {
    EXPECT_EQ(told(header), "10.244.1.2:50000") << header;
  }
  EXPECT_EQ(client_of(R"(for="[fd00::2]:7")", *SocketAddress::parse("[fd00::2]:9")).port, 7);
}

TEST(Inbound, TheServiceIsTheOneNamedElseTheOneWithThatTarget) {
  const auto snapshot = world();
  const auto self = server();
  EXPECT_EQ(guess_service(*snapshot, self, 1, "web.default.svc.cluster.local")->name, "web");
  EXPECT_EQ(guess_service(*snapshot, self, 9090, "")->name, "named");
  EXPECT_EQ(guess_service(*snapshot, self, 8080, "unknown.host")->name, "web");
  EXPECT_EQ(guess_service(*snapshot, self, 1, ""), nullptr);
}

}  // namespace
}  // namespace weft::proxy
