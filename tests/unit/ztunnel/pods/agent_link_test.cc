// AgentLink against a small agent on a real SOCK_SEQPACKET socket.
#include "ztunnel/pods/agent_link.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>
#include <filesystem>

#include "weft/zds.pb.h"
#include "ztunnel/io/make_loop.h"
#include "ztunnel/io/ops.h"
#include "ztunnel/io/run.h"

namespace weft::pods {
namespace {

using namespace std::chrono_literals;
namespace pb = istio::workload::zds;

class Agent {
 public:
  Agent() : path_(::testing::TempDir() + "weft-agent-" + std::to_string(::getpid()) + ".sock") { listen(); }
  ~Agent() { ::unlink(path_.c_str()); }

  void listen() {
    ::unlink(path_.c_str());
    listener_.reset(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strcpy(address.sun_path, path_.c_str());  // NOLINT
    EXPECT_EQ(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    EXPECT_EQ(::listen(listener_.get(), 4), 0);
  }
  bool accept() {
    link_.reset(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    return link_.valid();
  }
  void die() {
    link_.reset();
    listener_.reset();
    ::unlink(path_.c_str());
  }
  void hang_up() { link_.reset(); }

  void send(const std::string& bytes, std::size_t descriptors = 0) {
    std::vector<Fd> open;
    for (std::size_t i = 0; i < descriptors; ++i) open.emplace_back(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    iovec piece{const_cast<char*>(bytes.data()), bytes.size()};
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    std::vector<char> control(CMSG_SPACE(descriptors * sizeof(int)));
    if (descriptors > 0) {
      message.msg_control = control.data();
      message.msg_controllen = control.size();
      cmsghdr* part = CMSG_FIRSTHDR(&message);
      part->cmsg_level = SOL_SOCKET;
      part->cmsg_type = SCM_RIGHTS;
      part->cmsg_len = CMSG_LEN(descriptors * sizeof(int));
      for (std::size_t i = 0; i < descriptors; ++i) {
        const int fd = open[i].get();
        std::memcpy(CMSG_DATA(part) + i * sizeof(int), &fd, sizeof(int));
      }
    }
    EXPECT_GE(::sendmsg(link_.get(), &message, MSG_NOSIGNAL), 0);
  }
  void send(const pb::WorkloadRequest& request, std::size_t descriptors = 0) { send(request.SerializeAsString(), descriptors); }

  std::optional<std::string> receive() {
    std::string bytes(2048, '\0');
    const auto got = ::recv(link_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
    if (got <= 0) return std::nullopt;
    bytes.resize(static_cast<std::size_t>(got));
    return bytes;
  }
  const std::string& path() const { return path_; }

 private:
  const std::string path_;
  Fd listener_, link_;
};

struct Listener final : PodListener {
  std::vector<std::string> added, deleted;
  std::string refusal;
  Parsed<void> on_add(const Pod& pod, PodSockets sockets) override {
    EXPECT_TRUE(sockets.loops.at(0).hbone);
    if (!refusal.empty()) return problem(refusal);
    added.push_back(pod.uid);
    return {};
  }
  void on_delete(std::string_view uid, bool) override { deleted.emplace_back(uid); }
};

pb::WorkloadRequest add_of(const std::string& uid) {
  pb::WorkloadRequest out;
  out.mutable_add()->set_uid(uid);
  out.mutable_add()->mutable_workload_info()->set_name(uid);
  out.mutable_add()->mutable_workload_info()->set_namespace_("ns");
  for (const auto kind : {pb::OUTBOUND_V4, pb::INBOUND, pb::HBONE}) out.mutable_add()->mutable_weft()->add_kinds(kind);
  return out;
}
pb::WorkloadRequest sent() {
  pb::WorkloadRequest out;
  out.mutable_snapshot_sent();
  return out;
}
pb::WorkloadRequest keep_of(const std::string& uid) {
  pb::WorkloadRequest out;
  out.mutable_keep()->set_uid(uid);
  return out;
}
pb::WorkloadRequest delete_of(const std::string& uid) {
  pb::WorkloadRequest out;
  out.mutable_del()->set_uid(uid);
  return out;
}

class AgentLinkTest : public ::testing::Test {
 protected:
  AgentLinkTest() : loop_(*io::make_epoll_loop()), link_(*loop_, {agent_.path(), 1, true}, listener_) {}

  // Runs `story` beside the link, then stops the link.
  void play(io::Task<void> story) { io::run_until_done(*loop_, both(std::move(story))); }

  io::Task<void> both(io::Task<void> story) {
    io::Scope scope;
    scope.spawn(link_.run());
    co_await story;
    link_.stop();
    co_await scope.join();
  }
  io::Task<std::string> next() {
    std::optional<std::string> got;
    for (int i = 0; i < 500 && !got; ++i) {
      got = agent_.receive();
      if (!got) co_await io::sleep_for(*loop_, 2ms);
    }
    EXPECT_TRUE(got) << "the link said nothing";
    co_return got.value_or("");
  }
  io::Task<void> accepted() {
    bool here = false;
    for (int i = 0; i < 1000 && !here; ++i) {
      here = agent_.accept();
      if (!here) co_await io::sleep_for(*loop_, 2ms);
    }
    EXPECT_TRUE(here) << "the link did not come";
    const auto hello = co_await next();
    pb::ZdsHello parsed;
    EXPECT_TRUE(parsed.ParseFromString(hello));
    EXPECT_EQ(parsed.version(), pb::V1);
  }
  // Sends, and returns the error of the Ack.
  io::Task<std::string> acked(pb::WorkloadRequest request, std::size_t descriptors = 0) {
    agent_.send(request, descriptors);
    const auto bytes = co_await next();
    pb::WorkloadResponse response;
    EXPECT_TRUE(response.ParseFromString(bytes));
    EXPECT_TRUE(response.has_ack());
    co_return response.ack().error();
  }

  Agent agent_;
  Listener listener_;
  std::unique_ptr<io::Loop> loop_;
  AgentLink link_;
};

class SnapshotThenIncrements : public AgentLinkTest {
 protected:
  io::Task<void> story() {
    co_await accepted();
    const auto a = co_await acked(add_of("a"), 4);
    EXPECT_EQ(a, "");
    EXPECT_FALSE(link_.ready());
    const auto end = co_await acked(sent());
    EXPECT_EQ(end, "");
    EXPECT_TRUE(link_.ready());
    EXPECT_EQ(link_.state(), AgentLink::State::kLive);
    const auto b = co_await acked(add_of("b"), 4);
    EXPECT_EQ(b, "");
    const auto gone = co_await acked(delete_of("a"));
    EXPECT_EQ(gone, "");
  }
};
TEST_F(SnapshotThenIncrements, AreAcknowledgedOneByOne) {
  play(story());
  EXPECT_EQ(listener_.added, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(listener_.deleted, std::vector<std::string>{"a"});
  EXPECT_EQ(link_.counters().active, 1u);
}

class Reconcile : public AgentLinkTest {
 protected:
  io::Task<void> story() {
    co_await accepted();
    for (const char* uid : {"a", "b", "c"}) co_await acked(add_of(uid), 4);
    co_await acked(sent());
    agent_.die();
    co_await io::sleep_for(*loop_, 30ms);
    EXPECT_TRUE(listener_.deleted.empty()) << "a dead agent takes no pod with it";
    EXPECT_TRUE(link_.ready());
    agent_.listen();
    co_await accepted();
    co_await acked(add_of("a"), 4);  // with fresh listeners
    const auto kept = co_await acked(keep_of("b"));  // it goes on with its sockets
    EXPECT_EQ(kept, "");
    const auto unknown = co_await acked(keep_of("d"));
    EXPECT_NE(unknown, "") << "the agent is to send its sockets";
    EXPECT_TRUE(listener_.deleted.empty()) << "not before the snapshot is whole";
    co_await acked(sent());
  }
};
TEST_F(Reconcile, AfterARestartOfTheAgentOnlyVanishedPodsGo) {
  play(story());
  EXPECT_EQ(listener_.added, (std::vector<std::string>{"a", "b", "c", "a"}));
  EXPECT_EQ(listener_.deleted, std::vector<std::string>{"c"});
  EXPECT_EQ(link_.pods().size(), 2u);
}

class Refusals : public AgentLinkTest {
 protected:
  io::Task<void> story() {
    co_await accepted();
    const auto few = co_await acked(add_of("a"), 2);
    EXPECT_NE(few, "");
    listener_.refusal = "no room";
    const auto refused = co_await acked(add_of("a"), 4);
    EXPECT_EQ(refused, "no room");
    co_await acked(sent());
    EXPECT_FALSE(link_.ready()) << "a pod is pending";
    const auto stray = co_await acked(keep_of("a"), 1);
    EXPECT_NE(stray, "");
    agent_.send(std::string("\xff\xff"));
    const auto noise = co_await next();
    EXPECT_NE(noise, "");
    listener_.refusal.clear();
    const auto again = co_await acked(add_of("a"), 4);
    EXPECT_EQ(again, "");
    EXPECT_TRUE(link_.ready());
  }
};
TEST_F(Refusals, AreAckedWithTheReasonAndTheOldStateStays) {
  play(story());
  EXPECT_EQ(listener_.added, std::vector<std::string>{"a"});
  EXPECT_EQ(link_.counters().messages_malformed, 1u);
}

class Asking : public AgentLinkTest {
 protected:
  void ask(const std::string& uid) {
    link_.ask({.uid = uid, .count = 3}, [this](const SocketAsk& ask, Result<std::vector<Fd>> sockets) {
      answers_.push_back(ask.uid + (sockets ? " " + std::to_string(sockets->size()) : " " + std::string(to_string(sockets.error().code))));
    });
  }
  io::Task<std::uint64_t> asked() {
    const auto bytes = co_await next();
    pb::WorkloadResponse response;
    EXPECT_TRUE(response.ParseFromString(bytes));
    EXPECT_TRUE(response.has_socket_request());
    EXPECT_EQ(response.socket_request().count(), 3u);
    co_return response.socket_request().id();
  }
  io::Task<void> story() {
    ask("early");
    co_await accepted();
    co_await acked(sent());
    ask("a");
    const auto id = co_await asked();
    pb::WorkloadRequest grant;
    grant.mutable_grant()->set_id(id);
    agent_.send(grant, 3);
    ask("b");
    const auto second = co_await asked();
    grant.mutable_grant()->set_id(second);
    grant.mutable_grant()->set_error("no such pod");
    agent_.send(grant, 0);
    ask("c");
    co_await asked();
    co_await io::sleep_for(*loop_, 10ms);
    agent_.hang_up();
    co_await io::sleep_for(*loop_, 30ms);
  }
  std::vector<std::string> answers_;
};
TEST_F(Asking, EveryAskIsAnsweredOnce) {
  play(story());
  EXPECT_EQ(answers_, (std::vector<std::string>{"early " + std::string(to_string(Code::kClosed)), "a 3",
                                                "b " + std::string(to_string(Code::kSystem)),
                                                "c " + std::string(to_string(Code::kClosed))}));
}

}  // namespace
}  // namespace weft::pods
