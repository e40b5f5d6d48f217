#include "agent/link.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>
#include <filesystem>

#include "weft/zds.pb.h"
#include "world.h"

namespace weft::agent {
namespace {

using namespace std::chrono_literals;
namespace pb = istio::workload::zds;

struct Events : LinkEvents {
  std::vector<std::string> log;
  void on_hello(ConnectionId id, const zds::Hello& hello) override { log.push_back("hello " + std::to_string(id) + " loops " + std::to_string(hello.loops)); }
  void on_gone(ConnectionId id) override { log.push_back("gone " + std::to_string(id)); }
  void on_sockets_wanted(ConnectionId, const zds::SocketRequest& request) override { log.push_back("wants " + std::to_string(request.count)); }
};

class LinkTest : public testing::Test {
 protected:
  void SetUp() override {
    path_ = testing::TempDir() + "/weft-link-" + std::to_string(::getpid());
    reactor_ = std::move(*Reactor::make());
    link_ = std::make_unique<Link>(*reactor_, *Link::listen(path_, ::getuid(), ::getgid()), std::set<unsigned>{::getuid()}, events_);
  }
  void TearDown() override {
    link_.reset();
    std::filesystem::remove(path_);
  }
  void turns(int count = 5) {
    for (int i = 0; i < count; ++i) reactor_->turn(1ms);
  }
  Fd dial() {
    Fd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path_.c_str(), sizeof address.sun_path - 1);
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    return fd;
  }
  static void send(const Fd& fd, const google::protobuf::MessageLite& message) {
    const std::string bytes = message.SerializeAsString();
    EXPECT_EQ(::send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
  }
  static void greet(const Fd& fd) {
    pb::ZdsHello hello;
    hello.set_version(pb::V1);
    hello.mutable_weft()->set_loops(2);
    send(fd, hello);
  }
  static void ack(const Fd& fd, const std::string& error = "") {
    pb::WorkloadResponse response;
    response.mutable_ack()->set_error(error);
    send(fd, response);
  }
  static bool is_closed(const Fd& fd) {
    char buffer[2048];
    ssize_t got = 0;
    while ((got = ::recv(fd.get(), buffer, sizeof buffer, MSG_DONTWAIT)) > 0) {
    }
    return got == 0 || errno == ECONNRESET;
  }
  ZtunnelLink::Done into(std::vector<Outcome>& outcomes) {
    return [&outcomes](const Outcome& outcome) { outcomes.push_back(outcome); };
  }
  static Result<Outgoing> nothing_but(const char* uid) { return Outgoing{zds::encode_del(uid, false), {}}; }

  std::string path_;
  Events events_;
  std::unique_ptr<Reactor> reactor_;
  std::unique_ptr<Link> link_;
};

TEST_F(LinkTest, LetsOneRequestWaitForItsAckAtATime) {
  const Fd fd = dial();
  greet(fd);
  turns();
  ASSERT_EQ(link_->connections().size(), 1u);
  std::vector<Outcome> outcomes;
  int made = 0;
  for (int i = 0; i < 3; ++i) {
    link_->request(1, [&] { ++made; return nothing_but("u"); }, into(outcomes));
  }
  turns();
  EXPECT_EQ(made, 1);
  ack(fd);
  turns();
  EXPECT_EQ(made, 2);
  ack(fd, "no");
  turns();
  ack(fd);
  turns();
  ASSERT_EQ(outcomes.size(), 3u);
  EXPECT_EQ(outcomes[0].kind, Outcome::kDone);
  EXPECT_EQ(outcomes[1].kind, Outcome::kRefused);
  EXPECT_EQ(outcomes[1].text, "no");
  EXPECT_EQ(outcomes[2].kind, Outcome::kDone);
}

TEST_F(LinkTest, CarriesDescriptors) {
  const Fd fd = dial();
  greet(fd);
  turns();
  std::vector<Outcome> outcomes;
  link_->request(
      1,
      [] {
        Outgoing outgoing{zds::encode_del("u", false), {}};
        for (int i = 0; i < 17; ++i) outgoing.descriptors.push_back(std::make_shared<const Fd>(testing_world::any_fd()));
        return Result<Outgoing>(std::move(outgoing));
      },
      into(outcomes));
  turns();
  alignas(cmsghdr) char control[2048];
  char buffer[2048];
  iovec vector{buffer, sizeof buffer};
  msghdr message{.msg_iov = &vector, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  ASSERT_GT(::recvmsg(fd.get(), &message, MSG_CMSG_CLOEXEC), 0);
  const cmsghdr* part = CMSG_FIRSTHDR(&message);
  ASSERT_NE(part, nullptr);
  const std::size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
  EXPECT_EQ(count, 17u);
  for (std::size_t i = 0; i < count; ++i) {
    int got = -1;
    std::memcpy(&got, CMSG_DATA(part) + i * sizeof(int), sizeof got);
    const Fd owner(got);
    EXPECT_TRUE(owner.valid());
  }
}

TEST_F(LinkTest, SkipsARequestThatCouldNotBeMade) {
  const Fd fd = dial();
  greet(fd);
  turns();
  std::vector<Outcome> outcomes;
  link_->request(1, []() -> Result<Outgoing> { return fail(Code::kNotFound, "gone"); }, into(outcomes));
  link_->request(1, [] { return nothing_but("u"); }, into(outcomes));
  turns();
  ack(fd);
  turns();
  ASSERT_EQ(outcomes.size(), 2u);
  EXPECT_EQ(outcomes[0].kind, Outcome::kNotMade);
  EXPECT_EQ(outcomes[1].kind, Outcome::kDone);
}

TEST_F(LinkTest, LosesEverythingThatWaitsWhenZtunnelGoes) {
  Fd fd = dial();
  greet(fd);
  turns();
  std::vector<Outcome> outcomes;
  for (int i = 0; i < 3; ++i) link_->request(1, [] { return nothing_but("u"); }, into(outcomes));
  turns();
  fd.reset();
  turns();
  ASSERT_EQ(outcomes.size(), 3u);
  for (const auto& outcome : outcomes) EXPECT_EQ(outcome.kind, Outcome::kLost);
  EXPECT_EQ(events_.log.back(), "gone 1");
  link_->request(1, [] { return nothing_but("u"); }, into(outcomes));
  turns();
  EXPECT_EQ(outcomes.back().kind, Outcome::kLost);
}

TEST_F(LinkTest, ClosesOnlyTheConnectionThatBreaksTheRules) {
  const Fd good = dial();
  greet(good);
  turns();
  pb::WorkloadResponse uninvited;
  uninvited.mutable_ack();
  pb::WorkloadResponse greedy;
  greedy.mutable_socket_request()->set_uid("u");
  greedy.mutable_socket_request()->set_count(65);
  pb::ZdsHello plain;
  plain.set_version(pb::V1);
  const std::vector<std::string> after_hello = {uninvited.SerializeAsString(), greedy.SerializeAsString(), "\xff\xff", std::string(1025, 'x'), std::string(3000, 'x'), "\x12"};
  for (const auto& bytes : after_hello) {
    const Fd bad = dial();
    greet(bad);
    turns();
    ASSERT_EQ(::send(bad.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
    turns();
    EXPECT_TRUE(is_closed(bad)) << bytes.size();
  }
  for (const auto& bytes : {std::string("\xff"), plain.SerializeAsString(), std::string(1025, 'x')}) {
    const Fd bad = dial();
    ASSERT_EQ(::send(bad.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
    turns();
    EXPECT_TRUE(is_closed(bad));
  }
  EXPECT_FALSE(is_closed(good));
  EXPECT_EQ(link_->connections(), std::vector<ConnectionId>{1});
}

TEST_F(LinkTest, ClosesAConnectionThatSendsDescriptors) {
  const Fd bad = dial();
  greet(bad);
  turns();
  const Fd null = testing_world::any_fd();
  pb::WorkloadResponse response;
  response.mutable_socket_request()->set_uid("u");
  response.mutable_socket_request()->set_count(1);
  const std::string text = response.SerializeAsString();
  ASSERT_TRUE(send_packet(bad.get(), std::as_bytes(std::span(text)), std::vector<int>(20, null.get())));
  turns();
  EXPECT_TRUE(is_closed(bad));
  EXPECT_EQ(events_.log.back(), "gone 1");
}

TEST_F(LinkTest, HearsRequestsForSocketsAtAnyTime) {
  const Fd fd = dial();
  greet(fd);
  pb::WorkloadResponse response;
  response.mutable_socket_request()->set_uid("u");
  response.mutable_socket_request()->set_count(7);
  send(fd, response);
  turns();
  EXPECT_EQ(events_.log.back(), "wants 7");
}

TEST_F(LinkTest, TurnsStrangersAway) {
  Events events;
  const std::string path = path_ + "-strict";
  Link strict(*reactor_, *Link::listen(path, ::getuid(), ::getgid()), {4'000'000'000u}, events);
  std::swap(path_, const_cast<std::string&>(path));
  const Fd fd = dial();
  turns();
  EXPECT_TRUE(is_closed(fd));
  std::filesystem::remove(path_);
  std::swap(path_, const_cast<std::string&>(path));
}

TEST_F(LinkTest, BoundsTheNumberOfConnections) {
  std::vector<Fd> many;
  for (std::size_t i = 0; i < Link::kConnectionsMax + 2; ++i) {
    many.push_back(dial());
    greet(many.back());
    turns(2);
  }
  turns();
  EXPECT_EQ(link_->connections().size(), Link::kConnectionsMax);
  EXPECT_TRUE(is_closed(many.back()));
}

TEST_F(LinkTest, GivesUpOnAZtunnelThatReadsNothing) {
  const Fd fd = dial();
  greet(fd);
  turns();
  for (std::size_t i = 0; i < 4000 && !link_->connections().empty(); ++i) {
    link_->grant(1, {zds::encode_grant(i, std::string(200, 'e')), {}});
    turns(1);
  }
  EXPECT_TRUE(link_->connections().empty());
}

}  // namespace
}  // namespace weft::agent
