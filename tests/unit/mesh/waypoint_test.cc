#include "mesh/waypoint.h"

#include <gtest/gtest.h>

#include <map>

#include "mesh/resolve.h"
#include "world.h"

namespace weft::mesh {
namespace {

std::uint64_t first(std::uint64_t) { return 0; }
SocketAddress at(const char* text) { return *SocketAddress::parse(text); }

constexpr const char* kWaypoint = "default/wp.default.svc.cluster.local";
constexpr const char* kWeb = "default/web.default.svc.cluster.local";

GatewayAddress by_name(const char* name = "wp") {
  return {NamespacedHostname{"default", std::string(name) + ".default.svc.cluster.local"}, 15008};
}
GatewayAddress by_address(const char* address) { return {NetworkAddress{"", ip(address), std::nullopt}, 15008}; }

// A replica of a waypoint, sandwiched: ztunnel terminates its tunnels.
Workload replica(const char* name, const char* address, const char* service = kWaypoint) {
  auto w = pod(name, address);
  w.service_account = "wp";
  w.services[service] = {{15008, 15008}};
  w.application_tunnel = ApplicationTunnel{true, 15089};
  return w;
}

Service web() {
  auto s = service("web", "10.96.0.1", {{80, 8080, AppProtocol::kHttp11}, {6379, 6379, AppProtocol::kTcp}, {9000, 0}});
  s.addresses.push_back({"", ip("fd00:96::1"), std::nullopt});
  s.waypoint = by_name();
  return s;
}

Workload backend(const char* name, const char* address) {
  auto w = pod(name, address);
  w.services[kWeb] = {{80, 8080}, {6379, 6379}, {9000, 9001}};
  return w;
}

Builder world() {
  Builder out;
  out.add(web()).add(service("wp", "10.96.0.9", {{15008, 15008}})).add(replica("wp-1", "10.0.0.7")).add(backend("b", "10.0.0.2"));
  return out;
}

Workload client() { return pod("client", "10.0.0.9"); }

Result<Route> go(const Builder& builder, const char* to, const Workload& from = client(), const std::vector<std::string>& tried = {}) {
  auto copy = builder;
  return resolve(*copy.build(), from, at(to), first, tried);
}

TEST(Waypoint, TrafficToAServiceGoesThroughItWithTheOriginalAddress) {
  const auto route = go(world(), "10.96.0.1:80");
  ASSERT_TRUE(route);
  EXPECT_TRUE(route->via_waypoint);
  EXPECT_EQ(route->tunnel, at("10.0.0.7:15008"));
  EXPECT_EQ(route->authority, "10.96.0.1:80");
  EXPECT_EQ(route->service->name, "web");
  ASSERT_EQ(route->expected.size(), 1u);
  EXPECT_EQ(route->expected[0].str(), "spiffe://cluster.local/ns/default/sa/wp");
  EXPECT_EQ(go(world(), "[fd00:96::1]:80")->authority, "[fd00:96::1]:80");
}

TEST(Waypoint, ItMayProveTheNamesOfItsServiceToo) {
  auto wp = service("wp", "10.96.0.9", {{15008, 15008}});
  wp.subject_alt_names = {"spiffe://cluster.local/ns/other/sa/gateway", "no identity"};
  auto builder = world();
  const auto route = go(builder.add(wp), "10.96.0.1:80");
  ASSERT_TRUE(route);
  ASSERT_EQ(route->expected.size(), 2u);
  EXPECT_EQ(route->expected[0].ns, "other");
  EXPECT_EQ(route->expected[1].service_account, "wp");
}

TEST(Waypoint, OneThatTerminatesItsOwnTunnelsIsReachedTheSameWay) {
  auto istio = replica("wp-1", "10.0.0.7");
  istio.application_tunnel.reset();
  istio.tunnel_protocol = TunnelProtocol::kNone;
  istio.native_tunnel = true;
  istio.services[kWaypoint] = {};  // its service does not list the tunnel's port
  auto builder = world();
  builder.add(istio).add(service("wp", "10.96.0.9", {{15021, 15021}}));
  const auto route = go(builder, "10.96.0.1:80");
  ASSERT_TRUE(route) << describe(route.error());
  EXPECT_EQ(route->tunnel, at("10.0.0.7:15008"));
}

TEST(Waypoint, AMissingOneFailsClosedHoweverItIsNamed) {
  for (const auto& gone : {by_name("gone"), by_address("10.96.0.77"), by_address("10.0.0.77")}) {
    auto builder = world();
    auto s = web();
    s.waypoint = gone;
    const auto route = go(builder.add(s), "10.96.0.1:80");
    ASSERT_FALSE(route);
    EXPECT_EQ(route.error().code, Code::kUnreachable);
    EXPECT_STREQ(route.error().where, kUnknownWaypoint);
  }
}

TEST(Waypoint, OneWithoutAHealthyReplicaFailsClosed) {
  auto sick = replica("wp-1", "10.0.0.7");
  sick.healthy = false;
  auto spent = replica("wp-1", "10.0.0.7");
  spent.capacity = 0;
  for (const auto& each : {sick, spent}) {
    auto builder = world();
    EXPECT_FALSE(go(builder.add(each), "10.96.0.1:80"));
  }
  auto builder = world();
  builder.world.workloads.erase("Kubernetes//Pod/default/wp-1");
  EXPECT_FALSE(go(builder, "10.96.0.1:80"));
}

TEST(Waypoint, AddressesNameAServiceOrAPod) {
  for (const char* address : {"10.96.0.9", "10.0.0.7"}) {
    auto builder = world();
    auto s = web();
    s.waypoint = by_address(address);
    const auto route = go(builder.add(s), "10.96.0.1:80");
    ASSERT_TRUE(route) << address;
    EXPECT_EQ(route->tunnel, at("10.0.0.7:15008"));
  }
}

TEST(Waypoint, ReplicasShareByCapacityAndAnotherIsTriedAfterAFailure) {
  auto builder = world();
  auto heavy = replica("wp-2", "10.0.0.8");
  heavy.capacity = 3;
  builder.add(heavy);
  std::map<std::string, int> hits;
  for (std::uint64_t n = 0; n < 4; ++n) {
    const auto route = resolve(*builder.build(), client(), at("10.96.0.1:80"), [&](std::uint64_t bound) {
      EXPECT_EQ(bound, 4u);
      return n;
    });
    ++hits[route->workload->name];
  }
  EXPECT_EQ(hits, (std::map<std::string, int>{{"wp-1", 1}, {"wp-2", 3}}));
  const std::string one = "Kubernetes//Pod/default/wp-1", two = "Kubernetes//Pod/default/wp-2";
  EXPECT_EQ(go(builder, "10.96.0.1:80", client(), {one})->workload->name, "wp-2");
  EXPECT_FALSE(go(builder, "10.96.0.1:80", client(), {one, two})) << "and never around it";
}

TEST(Waypoint, OnlyItsPortsGoThroughIt) {
  auto builder = world();
  auto s = web();
  s.waypoint_ports = {80};
  builder.add(s);
  EXPECT_TRUE(go(builder, "10.96.0.1:80")->via_waypoint);
  const auto route = go(builder, "10.96.0.1:6379");
  ASSERT_TRUE(route);
  EXPECT_FALSE(route->via_waypoint);
  EXPECT_EQ(route->authority, "10.0.0.2:6379");
  s.waypoint = by_name("gone");
  builder.add(s);
  EXPECT_FALSE(go(builder, "10.96.0.1:80"));
  EXPECT_TRUE(go(builder, "10.96.0.1:6379"));
}

TEST(Waypoint, WeightedOnesShareAHundred) {
  auto builder = world();
  auto s = web();
  s.weighted_waypoints = {{by_name("canary"), 20}};
  builder.add(s).add(service("canary", "10.96.0.10", {{15008, 15008}}));
  builder.add(replica("canary-1", "10.0.0.6", "default/canary.default.svc.cluster.local"));
  std::map<std::string, int> hits;
  for (std::uint64_t n = 0; n < 100; ++n) {
    bool weighed = false;
    const auto route = resolve(*builder.build(), client(), at("10.96.0.1:80"), [&](std::uint64_t bound) {
      if (weighed) return std::uint64_t{0};
      EXPECT_EQ(bound, 100u);
      weighed = true;
      return n;
    });
    ++hits[route->workload->name];
  }
  EXPECT_EQ(hits, (std::map<std::string, int>{{"canary-1", 20}, {"wp-1", 80}}));
}

TEST(Waypoint, AWaypointDoesNotGoThroughItself) {
  auto builder = world();
  builder.add(replica("wp-2", "10.0.0.8"));
  for (const char* name : {"wp-1", "wp-2"}) {  // whichever replica the dice would choose
    const auto self = replica(name, name == std::string("wp-1") ? "10.0.0.7" : "10.0.0.8");
    const auto route = go(builder, "10.96.0.1:80", self);
    ASSERT_TRUE(route);
    EXPECT_FALSE(route->via_waypoint);
    EXPECT_EQ(route->authority, "10.0.0.2:8080");
  }
}

TEST(Waypoint, APodsWaypointIsPassedByPodsAndNotByWaypoints) {
  auto builder = world();
  auto behind = backend("b", "10.0.0.2");
  behind.waypoint = by_name();
  builder.add(behind);
  const auto route = go(builder, "10.0.0.2:8080");
  ASSERT_TRUE(route);
  EXPECT_TRUE(route->via_waypoint);
  EXPECT_EQ(route->authority, "10.0.0.2:8080");
  EXPECT_EQ(go(builder, "10.0.0.2:8080", replica("wp-1", "10.0.0.7"))->tunnel, at("10.0.0.2:15008"));
  // Another waypoint routed already; only who is behind none is sent through.
  const auto other = replica("x", "10.0.0.5", "default/x.default.svc.cluster.local");
  EXPECT_FALSE(go(builder, "10.0.0.2:8080", other)->via_waypoint);
  auto istio = replica("wp-1", "10.0.0.7");
  istio.application_tunnel.reset();
  EXPECT_FALSE(go(builder, "10.0.0.2:8080", istio)->via_waypoint);
  // The same account alone makes no waypoint.
  auto impostor = client();
  impostor.service_account = "wp";
  EXPECT_TRUE(go(builder, "10.0.0.2:8080", impostor)->via_waypoint);
}

TEST(Waypoint, OneOnAnotherNetworkIsSaidToBeUnsupported) {
  auto far = replica("wp-1", "10.0.0.7");
  far.network = "elsewhere";
  auto builder = world();
  const auto route = go(builder.add(far), "10.96.0.1:80");
  ASSERT_FALSE(route);
  EXPECT_EQ(route.error().code, Code::kUnsupported);
}

// ---- what may pass ----

Result<Transit> pass(const Builder& builder, const char* authority, const char* self = "wp-1") {
  auto copy = builder;
  const auto snapshot = copy.build();
  const auto me = snapshot->workload_by_uid(std::string("Kubernetes//Pod/default/") + self);
  const auto address = SocketAddress::parse(authority);
  if (address) return find_transit(*snapshot, *me, &address->ip, {}, address->port);
  const std::string_view text(authority);
  const auto colon = text.rfind(':');
  return find_transit(*snapshot, *me, nullptr, text.substr(0, colon), static_cast<std::uint16_t>(std::stoi(authority + colon + 1)));
}

TEST(Transit, Table) {
  auto builder = world();
  auto partly = service("partly", "10.96.0.2", {{80, 80}, {81, 81}});
  partly.waypoint = by_name();
  partly.waypoint_ports = {80};
  auto foreign = service("foreign", "10.96.0.3", {{80, 80}});
  foreign.waypoint = by_name("another");
  auto canary = service("canary", "10.96.0.4", {{80, 80}});
  canary.weighted_waypoints = {{by_name(), 5}};
  auto headless = service("headless", nullptr, {{80, 80}});
  headless.waypoint = by_name();
  auto behind = pod("behind", "10.0.0.4");
  behind.waypoint = by_name();
  builder.add(partly).add(foreign).add(canary).add(headless).add(behind).add(service("free", "10.96.0.5", {{80, 80}}));
  const struct {
    const char* authority;
    const char* destination;  // null: refused with `code`
    Code code = Code::kMalformed;
  } rows[] = {
      {"10.96.0.1:80", "10.96.0.1:80"},
      {"[fd00:96::1]:80", "[fd00:96::1]:80"},
      {"10.96.0.1:6379", "10.96.0.1:6379"},
      {"web.default.svc.cluster.local:80", "10.96.0.1:80"},  // v4 before v6
      {"10.96.0.1:81", nullptr, Code::kUnreachable},
      {"web.default.svc.cluster.local:81", nullptr, Code::kUnreachable},
      {"10.96.0.2:80", "10.96.0.2:80"},
      {"10.96.0.2:81", nullptr},  // goes straight, not here
      {"10.96.0.3:80", nullptr},
      {"foreign.default.svc.cluster.local:80", nullptr},
      {"10.96.0.4:80", "10.96.0.4:80"},
      {"10.96.0.5:80", nullptr},
      {"headless.default.svc.cluster.local:80", nullptr, Code::kUnreachable},
      {"unknown.default.svc.cluster.local:80", nullptr, Code::kUnreachable},
      {"10.0.0.4:8080", "10.0.0.4:8080"},
      {"10.0.0.2:8080", nullptr},   // a pod behind no waypoint
      {"10.0.0.7:15089", nullptr},  // the waypoint itself
      {"10.0.0.7:80", nullptr},
      {"10.96.0.9:15008", nullptr},  // its own service
      {"127.0.0.1:15000", nullptr},
      {"192.0.2.1:80", nullptr},
  };
  for (const auto& row : rows) {
    const auto transit = pass(builder, row.authority);
    if (row.destination) {
      ASSERT_TRUE(transit) << row.authority << ": " << describe(transit.error());
      EXPECT_EQ(transit->destination, at(row.destination));
      EXPECT_NE(transit->service == nullptr, transit->workload == nullptr);
    } else {
      ASSERT_FALSE(transit) << row.authority;
      EXPECT_EQ(transit.error().code, row.code) << row.authority;
    }
  }
  EXPECT_FALSE(pass(builder, "10.96.0.1:80", "b")) << "a pod that is no waypoint";
}

Policy rule(const char* name, PolicyAction action, Match match) {
  return {.name = name, .ns = "default", .action = action, .rules = {{{{{std::move(match)}}}}}};
}
Match from(const char* principal) {
  Match match;
  match.principals = {StringMatch::parse(principal)};
  return match;
}
constexpr const char* kClient = "cluster.local/ns/default/sa/client";

Verdict judge(const Builder& builder, const char* authority) {
  auto copy = builder;
  const auto snapshot = copy.build();
  const auto transit = pass(builder, authority);
  EXPECT_TRUE(transit) << authority;
  const Identity identity = client().identity();
  return authorize_transit(*snapshot, *transit, {.source_ip = ip("10.0.0.9"), .source = &identity});
}

TEST(Transit, ConnectionsMustBeAllowedByEveryEndpointAndRequestsAreNotJudgedHere) {
  auto builder = world();
  EXPECT_TRUE(judge(builder, "10.96.0.1:6379").allowed) << "no policy";
  auto guarded = backend("c", "10.0.0.3");
  guarded.authorization_policies = {"default/only-other"};
  auto policy = rule("only-other", PolicyAction::kAllow, from("cluster.local/ns/default/sa/other"));
  policy.scope = PolicyScope::kWorkloadSelector;
  builder.add(guarded).add(policy);
  const auto verdict = judge(builder, "10.96.0.1:6379");
  EXPECT_FALSE(verdict.allowed) << "one of two endpoints does not allow";
  EXPECT_EQ(verdict.policy, "default/only-other");
  EXPECT_TRUE(judge(builder, "10.96.0.1:80").allowed) << "HTTP is the proxy's to judge";
  EXPECT_FALSE(judge(builder, "10.96.0.1:9000").allowed) << "an unknown protocol is judged";
  builder.world.policies.clear();
  EXPECT_EQ(judge(builder, "10.96.0.1:6379").reason, Verdict::Reason::kPolicyUnknown) << "closed";
}

TEST(Transit, PortsAreTheEndpointsOwnAndTheWaypointsPoliciesDoNotCount) {
  auto builder = world();
  Match port;
  port.destination_ports = {9001};
  builder.add(rule("no-9001", PolicyAction::kDeny, port));
  EXPECT_FALSE(judge(builder, "10.96.0.1:9000").allowed);
  EXPECT_TRUE(judge(builder, "10.96.0.1:6379").allowed);
  builder.world.policies.clear();
  auto own = rule("not-to-me", PolicyAction::kDeny, from("*"));
  own.scope = PolicyScope::kWorkloadSelector;
  auto envoy = replica("wp-1", "10.0.0.7");
  envoy.authorization_policies = {"default/not-to-me"};
  builder.add(envoy).add(own);
  EXPECT_TRUE(judge(builder, "10.96.0.1:6379").allowed);
}

TEST(Transit, EveryAddressOfAnEndpointCounts) {
  auto builder = world();
  auto dual = backend("b", "10.0.0.2");
  dual.addresses.push_back(ip("fd00::2"));
  Match v6;
  v6.destination_ips = {*Cidr::parse("fd00::/64")};
  builder.add(dual).add(rule("not-v6", PolicyAction::kDeny, v6));
  EXPECT_FALSE(judge(builder, "10.96.0.1:6379").allowed);
}

TEST(Transit, APodsConnectionIsJudgedUnlessEveryServiceSaysHttp) {
  auto builder = world();
  auto behind = backend("b", "10.0.0.2");
  behind.waypoint = by_name();
  builder.add(behind).add(rule("no", PolicyAction::kDeny, from(kClient)));
  EXPECT_TRUE(judge(builder, "10.0.0.2:8080").allowed) << "port 80 of web: HTTP";
  EXPECT_FALSE(judge(builder, "10.0.0.2:6379").allowed);
  EXPECT_FALSE(judge(builder, "10.0.0.2:1234").allowed) << "no service's port";
  auto raw = service("raw", "10.96.0.20", {{8080, 8080, AppProtocol::kTcp}});
  behind.services["default/raw.default.svc.cluster.local"] = {{8080, 8080}};
  builder.add(behind).add(raw);
  EXPECT_FALSE(judge(builder, "10.0.0.2:8080").allowed) << "two services do not agree";
}

}  // namespace
}  // namespace weft::mesh
