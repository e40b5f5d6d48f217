// The kernel's decisions, on the host: the same functions that the hooks include.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <weft/decide.h>

#include <algorithm>
#include <string>

#include "base/net.h"

namespace weft {
namespace {

std::array<std::uint8_t, 16> bytes_of(const char* text) { return IpAddress::parse(text)->mapped(); }

weft_pod pod_with(std::uint32_t flags) {
  weft_pod pod{.flags = flags};
  std::ranges::copy(bytes_of("10.244.1.5"), pod.ip4);
  std::ranges::copy(bytes_of("fd00:244:1::5"), pod.ip6);
  return pod;
}

struct OutboundCase {
  const char* claim;
  const char* ip;
  std::uint32_t protocol;
  std::uint32_t pod_flags;  // kNoPod: the netns is unknown
  std::uint32_t socket_flags;
  bool to_dns;
  weft_act act;
  weft_counter counter;
};
constexpr std::uint32_t kNoPod = ~0u;
constexpr std::uint32_t kBoth = WEFT_POD_CAPTURE_OUT | WEFT_POD_CAPTURE_DNS;
constexpr std::uint32_t kTcp = WEFT_PROTOCOL_TCP;
constexpr std::uint32_t kUdp = WEFT_PROTOCOL_UDP;

class DecideOutbound : public testing::TestWithParam<OutboundCase> {};

TEST_P(DecideOutbound, ActsAndCountsAsClaimed) {
  const OutboundCase& c = GetParam();
  const auto ip = bytes_of(c.ip);
  const weft_pod pod = pod_with(c.pod_flags);
  const weft_outbound question{.pod = c.pod_flags == kNoPod ? nullptr : &pod,
                               .ip = ip.data(),
                               .protocol = c.protocol,
                               .socket_flags = c.socket_flags,
                               .to_dns = c.to_dns};
  const weft_decision decision = weft_decide_outbound(&question);
  EXPECT_EQ(decision.act, static_cast<std::uint32_t>(c.act)) << c.claim;
  EXPECT_EQ(decision.counter, static_cast<std::uint32_t>(c.counter)) << c.claim;
}

INSTANTIATE_TEST_SUITE_P(
    Table, DecideOutbound,
    testing::Values(
        OutboundCase{"v4 is captured", "10.96.0.7", kTcp, kBoth, 0, false, WEFT_CAPTURE,
                     WEFT_CONNECT_CAPTURED},
        OutboundCase{"v6 is captured", "fd00:96::7", kTcp, kBoth, 0, false, WEFT_CAPTURE,
                     WEFT_CONNECT_CAPTURED},
        OutboundCase{"port 15008 of another pod is captured too", "10.244.2.9", kTcp, kBoth, 0,
                     false, WEFT_CAPTURE, WEFT_CONNECT_CAPTURED},
        OutboundCase{"a captured socket is captured again", "10.96.0.8", kTcp, kBoth,
                     WEFT_SOCKET_CAPTURED, false, WEFT_CAPTURE, WEFT_CONNECT_CAPTURED},
        OutboundCase{"unknown netns passes", "10.96.0.7", kTcp, kNoPod, 0, false, WEFT_PASS,
                     WEFT_CONNECT_PASS_UNENROLLED},
        OutboundCase{"no flag passes", "10.96.0.7", kTcp, 0, 0, false, WEFT_PASS,
                     WEFT_CONNECT_PASS_UNENROLLED},
        OutboundCase{"owned passes", "10.96.0.7", kTcp, kBoth, WEFT_SOCKET_OWNED, false, WEFT_PASS,
                     WEFT_CONNECT_PASS_OWNED},
        OutboundCase{"ztunnel's dial to the app passes", "10.244.1.5", kTcp, kBoth,
                     WEFT_SOCKET_OWNED | WEFT_SOCKET_CLIENT, false, WEFT_PASS,
                     WEFT_CONNECT_PASS_OWNED},
        OutboundCase{"127.0.0.1 passes", "127.0.0.1", kTcp, kBoth, 0, false, WEFT_PASS,
                     WEFT_CONNECT_PASS_LOOPBACK},
        OutboundCase{"all of 127/8 passes", "127.200.3.4", kTcp, kBoth, 0, false, WEFT_PASS,
                     WEFT_CONNECT_PASS_LOOPBACK},
        OutboundCase{"::1 passes", "::1", kTcp, kBoth, 0, false, WEFT_PASS,
                     WEFT_CONNECT_PASS_LOOPBACK},
        OutboundCase{"0.0.0.0 is this host", "0.0.0.0", kTcp, kBoth, 0, false, WEFT_PASS,
                     WEFT_CONNECT_PASS_LOOPBACK},
        OutboundCase{":: is this host", "::", kTcp, kBoth, 0, false, WEFT_PASS,
                     WEFT_CONNECT_PASS_LOOPBACK},
        OutboundCase{"::2 is not loopback", "::2", kTcp, kBoth, 0, false, WEFT_CAPTURE,
                     WEFT_CONNECT_CAPTURED},
        OutboundCase{"128.0.0.1 is not loopback", "128.0.0.1", kTcp, kBoth, 0, false, WEFT_CAPTURE,
                     WEFT_CONNECT_CAPTURED},
        OutboundCase{"the own v4 passes", "10.244.1.5", kTcp, kBoth, 0, false, WEFT_PASS,
                     WEFT_CONNECT_PASS_SELF},
        OutboundCase{"the own v6 passes", "fd00:244:1::5", kTcp, kBoth, 0, false, WEFT_PASS,
                     WEFT_CONNECT_PASS_SELF},
        OutboundCase{"the neighbour's v6 does not", "fd00:244:1::6", kTcp, kBoth, 0, false,
                     WEFT_CAPTURE, WEFT_CONNECT_CAPTURED},
        OutboundCase{"udp passes", "10.96.0.7", kUdp, kBoth, 0, false, WEFT_PASS,
                     WEFT_CONNECT_PASS_NOT_TCP},
        OutboundCase{"sctp passes", "10.96.0.7", 132, kBoth, 0, false, WEFT_PASS,
                     WEFT_CONNECT_PASS_NOT_TCP},
        OutboundCase{"udp dns goes to the dns port", "10.96.0.10", kUdp, kBoth, 0, true,
                     WEFT_CAPTURE_DNS, WEFT_DNS_CAPTURED},
        OutboundCase{"tcp dns goes to the dns port", "10.96.0.10", kTcp, kBoth, 0, true,
                     WEFT_CAPTURE_DNS, WEFT_DNS_CAPTURED},
        OutboundCase{"dns alone captures dns", "10.96.0.10", kUdp, WEFT_POD_CAPTURE_DNS, 0, true,
                     WEFT_CAPTURE_DNS, WEFT_DNS_CAPTURED},
        OutboundCase{"dns alone leaves the rest", "10.96.0.7", kTcp, WEFT_POD_CAPTURE_DNS, 0, false,
                     WEFT_PASS, WEFT_CONNECT_PASS_UNENROLLED},
        OutboundCase{"without the dns flag udp dns passes", "10.96.0.10", kUdp,
                     WEFT_POD_CAPTURE_OUT, 0, true, WEFT_PASS, WEFT_CONNECT_PASS_NOT_TCP},
        OutboundCase{"without the dns flag tcp dns is captured as tcp", "10.96.0.10", kTcp,
                     WEFT_POD_CAPTURE_OUT, 0, true, WEFT_CAPTURE, WEFT_CONNECT_CAPTURED},
        OutboundCase{"ztunnel's own queries pass", "10.96.0.10", kUdp, kBoth, WEFT_SOCKET_OWNED,
                     true, WEFT_PASS, WEFT_CONNECT_PASS_OWNED}));

TEST(DecideOutbound, APodWithoutAFamilyDoesNotPassEverythingOfIt) {
  weft_pod pod{.flags = kBoth};
  std::ranges::copy(bytes_of("10.244.1.5"), pod.ip4);
  const auto ip = bytes_of("fd00:96::7");
  const weft_outbound question{.pod = &pod, .ip = ip.data(), .protocol = kTcp};
  EXPECT_EQ(weft_decide_outbound(&question).act, static_cast<std::uint32_t>(WEFT_CAPTURE));
}

struct InboundCase {
  const char* claim;
  const char* local;
  const char* remote;
  std::uint16_t port;
  bool enrolled;
  bool from_node;
  weft_act act;
  weft_counter counter;
};

class DecideInbound : public testing::TestWithParam<InboundCase> {};

TEST_P(DecideInbound, ActsAndCountsAsClaimed) {
  const InboundCase& c = GetParam();
  const auto local = bytes_of(c.local);
  const auto remote = bytes_of(c.remote);
  const weft_inbound question{.local_ip = local.data(),
                              .remote_ip = remote.data(),
                              .local_port = c.port,
                              .enrolled = c.enrolled,
                              .from_node = c.from_node};
  const weft_decision decision = weft_decide_inbound(&question);
  EXPECT_EQ(decision.act, static_cast<std::uint32_t>(c.act)) << c.claim;
  EXPECT_EQ(decision.counter, static_cast<std::uint32_t>(c.counter)) << c.claim;
}

INSTANTIATE_TEST_SUITE_P(
    Table, DecideInbound,
    testing::Values(InboundCase{"any port is steered", "10.244.1.5", "10.244.2.9", 8080, true,
                                false, WEFT_STEER, WEFT_INBOUND_STEERED},
                    InboundCase{"v6 is steered", "fd00:244:1::5", "fd00:244:2::9", 22, true, false,
                                WEFT_STEER, WEFT_INBOUND_STEERED},
                    InboundCase{"even 15006", "10.244.1.5", "10.244.2.9", 15006, true, false,
                                WEFT_STEER, WEFT_INBOUND_STEERED},
                    InboundCase{"15008 passes", "10.244.1.5", "10.244.2.9", 15008, true, false,
                                WEFT_PASS, WEFT_INBOUND_PASS_HBONE},
                    InboundCase{"an address that nobody enrolled is refused", "10.244.1.6",
                                "10.244.2.9", 80, false, false, WEFT_DROP,
                                WEFT_INBOUND_DROPPED_UNKNOWN},
                    InboundCase{"15008 on it, too", "10.244.1.6", "10.244.2.9", 15008, false, false,
                                WEFT_DROP, WEFT_INBOUND_DROPPED_UNKNOWN},
                    InboundCase{"the pod to its loopback passes", "127.0.0.1", "10.244.1.5", 80,
                                false, false, WEFT_PASS, WEFT_INBOUND_PASS_LOCAL},
                    InboundCase{"the pod to its own further address passes", "10.9.0.1", "10.9.0.1",
                                80, false, false, WEFT_PASS, WEFT_INBOUND_PASS_LOCAL},
                    InboundCase{"127/8 passes", "10.244.1.5", "127.8.8.8", 80, true, false,
                                WEFT_PASS, WEFT_INBOUND_PASS_LOCAL},
                    InboundCase{"::1 passes", "fd00:244:1::5", "::1", 80, true, false, WEFT_PASS,
                                WEFT_INBOUND_PASS_LOCAL},
                    InboundCase{"the pod itself passes", "10.244.1.5", "10.244.1.5", 80, true,
                                false, WEFT_PASS, WEFT_INBOUND_PASS_LOCAL},
                    InboundCase{"the node passes", "10.244.1.5", "172.31.0.1", 80, true, true,
                                WEFT_PASS, WEFT_INBOUND_PASS_NODE},
                    InboundCase{"but not to who believes PROXY headers", "10.244.1.5",
                                "172.31.0.1", WEFT_PORT_WAYPOINT, true, true, WEFT_STEER,
                                WEFT_INBOUND_STEERED},
                    InboundCase{"ztunnel reaches that one on loopback", "127.0.0.1", "127.8.8.8",
                                WEFT_PORT_WAYPOINT, false, false, WEFT_PASS,
                                WEFT_INBOUND_PASS_LOCAL},
                    InboundCase{"the node's mark does not enrol", "10.244.1.6", "172.31.0.1", 80,
                                false, true, WEFT_DROP, WEFT_INBOUND_DROPPED_UNKNOWN},
                    InboundCase{"a neighbour by link-local address is reset", "fe80::1", "fe80::2",
                                80, false, false, WEFT_DROP, WEFT_INBOUND_DROPPED_UNKNOWN},
                    InboundCase{"a pod may call its own link-local address", "fe80::1", "fe80::1",
                                80, false, false, WEFT_PASS, WEFT_INBOUND_PASS_LOCAL}));

TEST(DecideBind, TheMeshsPortsAreForTheAgentAloneInAnEnrolledPod) {
  const weft_pod enrolled = pod_with(kBoth);
  const weft_pod released = pod_with(0);
  for (const std::uint16_t port : {15001, 15006, 15008, 15053}) {
    EXPECT_FALSE(weft_may_bind(&enrolled, port, 0)) << port;
    EXPECT_TRUE(weft_may_bind(&enrolled, port, WEFT_SOCKET_OWNED)) << port;
    EXPECT_TRUE(weft_may_bind(&released, port, 0)) << port;
    EXPECT_TRUE(weft_may_bind(nullptr, port, 0)) << port;
  }
  for (const std::uint16_t port : {0, 80, 15000, 15002, 65535})
    EXPECT_TRUE(weft_may_bind(&enrolled, port, 0)) << port;
}

TEST(DecideTruth, LoopbackIsShownAsThePodsAddressOfTheSameFamily) {
  const weft_pod pod = pod_with(kBoth);
  const auto shown = [&](const weft_pod* of, const char* local) {
    const auto bytes = bytes_of(local);
    return IpAddress::from_bytes({weft_shown_local(of, bytes.data()), 16})->str();
  };
  EXPECT_EQ(shown(&pod, "127.0.0.1"), "10.244.1.5");
  EXPECT_EQ(shown(&pod, "::1"), "fd00:244:1::5");
  EXPECT_EQ(shown(&pod, "10.244.1.5"), "10.244.1.5");
  EXPECT_EQ(shown(nullptr, "127.0.0.1"), "127.0.0.1");
  weft_pod only4 = pod;
  std::ranges::fill(only4.ip6, 0);
  EXPECT_EQ(shown(&only4, "::1"), "::1");
}

TEST(DecideAddress, MappingAVersion4AddressGivesTheFormOfTheMapKeys) {
  std::array<std::uint8_t, 16> mapped;
  weft_map_v4(mapped.data(), inet_addr("10.1.2.3"));
  EXPECT_EQ(mapped, bytes_of("10.1.2.3"));
  EXPECT_TRUE(weft_ip_is_v4(mapped.data()));
  EXPECT_EQ(weft_word(mapped.data(), 3), inet_addr("10.1.2.3"));
}

TEST(DecideAddress, OnlyPort53IsTheDomainPort) {
  EXPECT_TRUE(weft_is_domain_port(htons(53)));
  EXPECT_FALSE(weft_is_domain_port(htons(5353)));
  EXPECT_FALSE(weft_is_domain_port(htons(53 << 8)));
}

}  // namespace
}  // namespace weft
