#include "agent/turn.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <filesystem>
#include <thread>

#include "agent/exchange.h"
#include "agent/reactor.h"
#include "agent/set_aside.h"
#include "world.h"

namespace weft::agent {
namespace {

using namespace std::chrono_literals;

// A directory of pins, a link's listener that becomes readable, a stop that becomes readable.
class TurnTest : public testing::Test {
 protected:
  void SetUp() override {
    pins_ = testing::TempDir() + "/pins";
    std::filesystem::remove_all(pins_);
    for (auto* pair : {&link_, &stop_}) {
      std::array<int, 2> ends{};
      ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
      *pair = {Fd(ends[0]), Fd(ends[1])};
    }
  }
  void TearDown() override { std::filesystem::remove_all(pins_); }

  static void touch(const std::array<Fd, 2>& pair) { ASSERT_EQ(::write(pair[1].get(), "x", 1), 1); }
  TurnOptions options(bool take_over) const {
    return {take_over, testing::TempDir() + "/turn.sock", link_[0].get(), stop_[0].get(), 100ms};
  }

  std::string pins_;
  std::array<Fd, 2> link_, stop_;
};

TEST_F(TurnTest, OneLeaseAtATimeAndADeadHoldersIsFree) {
  auto first = Lease::of(pins_);
  auto second = Lease::of(pins_);
  ASSERT_TRUE(first.has_value() && second.has_value());
  EXPECT_TRUE(*first->take());
  EXPECT_TRUE(*first->take()) << "again";
  EXPECT_FALSE(*second->take());
  first->give_up();
  EXPECT_TRUE(*second->take());
  EXPECT_FALSE(*first->take());
  {
    const Lease gone = std::move(*second);
  }
  EXPECT_TRUE(*first->take());
}

TEST_F(TurnTest, ADirectoryThatCannotBeNamesThePath) {
  const auto lease = Lease::of("/proc/nowhere/pins");
  ASSERT_FALSE(lease.has_value());
  EXPECT_NE(lease.error().text.find("/proc/nowhere/pins"), std::string::npos) << lease.error().text;
}

TEST_F(TurnTest, AloneItIsOurTurnAtOnce) {
  auto lease = Lease::of(pins_);
  const auto turn = wait_for_turn(*lease, options(true));
  ASSERT_TRUE(turn.has_value());
  EXPECT_EQ(*turn, Turn::kOurs);
  EXPECT_TRUE(lease->held());
}

TEST_F(TurnTest, BesideAnotherItIsARefusalUnlessWeTakeOver) {
  auto other = Lease::of(pins_);
  ASSERT_TRUE(*other->take());
  auto lease = Lease::of(pins_);
  touch(link_);
  const auto turn = wait_for_turn(*lease, options(false));
  ASSERT_FALSE(turn.has_value());
  EXPECT_NE(turn.error().text.find("--take-over"), std::string::npos) << turn.error().text;
}

TEST_F(TurnTest, ItEndsWhenItIsToldToWhileItWaits) {
  auto other = Lease::of(pins_);
  ASSERT_TRUE(*other->take());
  auto lease = Lease::of(pins_);
  std::jthread stopper([this] {
    std::this_thread::sleep_for(100ms);
    touch(stop_);
  });
  const auto turn = wait_for_turn(*lease, options(true));
  ASSERT_TRUE(turn.has_value());
  EXPECT_EQ(*turn, Turn::kStopped);
}

TEST_F(TurnTest, TheOtherIsAskedOnlyWhenOurZtunnelHasConnected) {
  auto other = Lease::of(pins_);
  ASSERT_TRUE(*other->take());
  std::atomic<bool> connected = false;
  std::atomic<int> asked = 0, too_early = 0;
  auto reactor = std::move(*Reactor::make());
  Exchange api(*reactor, *listen_unix(options(true).api_path), "\n", false,
               [&](std::string_view line) {
                 ++asked;
                 if (!connected) ++too_early;
                 EXPECT_EQ(line, R"({"cmd":"step-aside"})");
                 other->give_up();
                 return std::string(R"({"state":"aside"})") + "\n";
               });
  std::thread serving([&] { reactor->run(); });
  std::thread connecting([&] {
    std::this_thread::sleep_for(200ms);
    connected = true;
    touch(link_);
  });
  auto lease = Lease::of(pins_);
  const auto turn = wait_for_turn(*lease, options(true));
  connecting.join();
  reactor->stop();
  serving.join();
  ASSERT_TRUE(turn.has_value());
  EXPECT_EQ(*turn, Turn::kOurs);
  EXPECT_EQ(asked, 1);
  EXPECT_EQ(too_early, 0);
}

TEST(SetAside, ChangesNothingInTheKernelAndStillMarksSockets) {
  testing_world::RecordingKernel kernel;
  SetAside ours(kernel);
  const IpAddress ip = IpAddress::v4({10, 0, 0, 1});
  ASSERT_TRUE(ours.set_listener(ip, 3).has_value());
  ASSERT_TRUE(ours.set_pod(7, {ip}, false).has_value());
  const auto before = kernel.log;
  EXPECT_EQ(before, (std::vector<std::string>{"set_listener", "set_pod"}));

  ours.set_aside();
  const Netns netns{
      .fd = std::make_shared<const Fd>(testing_world::any_fd()), .cookie = 7, .inode = 8};
  EXPECT_TRUE(capture_pod(ours, netns, {ip}, true, 3).has_value());
  EXPECT_TRUE(release_pod(ours, 7, 8, {ip}).has_value());
  EXPECT_EQ(kernel.log, before);
  EXPECT_TRUE(*ours.has_listener(ip));
  EXPECT_EQ(ours.pods()->size(), 1u);
  kernel.refuse.insert("mark_owned");
  EXPECT_FALSE(ours.mark_owned(3).has_value()) << "it was asked";
}

}  // namespace
}  // namespace weft::agent
