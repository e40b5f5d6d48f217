// What applications and ztunnel are told about the other end, and what stays untouched.
#include <linux/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/utsname.h>

#include <cstdio>
#include <thread>
#include <vector>

#include "tests/bpf/world.h"

namespace weft::bpf_test {
namespace {

// ztunnel's dial to the application: to the pod's own address, from 127/8 or, with IPv6, from the
// address itself (a reset to ::1 would be lost).
class Client : public World, public testing::WithParamInterface<Form> {
 protected:
  Form form() const { return GetParam(); }
  bool v6() const { return form() == Form::kV6; }
  SocketAddress client() const {
    return v6() ? at("fd00:244:2::77", 5555) : at("10.244.2.77", 5555);
  }
  SocketAddress server_address(std::uint16_t port = 8080) const {
    return at(v6() ? kPod6 : kPod4, port);
  }
  // kMapped: a dual-stack application listener that accepts v4.
  Fd listen_app() const {
    return form() == Form::kMapped ? listen_at(at("::", 8080)) : listen_at(server_address());
  }
  Form wire() const { return v6() ? Form::kV6 : Form::kV4; }
  SocketAddress source() const { return v6() ? at(kPod6, 0) : at("127.3.4.5", 0); }
};
INSTANTIATE_TEST_SUITE_P(Forms, Client, testing::Values(Form::kV4, Form::kV6, Form::kMapped),
                         [](const auto& form) { return name_of(form.param); });

TEST_P(Client, AcceptAndGetpeernameShowTheTrueClient) {
  enrol_outbound();
  enrol_inbound();
  const InNetns here(pod_);
  const Fd app = listen_app();
  const Fd dial = ztunnel_dial_socket(wire(), client());
  ASSERT_EQ(bind_to(dial, source(), wire()), 0);
  ASSERT_EQ(connect_to(dial, server_address(), wire()), 0);
  SocketAddress accepted;
  const Fd served = accept_from(app, &accepted);
  ASSERT_TRUE(served);
  EXPECT_EQ(accepted.str(), client().str());
  EXPECT_EQ(peer_of(served), client().str());
  EXPECT_EQ(local_of(served), server_address().str());
  EXPECT_TRUE(echoes(dial, served));
  EXPECT_EQ(entries_of("weft_flows"), 0u);
}

TEST_P(Client, APortThatTheApplicationUsesTowardsAnotherAddressDoesNotTakeTheClientsPlace) {
  enrol_outbound();
  const InNetns here(pod_);
  const SocketAddress source = at(v6() ? kPod6 : "127.0.0.1", 41000);
  const SocketAddress loopback = at(v6() ? "::1" : "127.0.0.1", 8080);
  const Fd pod_server = listen_at(server_address(), 0);
  const Fd loopback_server = listen_at(loopback);
  const Fd first =
      stream_socket(wire());  // fills the queue: the dial's SYN has to wait for its second try
  ASSERT_EQ(connect_to(first, server_address(), wire()), 0);
  const Fd dial = ztunnel_dial_socket(wire(), client());
  const Fd own = stream_socket(wire());
  for (const Fd* fd : {&dial, &own}) {
    const int on = 1;
    setsockopt(fd->get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    ASSERT_EQ(bind_to(*fd, source, wire()), 0);
  }
  start_connect(dial, server_address(), wire());
  ASSERT_EQ(entries_of("weft_flows"), 1u);
  ASSERT_EQ(connect_to(own, loopback, wire()), 0);
  EXPECT_EQ(peer_of(accept_from(loopback_server)), source.str());
  EXPECT_EQ(peer_of(accept_from(pod_server)), local_of(first));
  EXPECT_EQ(peer_of(accept_from(pod_server)), client().str());
}

TEST_P(Client, ARefusedDialLeavesNothing) {
  enrol_outbound();
  const InNetns here(pod_);
  const Fd dial = ztunnel_dial_socket(wire(), client());
  ASSERT_EQ(bind_to(dial, source(), wire()), 0);
  EXPECT_EQ(connect_to(dial, server_address(), wire()), -ECONNREFUSED);
  EXPECT_EQ(entries_of("weft_flows"), 0u);
}

TEST_P(Client, ADialThatIsNeverAcceptedLeavesNothing) {
  enrol_outbound();
  const InNetns here(pod_);
  const Fd full = listen_at(server_address(), 0);
  std::vector<Fd> dials;
  for (int i = 0; i < 5; ++i) {
    Fd dial = ztunnel_dial_socket(wire(), client());
    const timeval shortly{.tv_usec = 50'000};
    setsockopt(dial.get(), SOL_SOCKET, SO_SNDTIMEO, &shortly, sizeof(shortly));
    ASSERT_EQ(bind_to(dial, source(), wire()), 0);
    connect_to(dial, server_address(), wire());
    dials.push_back(std::move(dial));
  }
  EXPECT_GT(entries_of("weft_flows"), 0u);  // the queue of one is full: some wait
  dials.clear();
  EXPECT_EQ(entries_of("weft_flows"), 0u);
}

TEST_P(Client, AnMptcpListenerAcceptsAndShowsTheTrueClient) {  // Go's default since 1.24
  enrol_outbound();
  const InNetns here(pod_);
  const Fd app = stream_socket(form(), IPPROTO_MPTCP);
  if (!app) GTEST_SKIP() << "no MPTCP in this kernel";
  ASSERT_EQ(bind_to(app, v6() ? at("::", 8080) : at("0.0.0.0", 8080), form()), 0);
  ASSERT_EQ(listen(app.get(), 16), 0);
  const Fd dial = ztunnel_dial_socket(wire(), client());
  ASSERT_EQ(bind_to(dial, source(), wire()), 0);
  ASSERT_EQ(connect_to(dial, server_address(), wire()), 0);
  SocketAddress accepted;
  const Fd served = accept_from(app, &accepted);
  ASSERT_TRUE(served);
  EXPECT_EQ(accepted.str(), client().str());
  EXPECT_EQ(peer_of(served), client().str());
  EXPECT_TRUE(echoes(dial, served));
}

class Options : public World {};

TEST_F(Options, AnApplicationCannotClaimAClientEvenWithNetAdmin) {
  enrol_outbound();
  const InNetns here(pod_);
  const Fd app = stream_socket(Form::kV4);
  weft_address forged{};
  EXPECT_EQ(setsockopt(app.get(), SOL_WEFT, WEFT_SO_CLIENT, &forged, sizeof(forged)), -1);
  EXPECT_EQ(errno, ENOPROTOOPT);
  const Fd server = listen_at(at("127.0.0.1", 8080));
  ASSERT_EQ(connect_to(app, at("127.0.0.1", 8080), Form::kV4), 0);
  EXPECT_EQ(peer_of(accept_from(server)), local_of(app));
}

TEST_F(Options, AClientOfTheWrongSizeIsRefused) {
  const InNetns here(pod_);
  const Fd fd = stream_socket(Form::kV4);
  ASSERT_TRUE(datapath_->mark_owned(fd.get()));
  char wrong[64] = {};
  EXPECT_EQ(setsockopt(fd.get(), SOL_WEFT, WEFT_SO_CLIENT, wrong, 4), -1);
  EXPECT_EQ(setsockopt(fd.get(), SOL_WEFT, WEFT_SO_CLIENT, wrong, 64), -1);
  EXPECT_EQ(setsockopt(fd.get(), SOL_WEFT, 99, wrong, sizeof(weft_address)), -1);
}

// Since 6.5 the kernel ignores a hook that left a value longer than its page alone, so that nothing
// here could fail; before, such a call ended in EFAULT unless the hook had set optlen to 0.
bool kernel_passes_long_options() {
  utsname name{};
  int major = 0, minor = 0;
  if (uname(&name) != 0 || std::sscanf(name.release, "%d.%d", &major, &minor) != 2) return false;
  return major > 6 || (major == 6 && minor >= 5);
}

TEST_F(Options, OptionsLargerThanThePageOfTheHookAreUntouched) {
  if (kernel_passes_long_options()) GTEST_SKIP() << "this kernel passes them whatever a hook does";
  const InNetns here(pod_);
  const Fd fd = stream_socket(Form::kV4);
  std::vector<int> large(100'000 / sizeof(int), 0);
  large[0] = 50'000;
  ASSERT_EQ(setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, large.data(), 100'000), 0) << errno;
  socklen_t length = 100'000;
  ASSERT_EQ(getsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, large.data(), &length), 0) << errno;
  EXPECT_EQ(length, sizeof(int));
  EXPECT_EQ(large[0], 100'000);  // the kernel doubles it
}

TEST_F(Options, OrdinaryOptionsAreUntouched) {
  const InNetns here(pod_);
  const Fd fd = stream_socket(Form::kV6);
  int value = 1;
  ASSERT_EQ(setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &value, sizeof(value)), 0);
  value = 0;
  socklen_t length = sizeof(value);
  ASSERT_EQ(getsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &value, &length), 0);
  EXPECT_EQ(value, 1);
  tcp_info info{};
  length = sizeof(info);
  ASSERT_EQ(getsockopt(fd.get(), IPPROTO_TCP, TCP_INFO, &info, &length), 0);
  EXPECT_EQ(info.tcpi_state, TCP_CLOSE);
  EXPECT_EQ(setsockopt(fd.get(), SOL_SOCKET, 9999, &value, sizeof(value)), -1);
  EXPECT_EQ(errno, ENOPROTOOPT);
}

TEST_F(Options, ABufferTooSmallForTheOriginalDestinationIsNotOverrun) {
  enrol_outbound();
  const InNetns here(pod_);
  const Fd app = stream_socket(Form::kV4);
  ASSERT_EQ(connect_to(app, at("10.96.0.7", 80), Form::kV4), 0);
  const Fd taken = accept_from(ztunnel_.outbound4);
  char small[8] = {};
  socklen_t length = sizeof(small);
  EXPECT_EQ(getsockopt(taken.get(), SOL_IP, 80, small, &length), -1);
}

TEST_F(Options, CountersHaveANameEach) {
  for (int counter = 0; counter < WEFT_COUNTER_MAX; ++counter)
    EXPECT_NE(bpf::counter_name(static_cast<weft_counter>(counter)).hook, "unknown") << counter;
}

}  // namespace
}  // namespace weft::bpf_test
