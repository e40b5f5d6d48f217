// DNS of an enrolled pod goes to ztunnel, and comes back from the server that was asked.
#include <netinet/in.h>

#include "tests/bpf/world.h"

namespace weft::bpf_test {
namespace {

class Dns : public World, public testing::WithParamInterface<Form> {
 protected:
  Form form() const { return GetParam(); }
  SocketAddress server() const { return at(form() == Form::kV6 ? "fd00:96::a" : "10.96.0.10", 53); }
  const char* pod_ip() const { return form() == Form::kV6 ? kPod6 : kPod4; }
  const Fd& resolver() const { return form() == Form::kV6 ? ztunnel_.dns6 : ztunnel_.dns4; }
  void enrol(std::uint32_t flags = kCaptureAll) {
    const IpAddress servers[] = {*IpAddress::parse("10.96.0.10"), *IpAddress::parse("fd00:96::a")};
    ASSERT_TRUE(datapath_->set_dns_ips(servers));
    enrol_outbound(flags);
    for (const char* route :
         {"route add default via 10.244.1.9", "-6 route add default via fd00:244:1::9"})
      ip(pod_, route);
  }
  // ztunnel answers the query that is waiting.
  void answer() {
    SocketAddress from;
    ASSERT_EQ(receive_from(resolver(), &from), "question");
    ASSERT_EQ(send_to(resolver(), "answer", from, form() == Form::kV6 ? Form::kV6 : Form::kV4), 0);
  }
};
INSTANTIATE_TEST_SUITE_P(Forms, Dns, testing::Values(Form::kV4, Form::kV6, Form::kMapped),
                         [](const auto& form) { return name_of(form.param); });

TEST_P(Dns, AConnectedSocketRoundTrips) {  // glibc
  enrol();
  const InNetns here(pod_);
  const Fd app = datagram_socket(form());
  ASSERT_EQ(connect_to(app, server(), form()), 0);
  EXPECT_EQ(peer_of(app), server().str());
  EXPECT_EQ(local_of(app).substr(0, local_of(app).rfind(':')),
            form() == Form::kV6 ? "[" + std::string(kPod6) + "]" : kPod4);
  ASSERT_EQ(send_to(app, "question", {}, form()), 0);
  answer();
  SocketAddress from;
  EXPECT_EQ(receive_from(app, &from), "answer");
  EXPECT_EQ(from.str(), server().str());
  EXPECT_EQ(counted(WEFT_DNS_CAPTURED), 1u);
}

TEST_P(Dns, AnUnconnectedSocketRoundTrips) {  // musl
  enrol();
  const InNetns here(pod_);
  const Fd app = datagram_socket(form());
  ASSERT_EQ(send_to(app, "question", server(), form()), 0);
  answer();
  SocketAddress from;
  EXPECT_EQ(receive_from(app, &from), "answer");
  EXPECT_EQ(from.str(), server().str());
}

TEST_P(Dns, AnUnconnectedSocketStillTalksToOthers) {
  enrol();
  Fd other;
  {
    const InNetns there(neighbour_);
    other = datagram_at(at(form() == Form::kV6 ? kNeighbour6 : kNeighbour4, 53));
  }
  const InNetns here(pod_);
  const Fd app = datagram_socket(form());
  ASSERT_EQ(send_to(app, "question", server(), form()), 0);
  ASSERT_EQ(
      send_to(app, "elsewhere", at(form() == Form::kV6 ? kNeighbour6 : kNeighbour4, 53), form()),
      0);
  SocketAddress app_address;
  EXPECT_EQ(receive_from(other, &app_address), "elsewhere");
  EXPECT_EQ(app_address.ip.str(), pod_ip());
  {
    const InNetns there(neighbour_);
    ASSERT_EQ(send_to(other, "reply", app_address, form() == Form::kV6 ? Form::kV6 : Form::kV4), 0);
  }
  SocketAddress from;
  EXPECT_EQ(receive_from(app, &from), "reply");
  EXPECT_EQ(from.str(), at(form() == Form::kV6 ? kNeighbour6 : kNeighbour4, 53).str());
}

TEST_P(Dns, WithoutTheFlagItPasses) {
  enrol(WEFT_POD_CAPTURE_OUT);
  const InNetns here(pod_);
  const Fd app = datagram_socket(form());
  ASSERT_EQ(connect_to(app, server(), form()), 0);
  EXPECT_EQ(counted(WEFT_DNS_CAPTURED), 0u);
  EXPECT_EQ(local_of(app).substr(0, local_of(app).rfind(':')),
            form() == Form::kV6 ? "[" + std::string(kPod6) + "]" : kPod4);
}

TEST_P(Dns,
       ASocketThatAskedAServerAndThenConnectsElsewhereIsPlainAgain) {  // glibc's address sorting
  enrol();
  const InNetns here(pod_);
  const Fd app = datagram_socket(form());
  ASSERT_EQ(connect_to(app, server(), form()), 0);
  const SocketAddress elsewhere = at(form() == Form::kV6 ? kNeighbour6 : kNeighbour4, 443);
  const sockaddr none{.sa_family = AF_UNSPEC};
  ASSERT_EQ(connect(app.get(), &none, sizeof(none)), 0);
  ASSERT_EQ(connect_to(app, elsewhere, form()), 0);
  EXPECT_EQ(peer_of(app), elsewhere.str());
}

TEST_P(Dns, WithoutZtunnelAQueryIsRefusedNotLost) {
  enrol();
  ztunnel_ = {};
  const InNetns here(pod_);
  const Fd app = datagram_socket(form());
  ASSERT_EQ(connect_to(app, server(), form()), 0);
  ASSERT_EQ(send_to(app, "question", {}, form()), 0);
  EXPECT_EQ(receive_from(app), "errno 111");
}

TEST_P(Dns, AQueryOfZtunnelsOwnSocketPasses) {
  enrol();
  const InNetns here(pod_);
  const Fd own = datagram_socket(form());
  ASSERT_TRUE(datapath_->mark_owned(own.get()));
  ASSERT_EQ(send_to(own, "question", server(), form()), 0);
  EXPECT_EQ(counted(WEFT_DNS_CAPTURED), 0u);
}

class DnsTcp : public World {};

TEST_F(DnsTcp, TcpToTheServerReachesTheDnsListenerWithItsOriginalDestination) {
  const IpAddress servers[] = {*IpAddress::parse("10.96.0.10")};
  ASSERT_TRUE(datapath_->set_dns_ips(servers));
  enrol_outbound();
  const InNetns here(pod_);
  const Fd app = stream_socket(Form::kV4);
  ASSERT_EQ(connect_to(app, at("10.96.0.10", 53), Form::kV4), 0);
  const Fd taken = accept_from(ztunnel_.dns_tcp4);
  ASSERT_TRUE(taken);
  EXPECT_EQ(original_of(taken, SOL_IP), "10.96.0.10:53");
  EXPECT_EQ(peer_of(app), "10.96.0.10:53");
}

}  // namespace
}  // namespace weft::bpf_test
