// connect() in an enrolled pod: what is captured, what passes, what is refused.
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>

#include <chrono>

#include "tests/bpf/world.h"

namespace weft::bpf_test {
namespace {

constexpr const char* kService4 = "10.96.0.7";  // nobody has it: reached only by capture
constexpr const char* kService6 = "fd00:96::7";

class Outbound : public World, public testing::WithParamInterface<Form> {
 protected:
  Form form() const { return GetParam(); }
  SocketAddress service() const { return at(form() == Form::kV6 ? kService6 : kService4, 8080); }
  const char* pod_ip() const { return form() == Form::kV6 ? kPod6 : kPod4; }
  const char* neighbour_ip() const { return form() == Form::kV6 ? kNeighbour6 : kNeighbour4; }
  const Fd& listener() const {
    return form() == Form::kV6 ? ztunnel_.outbound6 : ztunnel_.outbound4;
  }
};
INSTANTIATE_TEST_SUITE_P(Forms, Outbound, testing::Values(Form::kV4, Form::kV6, Form::kMapped),
                         [](const auto& form) { return name_of(form.param); });

TEST_P(Outbound, ACapturedConnectReachesZtunnelWithItsOriginalDestination) {
  enrol_outbound();
  const InNetns here(pod_);
  const Fd app = stream_socket(form());
  ASSERT_EQ(connect_to(app, service(), form()), 0);
  const Fd taken = accept_from(listener());
  ASSERT_TRUE(taken);
  EXPECT_EQ(original_of(taken, form() == Form::kV6 ? SOL_IPV6 : SOL_IP), service().str());
  EXPECT_TRUE(echoes(app, taken));
  EXPECT_EQ(counted(WEFT_CONNECT_CAPTURED), 1u);
  EXPECT_EQ(entries_of("weft_flows"), 0u);
}

TEST_P(Outbound, TheApplicationSeesThePeerItAskedForAndItsPodsAddress) {
  enrol_outbound();
  const InNetns here(pod_);
  const Fd app = stream_socket(form());
  ASSERT_EQ(connect_to(app, service(), form()), 0);
  SocketAddress wire;
  const Fd taken = accept_from(listener(), &wire);
  EXPECT_EQ(peer_of(app), service().str());
  EXPECT_EQ(local_of(app), (SocketAddress{*IpAddress::parse(pod_ip()), wire.port}.str()));
  EXPECT_TRUE(wire.ip.is_loopback());
}

TEST_P(Outbound, ANonblockingConnectIsCapturedTheSame) {
  enrol_outbound();
  const InNetns here(pod_);
  const Fd app = stream_socket(form());
  fcntl(app.get(), F_SETFL, O_NONBLOCK);
  const int started = connect_to(app, service(), form());
  EXPECT_TRUE(started == 0 || started == -ETIMEDOUT) << started;  // done at once, or EINPROGRESS
  pollfd wait{.fd = app.get(), .events = POLLOUT};
  ASSERT_EQ(poll(&wait, 1, kWaitMs), 1);
  int error = -1;
  socklen_t length = sizeof(error);
  getsockopt(app.get(), SOL_SOCKET, SO_ERROR, &error, &length);
  EXPECT_EQ(error, 0);
  EXPECT_EQ(peer_of(app), service().str());
  EXPECT_TRUE(accept_from(listener()));
}

TEST_P(Outbound, ASocketBoundToThePodsAddressIsCaptured) {
  enrol_outbound();
  const InNetns here(pod_);
  const Fd app = stream_socket(form());
  ASSERT_EQ(bind_to(app, at(pod_ip(), 0), form()), 0);
  ASSERT_EQ(connect_to(app, service(), form()), 0);
  const Fd taken = accept_from(listener());
  ASSERT_TRUE(taken);
  EXPECT_EQ(original_of(taken, form() == Form::kV6 ? SOL_IPV6 : SOL_IP), service().str());
  EXPECT_TRUE(echoes(app, taken));
}

TEST_P(Outbound, ASocketBoundToADeviceIsCaptured) {
  enrol_outbound();
  const InNetns here(pod_);
  const Fd app = stream_socket(form());
  ASSERT_EQ(setsockopt(app.get(), SOL_SOCKET, SO_BINDTODEVICE, "eth0", 5), 0);
  ASSERT_EQ(connect_to(app, service(), form()), 0);
  EXPECT_TRUE(accept_from(listener()));
}

TEST_P(Outbound, OwnAddressPassesAndIsNoLoop) {
  enrol_outbound();
  const InNetns here(pod_);
  const Fd server = listen_at(at(pod_ip(), 8080));
  const Fd app = stream_socket(form());
  ASSERT_EQ(connect_to(app, at(pod_ip(), 8080), form()), 0);
  EXPECT_TRUE(accept_from(server));
  EXPECT_EQ(counted(WEFT_CONNECT_PASS_SELF), 1u);
}

TEST_P(Outbound, LoopbackPasses) {
  enrol_outbound();
  const InNetns here(pod_);
  const char* loopback = form() == Form::kV6 ? "::1" : "127.0.0.1";
  const Fd server = listen_at(at(loopback, 8080));
  const Fd app = stream_socket(form());
  ASSERT_EQ(connect_to(app, at(loopback, 8080), form()), 0);
  const Fd served = accept_from(server);
  ASSERT_TRUE(served);
  EXPECT_EQ(peer_of(app), at(loopback, 8080).str());
  EXPECT_TRUE(original_of(served, SOL_IP).starts_with("errno"));
  EXPECT_EQ(counted(WEFT_CONNECT_PASS_LOOPBACK), 1u);
}

TEST_P(Outbound, AnOwnedSocketPasses) {
  enrol_outbound();
  Fd server;
  {
    const InNetns there(neighbour_);
    server = listen_at(at(neighbour_ip(), 8080));
  }
  const InNetns here(pod_);
  const Fd dial = stream_socket(form());
  ASSERT_TRUE(datapath_->mark_owned(dial.get()));
  ASSERT_EQ(connect_to(dial, at(neighbour_ip(), 8080), form()), 0);
  EXPECT_TRUE(accept_from(server));
  EXPECT_EQ(counted(WEFT_CONNECT_PASS_OWNED), 1u);
}

TEST_P(Outbound, AnUnknownNetnsPasses) {
  enrol_outbound();
  Fd server;
  {
    const InNetns here(pod_);
    server = listen_at(at(pod_ip(), 8080));
  }
  const InNetns there(neighbour_);
  const Fd app = stream_socket(form());
  ASSERT_EQ(connect_to(app, at(pod_ip(), 8080), form()), 0);
  EXPECT_TRUE(accept_from(server));
  EXPECT_EQ(counted(WEFT_CONNECT_PASS_UNENROLLED), 1u);
}

TEST_P(Outbound, WithoutTheFlagItPasses) {
  enrol_outbound(0);
  Fd server;
  {
    const InNetns there(neighbour_);
    server = listen_at(at(neighbour_ip(), 8080));
  }
  const InNetns here(pod_);
  const Fd app = stream_socket(form());
  ASSERT_EQ(connect_to(app, at(neighbour_ip(), 8080), form()), 0);
  EXPECT_TRUE(accept_from(server));
}

TEST_P(Outbound, WithoutZtunnelAConnectIsRefusedAtOnceAndLeavesNothing) {
  enrol_outbound();
  ztunnel_ = {};
  const InNetns here(pod_);
  const auto start = std::chrono::steady_clock::now();
  const Fd app = stream_socket(form());
  EXPECT_EQ(connect_to(app, at(neighbour_ip(), 8080), form()), -ECONNREFUSED);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(500));
  EXPECT_EQ(entries_of("weft_flows"), 0u);
}

TEST_P(Outbound, WhenTheSocketsStorageCannotBeWrittenTheConnectIsRefused) {
  enrol_outbound();
  const InNetns here(pod_);
  write_file("/proc/sys/net/core/optmem_max", "0");
  const Fd app = stream_socket(form());
  EXPECT_EQ(connect_to(app, at(neighbour_ip(), 8080), form()), -ECONNREFUSED);
  EXPECT_EQ(counted(WEFT_CONNECT_REFUSED), 1u);
  EXPECT_FALSE(accept_from(listener(), nullptr, 50));
}

TEST_P(Outbound, ASocketCapturedOnceShowsThePlainPeerOfItsNextConnect) {
  enrol_outbound();
  const InNetns here(pod_);
  const char* loopback = form() == Form::kV6 ? "::1" : "127.0.0.1";
  const Fd server = listen_at(at(loopback, 8080));
  const Fd app = stream_socket(form());
  ASSERT_EQ(connect_to(app, service(), form()), 0);
  const sockaddr none{.sa_family = AF_UNSPEC};
  ASSERT_EQ(connect(app.get(), &none, sizeof(none)), 0);
  ASSERT_EQ(connect_to(app, at(loopback, 8080), form()), 0);
  EXPECT_EQ(peer_of(app), at(loopback, 8080).str());
  EXPECT_EQ(local_of(app).substr(0, local_of(app).rfind(':')),
            form() == Form::kV6 ? "[::1]" : "127.0.0.1");
}

TEST_P(Outbound, TwoPodsWithEqualTuplesDoNotMixUp) {
  enrol_outbound();
  const Fd other = bare_netns();
  ASSERT_TRUE(datapath_->set_pod(cookie_of(other),
                                 bpf::make_pod(IpAddress::parse("10.244.1.6"),
                                               IpAddress::parse("fd00:244:1::6"), kCaptureAll, 1)));
  const Ztunnel theirs = start_ztunnel(other);
  const int level = form() == Form::kV6 ? SOL_IPV6 : SOL_IP;
  const SocketAddress source{*IpAddress::parse(form() == Form::kV6 ? "::1" : "127.0.0.1"), 43210};
  Fd slow, first, mine;
  {
    const InNetns here(pod_);
    ztunnel_ = {};
    slow = listen_at({source.ip, WEFT_PORT_OUTBOUND}, 0, [this](const Fd& fd) {
      EXPECT_TRUE(datapath_->mark_owned(fd.get()));
    });
    first = stream_socket(form());  // fills the queue: the next SYN has to wait for its second try
    ASSERT_EQ(connect_to(first, service(), form()), 0);
    mine = stream_socket(form());
    ASSERT_EQ(bind_to(mine, source, form()), 0);
    start_connect(mine, {service().ip, 1111}, form());
    ASSERT_EQ(entries_of("weft_flows"), 1u);
  }
  const InNetns there(other);
  const Fd app = stream_socket(form());
  ASSERT_EQ(bind_to(app, source, form()), 0);
  ASSERT_EQ(connect_to(app, {service().ip, 2222}, form()), 0);
  EXPECT_EQ(
      original_of(accept_from(form() == Form::kV6 ? theirs.outbound6 : theirs.outbound4), level),
      (SocketAddress{service().ip, 2222}.str()));
  EXPECT_EQ(original_of(accept_from(slow), level), service().str());
  EXPECT_EQ(original_of(accept_from(slow), level), (SocketAddress{service().ip, 1111}.str()));
}

TEST_P(Outbound, AnMptcpSocketIsCaptured) {
  enrol_outbound();
  const InNetns here(pod_);
  const Fd app = stream_socket(form(), IPPROTO_MPTCP);
  if (!app) GTEST_SKIP() << "no MPTCP in this kernel";
  ASSERT_EQ(connect_to(app, service(), form()), 0);
  const Fd taken = accept_from(listener());
  ASSERT_TRUE(taken);
  EXPECT_EQ(original_of(taken, form() == Form::kV6 ? SOL_IPV6 : SOL_IP), service().str());
  EXPECT_TRUE(echoes(app, taken));
  EXPECT_EQ(peer_of(app), service().str());
  EXPECT_EQ(local_of(app).substr(0, local_of(app).rfind(':')),
            form() == Form::kV6 ? "[" + std::string(kPod6) + "]" : kPod4);
}

TEST_P(Outbound, AFastOpenSendIsCaptured) {
  enrol_outbound();
  const InNetns here(pod_);
  const Fd app = stream_socket(form());
  sockaddr_storage raw{};
  const socklen_t length = service().to_sockaddr(raw, family_of(form()));
  ASSERT_EQ(
      sendto(app.get(), "ping", 4, MSG_FASTOPEN, reinterpret_cast<const sockaddr*>(&raw), length),
      4)
      << errno;
  const Fd taken = accept_from(listener());
  ASSERT_TRUE(taken);
  EXPECT_EQ(original_of(taken, form() == Form::kV6 ? SOL_IPV6 : SOL_IP), service().str());
}

TEST_P(Outbound, UdpPasses) {
  enrol_outbound();
  Fd server;
  {
    const InNetns there(neighbour_);
    server = datagram_at(at(neighbour_ip(), 4433));
  }
  const InNetns here(pod_);
  const Fd app = datagram_socket(form());
  ASSERT_EQ(send_to(app, "hello", at(neighbour_ip(), 4433), form()), 0);
  SocketAddress from;
  EXPECT_EQ(receive_from(server, &from), "hello");
  EXPECT_EQ(from.ip.str(), pod_ip());
}

class OutboundDualStack : public World {};

TEST_F(OutboundDualStack, AConnectionBelongsToTheCgroupThatOpenedItsListenerWhoeverAccepts) {
  enrol_outbound();
  const InNetns here(pod_);
  const Fd app = stream_socket(Form::kV4);
  const std::string outside = cgroup_.substr(0, cgroup_.rfind('/'));
  write_file(outside + "/cgroup.procs", "0");
  const int connected = connect_to(app, at(kService4, 8080), Form::kV4);
  const Fd taken = accept_from(ztunnel_.outbound4);
  const std::string original = original_of(taken, SOL_IP);
  write_file(cgroup_ + "/cgroup.procs", "0");
  EXPECT_EQ(connected, 0);
  EXPECT_EQ(original, at(kService4, 8080).str());
}

TEST_F(OutboundDualStack, AV4ConnectionOnADualStackListenerHasItsOriginalDestinationAtBothLevels) {
  const InNetns here(pod_);
  ztunnel_ = {};
  const Fd listener = listen_at(at("::", WEFT_PORT_OUTBOUND));
  ASSERT_TRUE(datapath_->mark_owned(listener.get()));
  enrol_outbound();
  const Fd app = stream_socket(Form::kV4);
  ASSERT_EQ(connect_to(app, at(kService4, 8080), Form::kV4), 0);
  const Fd taken = accept_from(listener);
  ASSERT_TRUE(taken);
  EXPECT_EQ(original_of(taken, SOL_IP), at(kService4, 8080).str());
  EXPECT_EQ(original_of(taken, SOL_IPV6), at(kService4, 8080).str());
}

TEST_F(OutboundDualStack, SomebodyWhoDialsZtunnelsPortHimselfHasNoOriginalDestination) {
  enrol_outbound();
  const InNetns here(pod_);
  const Fd app = stream_socket(Form::kV4);
  ASSERT_EQ(connect_to(app, at("127.0.0.1", WEFT_PORT_OUTBOUND), Form::kV4), 0);
  const Fd taken = accept_from(ztunnel_.outbound4);
  ASSERT_TRUE(taken);
  EXPECT_TRUE(original_of(taken, SOL_IP).starts_with("errno"));
  EXPECT_EQ(counted(WEFT_FLOW_LOST), 1u);
}

}  // namespace
}  // namespace weft::bpf_test
