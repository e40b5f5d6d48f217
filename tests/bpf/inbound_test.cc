// sk_lookup in an enrolled pod's netns: who meets ztunnel, who passes, who is reset.
#include <fmt/format.h>
#include <netinet/in.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <fstream>

#include "tests/bpf/world.h"

namespace weft::bpf_test {
namespace {

class Inbound : public World, public testing::WithParamInterface<Form> {
 protected:
  Form form() const { return GetParam(); }
  const char* pod_ip() const { return form() == Form::kV6 ? kPod6 : kPod4; }
  const char* neighbour_ip() const { return form() == Form::kV6 ? kNeighbour6 : kNeighbour4; }
  Fd app_listener(std::uint16_t port) const {
    const InNetns here(pod_);
    return listen_at(at(pod_ip(), port));
  }
  Fd dial(const Fd& netns, std::uint16_t port, int* result) const {
    const InNetns there(netns);
    Fd fd = stream_socket(form());
    *result = connect_to(fd, at(pod_ip(), port), form());
    return fd;
  }
};
INSTANTIATE_TEST_SUITE_P(Forms, Inbound, testing::Values(Form::kV4, Form::kV6),
                         [](const auto& form) { return name_of(form.param); });

TEST_P(Inbound, AnyPortIsSteeredToZtunnelWhichSeesBothTrueAddresses) {
  const Fd app = app_listener(8080);
  enrol_inbound();
  for (const std::uint16_t port : {8080, 9, 15001, 15006}) {
    int result = 0;
    const Fd client = dial(neighbour_, port, &result);
    ASSERT_EQ(result, 0) << port;
    SocketAddress peer;
    const Fd taken = accept_from(ztunnel_.inbound, &peer);
    ASSERT_TRUE(taken) << port;
    EXPECT_EQ(local_of(taken), at(pod_ip(), port).str());
    EXPECT_EQ(peer.str(), local_of(client));
    EXPECT_TRUE(echoes(client, taken));
  }
  EXPECT_FALSE(accept_from(app, nullptr, 0));
  EXPECT_EQ(counted(WEFT_INBOUND_STEERED), 4u);
}

TEST_P(Inbound, WithoutAListenerItIsResetAtOnce) {
  const Fd app = app_listener(8080);
  enrol_inbound();
  ztunnel_ = {};  // closing empties the slots
  EXPECT_EQ(entries_of("weft_listeners"), 0u);
  const auto start = std::chrono::steady_clock::now();
  int result = 0;
  const Fd client = dial(neighbour_, 8080, &result);
  EXPECT_EQ(result, -ECONNREFUSED);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(500));
  EXPECT_FALSE(accept_from(app, nullptr, 0));
  EXPECT_EQ(counted(WEFT_INBOUND_DROPPED), 1u);
}

TEST_P(Inbound, AnAddressThatNobodyEnrolledIsReset) {
  const bool v6 = form() == Form::kV6;
  const char* further = v6 ? "fd00:244:1::77" : "10.244.1.77";
  ip(pod_, std::string("addr add ") + further + (v6 ? "/64 dev eth0 nodad" : "/24 dev eth0"));
  Fd app;
  {
    const InNetns here(pod_);
    app = listen_at(at(v6 ? "::" : "0.0.0.0", 8080));
  }
  enrol_inbound();
  {
    const InNetns there(neighbour_);
    const Fd client = stream_socket(form());
    EXPECT_EQ(connect_to(client, at(further, 8080), form()), -ECONNREFUSED);
  }
  EXPECT_FALSE(accept_from(app, nullptr, 0));
  EXPECT_EQ(counted(WEFT_INBOUND_DROPPED_UNKNOWN), 1u);
  const InNetns here(pod_);
  const Fd own = stream_socket(form());
  ASSERT_EQ(bind_to(own, at(further, 0), form()), 0);
  EXPECT_EQ(connect_to(own, at(further, 8080), form()), 0) << "the pod itself may";
}

TEST_P(Inbound, ThePodItselfPasses) {
  const Fd app = app_listener(8080);
  enrol_inbound();
  int result = 0;
  const Fd client = dial(pod_, 8080, &result);
  EXPECT_EQ(result, 0);
  EXPECT_TRUE(accept_from(app));
  EXPECT_EQ(counted(WEFT_INBOUND_PASS_LOCAL), 1u);
}

TEST_P(Inbound, ADialOfZtunnelsAndOneFromLoopbackPass) {
  const Fd app = app_listener(8080);
  enrol_inbound();
  const InNetns here(pod_);
  const bool v6 = form() == Form::kV6;
  for (const SocketAddress& source :
       {at(v6 ? pod_ip() : "127.77.0.1", 0), at(v6 ? "::1" : "127.0.0.1", 0)}) {
    const Fd fd = stream_socket(form());
    ASSERT_EQ(bind_to(fd, source, form()), 0);
    ASSERT_EQ(connect_to(fd, at(pod_ip(), 8080), form()), 0) << source.str();
    EXPECT_TRUE(accept_from(app)) << source.str();
  }
}

TEST_P(Inbound, AProcessOfTheNodePassesAndNobodyElseWithItsAddress) {
  const Fd app = app_listener(8080);
  enrol_inbound();
  int result = 0;
  std::uint16_t port = 0;
  {
    const AsNode kubelet(node_cgroup_, cgroup_);
    const Fd probe = dial(neighbour_, 8080, &result);
    EXPECT_EQ(result, 0);
    EXPECT_TRUE(accept_from(app));
    EXPECT_EQ(counted(WEFT_INBOUND_PASS_NODE), 1u);
    EXPECT_EQ(entries_of("weft_node_flows"), 1u);
    port = SocketAddress::parse(local_of(probe))->port;
  }
  EXPECT_EQ(entries_of("weft_node_flows"), 0u) << "an entry lives as long as its connection";

  // A pod of the host's network: the node's netns and address, a pod's cgroup. The port of before,
  // too.
  const InNetns there(neighbour_);
  const Fd client = stream_socket(form());
  ASSERT_EQ(setsockopt(client.get(), SOL_SOCKET, SO_REUSEADDR, &result, sizeof result), 0);
  (void)bind_to(client, at(neighbour_ip(), port), form());
  EXPECT_EQ(connect_to(client, at(pod_ip(), 8080), form()), 0);
  EXPECT_TRUE(accept_from(ztunnel_.inbound));
  EXPECT_FALSE(accept_from(app, nullptr, 0));
  EXPECT_EQ(counted(WEFT_INBOUND_PASS_NODE), 1u);
}

TEST_P(Inbound, ASynThatNoSocketOfTheNodeSentIsNotTheNodes) {
  // What a masquerade makes: the node's netns forwards for somebody else and puts its address in.
  const Fd app = app_listener(8080);
  enrol_inbound();
  const Fd outside = bare_netns();
  ip(neighbour_, fmt::format("link add out type veth peer name eth0 netns /proc/{}/fd/{}", getpid(),
                             outside.get()));
  const bool v6 = form() == Form::kV6;
  ip(neighbour_, "link set out up");
  ip(outside, "link set eth0 up");
  ip(neighbour_, v6 ? "addr add fd00:9::1/64 dev out nodad" : "addr add 10.9.0.1/24 dev out");
  ip(outside, v6 ? "addr add fd00:9::2/64 dev eth0 nodad" : "addr add 10.9.0.2/24 dev eth0");
  ip(outside, v6 ? "route add default via fd00:9::1" : "route add default via 10.9.0.1");
  {
    const InNetns there(neighbour_);
    write_file(v6 ? "/proc/sys/net/ipv6/conf/all/forwarding" : "/proc/sys/net/ipv4/ip_forward",
               "1");
    const std::string nft = fmt::format(
        "nft 'table {0} n {{ chain post {{ type nat hook postrouting priority 100; oifname eth0 "
        "masquerade; }}; }}'",
        v6 ? "ip6" : "ip");
    ASSERT_EQ(std::system(nft.c_str()), 0);
  }
  const AsNode even_then(node_cgroup_, cgroup_);
  int result = 0;
  const Fd client = dial(outside, 8080, &result);
  EXPECT_EQ(result, 0);
  SocketAddress peer;
  EXPECT_TRUE(accept_from(ztunnel_.inbound, &peer));
  EXPECT_EQ(peer.ip.str(), neighbour_ip());
  EXPECT_FALSE(accept_from(app, nullptr, 0));
  EXPECT_EQ(counted(WEFT_INBOUND_PASS_NODE), 0u);
}

TEST_P(Inbound, TheNodeDoesNotReachWhoBelievesProxyHeaders) {
  const Fd app = app_listener(WEFT_PORT_WAYPOINT);
  enrol_inbound();
  const AsNode kubelet(node_cgroup_, cgroup_);
  int result = 0;
  const Fd probe = dial(neighbour_, WEFT_PORT_WAYPOINT, &result);
  EXPECT_TRUE(accept_from(ztunnel_.inbound));
  EXPECT_EQ(counted(WEFT_INBOUND_PASS_NODE), 0u);
}

TEST_P(Inbound, HbonePasses) {
  const Fd hbone = app_listener(WEFT_PORT_HBONE);
  enrol_inbound();
  int result = 0;
  const Fd client = dial(neighbour_, WEFT_PORT_HBONE, &result);
  EXPECT_EQ(result, 0);
  EXPECT_TRUE(accept_from(hbone));
  EXPECT_EQ(counted(WEFT_INBOUND_PASS_HBONE), 1u);
}

TEST_P(Inbound, ConnectionsFromBeforeEnrolmentStay) {
  const Fd app = app_listener(8080);
  int result = 0;
  const Fd client = dial(neighbour_, 8080, &result);
  const Fd served = accept_from(app);
  enrol_outbound();
  enrol_inbound();
  EXPECT_TRUE(echoes(client, served));
}

TEST_P(Inbound, DetachingGivesThePortsBack) {
  const Fd app = app_listener(8080);
  enrol_inbound();
  ASSERT_TRUE(datapath_->detach_inbound(inode_of(pod_)));
  ASSERT_TRUE(datapath_->detach_inbound(inode_of(pod_)));  // again is success
  int result = 0;
  const Fd client = dial(neighbour_, 8080, &result);
  EXPECT_EQ(result, 0);
  EXPECT_TRUE(accept_from(app));
  EXPECT_TRUE(datapath_->inbound_netns()->empty());
}

TEST_P(Inbound, AReplacedListenerTakesOver) {
  enrol_inbound();
  Fd next;
  {
    const InNetns here(pod_);
    next = listen_at(at("::", 15106));
  }
  ASSERT_TRUE(datapath_->set_listener(*IpAddress::parse(pod_ip()), next.get()));
  int result = 0;
  const Fd client = dial(neighbour_, 8080, &result);
  EXPECT_EQ(result, 0);
  EXPECT_TRUE(accept_from(next));
}

TEST_P(Inbound, TheSlotOfAListenerThatClosedIsEmpty) {
  enrol_inbound();
  const auto ip = *IpAddress::parse(pod_ip());
  Fd next;
  {
    const InNetns here(pod_);
    next = listen_at(at("::", 15106));
  }
  ASSERT_TRUE(datapath_->set_listener(ip, next.get()));
  EXPECT_TRUE(datapath_->has_listener(ip).value());
  next.reset();
  EXPECT_FALSE(datapath_->has_listener(ip).value());
  EXPECT_FALSE(datapath_->has_listener(*IpAddress::parse("10.9.9.9")).value());
}

TEST_P(Inbound, UdpIsUntouched) {
  enrol_inbound();
  Fd server;
  {
    const InNetns here(pod_);
    server = datagram_at(at(pod_ip(), 4433));
  }
  const InNetns there(neighbour_);
  const Fd client = datagram_socket(form());
  ASSERT_EQ(send_to(client, "hello", at(pod_ip(), 4433), form()), 0);
  EXPECT_EQ(receive_from(server), "hello");
}

class InboundLinkLocal : public World {};

TEST_F(InboundLinkLocal, ANeighbourCannotGoAroundPolicyByALinkLocalAddress) {
  ip(pod_, "addr add fe80::5/64 dev eth0 nodad");
  ip(neighbour_, "addr add fe80::9/64 dev eth0 nodad");
  enrol_inbound();
  Fd app;
  {
    const InNetns here(pod_);
    app = listen_at(at("::", 8080));
  }
  const InNetns there(neighbour_);
  const Fd client = stream_socket(Form::kV6);
  ASSERT_EQ(setsockopt(client.get(), SOL_SOCKET, SO_BINDTODEVICE, "eth0", 5), 0);
  EXPECT_EQ(connect_to(client, at("fe80::5", 8080), Form::kV6), -ECONNREFUSED);
  EXPECT_EQ(counted(WEFT_INBOUND_DROPPED_UNKNOWN), 1u);
}

class MeshPorts : public World {};

TEST_F(MeshPorts, AnApplicationCannotJoinZtunnelsListenersOfAnEnrolledPod) {
  const InNetns here(pod_);
  const auto sharing = [](Form form) {
    Fd fd = stream_socket(form);
    const int one = 1;
    EXPECT_EQ(setsockopt(fd.get(), SOL_SOCKET, SO_REUSEPORT, &one, sizeof one), 0);
    return fd;
  };
  const auto join = [&](const char* ip, std::uint16_t port) {
    const Form form = std::string_view(ip).contains(':') ? Form::kV6 : Form::kV4;
    return bind_to(sharing(form), at(ip, port), form);
  };
  ztunnel_ = {};
  const Fd mesh = sharing(Form::kV4);  // as the agent's
  ASSERT_TRUE(datapath_->mark_owned(mesh.get()));
  ASSERT_EQ(bind_to(mesh, at("127.0.0.1", WEFT_PORT_OUTBOUND), Form::kV4), 0);
  ASSERT_EQ(listen(mesh.get(), 8), 0);
  EXPECT_EQ(join("127.0.0.1", WEFT_PORT_OUTBOUND), 0) << "of one user, and not enrolled";
  enrol_outbound();
  for (const char* ip : {"127.0.0.1", "0.0.0.0", "::1", "::"}) {
    for (const std::uint16_t port :
         {WEFT_PORT_OUTBOUND, WEFT_PORT_INBOUND, WEFT_PORT_HBONE, WEFT_PORT_DNS})
      EXPECT_EQ(join(ip, port), -EADDRINUSE) << ip << ' ' << port;
    EXPECT_EQ(join(ip, 8080), 0) << ip;
  }
  EXPECT_EQ(counted(WEFT_BIND_REFUSED), 16u);
  const Fd ours = sharing(Form::kV4);
  ASSERT_TRUE(datapath_->mark_owned(ours.get()));
  EXPECT_EQ(bind_to(ours, at("127.0.0.1", WEFT_PORT_OUTBOUND), Form::kV4), 0);
}

}  // namespace
}  // namespace weft::bpf_test
