#include "ztunnel/proxy/inbound.h"

#include <gtest/gtest.h>

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
    auto port = target_of(*snapshot, self, local, *authority);
    if (row.port != 0) {
      EXPECT_TRUE(port && *port == row.port) << row.authority;
    } else {
      EXPECT_TRUE(!port && port.error().code == row.code) << row.authority;
    }
  }
}

TEST(Inbound, AnApplicationTunnelTakesEverything) {
  auto self = server();
  self.application_tunnel = mesh::ApplicationTunnel{.proxy_protocol = true, .port = 15088};
  auto port = target_of(*world(), self, *SocketAddress::parse("10.244.2.3:15008"),
                        *hbone::Authority::parse("10.96.0.5:80"));
  EXPECT_TRUE(port && *port == 15088);
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
