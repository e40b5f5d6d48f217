#include "agent/enroller.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "world.h"

namespace weft::agent {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing_world::World;
using Log = std::vector<std::string>;

const Log kWayIn = {"add", "set_listener", "enroll_ip", "attach_inbound", "set_pod"};
const Log kWayOut = {"remove_pod", "detach_inbound", "withdraw_ip", "remove_listener", "del"};

// A world with one captured pod.
struct Captured : World {
  Captured() {
    places.put("u1", 1);
    want({pod("u1")});
    hello(1);
    link.answer_all();
    EXPECT_EQ(state("u1"), State::kCaptured);
    kernel.log.clear();
  }
};

TEST(Enroller, CapturesOutboundLastAndOnlyAfterZtunnelsYes) {
  World world;
  world.places.put("u1", 1);
  world.hello(1);
  world.want({});
  world.link.answer_all();
  world.kernel.log.clear();
  world.want({World::pod("u1")});
  EXPECT_EQ(world.state("u1"), State::kOffered);
  EXPECT_TRUE(world.kernel.log.empty());
  world.link.answer_all();
  EXPECT_EQ(world.kernel.log, kWayIn);
  EXPECT_EQ(world.state("u1"), State::kCaptured);
  EXPECT_TRUE(world.enroller.settled());
  EXPECT_EQ(world.enroller.counts().captured_total, 1u);
}

TEST(Enroller, ReleasesOutboundFirstAndTellsZtunnelLast) {
  Captured world;
  world.want({});
  EXPECT_EQ(world.kernel.log, Log(kWayOut.begin(), kWayOut.end() - 1));
  EXPECT_EQ(world.state("u1"), State::kDraining);
  world.link.answer_all();
  EXPECT_EQ(world.kernel.log, kWayOut);
  EXPECT_EQ(world.state("u1"), State::kGone);
  EXPECT_TRUE(world.kernel.held_pods.empty());
}

TEST(Enroller, SaysWhetherAPodThatLeavesRunsOn) {
  for (const bool there : {true, false}) {
    for (const bool finished : {true, false}) {
      Captured world;
      Desired desired;
      if (there) desired.plain.push_back({.uid = "u1", .ns = "shop", .name = "pod-u1", .finished = finished});
      world.enroller.want(std::move(desired));
      world.link.answer_all();
      EXPECT_EQ(world.link.last, zds::encode_del("u1", there && !finished)) << there << finished;
    }
  }
}

TEST(Enroller, TouchesNothingWhileNoZtunnelIsThere) {
  World world;
  world.places.put("u1", 1);
  world.want({World::pod("u1")});
  EXPECT_TRUE(world.kernel.log.empty());
  EXPECT_EQ(world.listeners_opened, 0);
  EXPECT_THAT(world.error("u1"), HasSubstr("waiting for ztunnel"));
  EXPECT_FALSE(world.enroller.settled());
}

TEST(Enroller, HoldsBackTheSnapshotUntilTheSourceHasSpoken) {
  World world;
  world.places.put("u1", 1);
  world.hello(1);
  EXPECT_TRUE(world.link.asked.empty());
  world.want({World::pod("u1")});
  world.link.answer_all();
  EXPECT_EQ(world.kernel.log.front(), "add");
  EXPECT_EQ(world.kernel.log.back(), "sent");
}

TEST(Enroller, RetriesARefusedPodAfterOneSecondDoubling) {
  World world;
  world.places.put("u1", 1);
  world.want({World::pod("u1")});
  world.hello(1);
  world.link.answer({Outcome::kRefused, "no room"});
  EXPECT_EQ(world.state("u1"), State::kUnseen);
  EXPECT_THAT(world.error("u1"), HasSubstr("no room"));
  EXPECT_EQ(world.enroller.next_wakeup(), world.now + 1s);
  world.link.answer_all();
  world.wake();
  world.link.answer({Outcome::kRefused, "no room"});
  EXPECT_EQ(world.enroller.next_wakeup(), world.now + 2s);
  world.wake();
  world.link.answer_all();
  EXPECT_EQ(world.state("u1"), State::kCaptured);
  EXPECT_EQ(world.enroller.counts().refused_total, 2u);
}

TEST(Enroller, TriesAgainSoonWhileTheNamespaceIsNotThereYet) {
  World world;
  world.want({World::pod("u1")});
  world.hello(1);
  EXPECT_EQ(world.enroller.next_wakeup(), world.now + 50ms);
  world.places.put("u1", 1);
  world.wake();
  world.link.answer_all();
  EXPECT_EQ(world.state("u1"), State::kCaptured);
}

TEST(Enroller, SaysWhenTheApplicationHoldsOneOfOurPorts) {
  World world;
  world.places.put("u1", 1);
  world.listeners_fail = true;
  world.want({World::pod("u1")});
  world.hello(1);
  world.link.answer_all();
  EXPECT_EQ(world.state("u1"), State::kUnseen);
  EXPECT_THAT(world.error("u1"), HasSubstr("Address already in use"));
  EXPECT_THAT(world.kernel.log, ElementsAre("sent"));
}

TEST(Enroller, KeepsCaptureOnWhileZtunnelIsAway) {
  Captured world;
  world.lose(1);
  EXPECT_TRUE(world.kernel.log.empty());
  EXPECT_EQ(world.state("u1"), State::kCaptured);
  EXPECT_FALSE(world.enroller.settled());
  EXPECT_EQ(world.kernel.held_pods.size(), 1u);
}

TEST(Enroller, OffersNewListenersToANewZtunnel) {
  Captured world;
  world.lose(1);
  world.hello(2);
  world.link.answer_all();
  Log expected = kWayIn;
  expected.push_back("sent");
  EXPECT_THAT(world.kernel.log, testing::UnorderedElementsAreArray(expected));
  EXPECT_EQ(world.listeners_opened, 2);
  EXPECT_TRUE(world.enroller.settled());
  EXPECT_EQ(world.enroller.counts().captured_total, 1u) << "it never stopped being captured";
}

TEST(Enroller, GivesPodsToTheLatestZtunnelAndBackWhenItDies) {
  Captured world;
  world.hello(2);
  world.link.answer_all();
  EXPECT_EQ(world.listeners_opened, 2);
  world.lose(2);
  EXPECT_FALSE(world.enroller.settled());
  world.link.answer_all();
  EXPECT_EQ(world.listeners_opened, 3);
  EXPECT_TRUE(world.enroller.settled());
}

TEST(Enroller, TellsEveryZtunnelOfAPodThatLeaves) {
  Captured world;
  world.hello(2);
  world.link.answer_all();
  world.kernel.log.clear();
  world.want({});
  world.link.answer();
  EXPECT_EQ(world.state("u1"), State::kDraining);
  world.link.answer();
  EXPECT_EQ(world.state("u1"), State::kGone);
  EXPECT_EQ(std::ranges::count(world.kernel.log, "del"), 2);
}

TEST(Enroller, OffersAgainWhenZtunnelDiesInTheMiddle) {
  World world;
  world.places.put("u1", 1);
  world.want({World::pod("u1")});
  world.hello(1);
  world.lose(1);
  EXPECT_EQ(world.state("u1"), State::kUnseen);
  world.hello(2);
  world.link.answer_all();
  EXPECT_EQ(world.state("u1"), State::kCaptured);
}

TEST(Enroller, AsksZtunnelToKeepAPodItCannotOfferNow) {
  Captured world;
  world.lose(1);
  world.listeners_fail = true;
  world.hello(2);
  world.link.answer_all();
  EXPECT_THAT(world.kernel.log, ElementsAre("keep", "sent"));
  EXPECT_EQ(world.kernel.held_pods.size(), 1u);
  world.listeners_fail = false;
  world.wake();
  world.link.answer_all();
  EXPECT_TRUE(world.enroller.settled());
}

TEST(Enroller, IgnoresALateAnswerForAPodThatLeft) {
  World world;
  world.places.put("u1", 1);
  world.want({World::pod("u1")});
  world.hello(1);
  world.want({});
  world.link.answer_all();
  EXPECT_EQ(std::ranges::count(world.kernel.log, "set_pod"), 0);
  EXPECT_EQ(world.state("u1"), State::kGone);
}

TEST(Enroller, TakesAPodBackThatIsWantedAgainWhileItDrains) {
  Captured world;
  world.want({});
  world.want({World::pod("u1")});
  EXPECT_EQ(world.state("u1"), State::kDraining);
  world.link.answer_all();
  EXPECT_EQ(world.state("u1"), State::kCaptured);
}

TEST(Enroller, LetsAPodGoThatIsWantedAndUnwantedAgainWhileItDrains) {
  Captured world;
  world.want({});
  world.want({World::pod("u1")});
  world.want({});
  world.link.answer_all();
  EXPECT_EQ(world.state("u1"), State::kGone);
  EXPECT_TRUE(world.kernel.held_pods.empty());
}

TEST(Enroller, SurvivesAHundredFlipsWithNothingLeftBehind) {
  Captured world;
  for (int i = 0; i < 100; ++i) {
    world.want({});
    if (i % 3 == 0) world.link.answer();
    world.want({World::pod("u1")});
    if (i % 2 == 0) world.link.answer();
  }
  world.link.answer_all();
  EXPECT_EQ(world.state("u1"), State::kCaptured);
  world.want({});
  world.link.answer_all();
  EXPECT_TRUE(world.kernel.held_pods.empty());
  EXPECT_TRUE(world.kernel.held_ips.empty());
}

TEST(Enroller, LeavesPodsOfAnEarlierAgentCapturedWithoutAGap) {
  World world;
  world.kernel.held_pods[1] = {*IpAddress::parse("10.0.0.7")};
  world.kernel.held_ips = {*IpAddress::parse("10.0.0.7")};
  world.kernel.held_links = {1001};
  world.places.put("u1", 1);
  ASSERT_TRUE(world.enroller.adopt());
  world.want({World::pod("u1")});
  EXPECT_TRUE(world.kernel.log.empty());
  EXPECT_EQ(world.state("u1"), State::kCaptured);
  EXPECT_TRUE(world.enroller.netns_of("u1")) << "a running ztunnel goes on asking for sockets";
  world.hello(1);
  world.link.answer_all();
  EXPECT_EQ(std::ranges::count(world.kernel.log, "remove_pod"), 0);
  EXPECT_EQ(world.listeners_opened, 1);
  EXPECT_TRUE(world.enroller.settled());
}

// What an earlier agent left of pod u1 with a ztunnel that lives.
struct Adopted : World {
  explicit Adopted(bool listeners = true) {
    const auto ip = *IpAddress::parse("10.0.0.7");
    kernel.held_pods[1] = {ip};
    kernel.held_ips = {ip};
    if (listeners) kernel.held_listeners = {ip};
    kernel.held_links = {1001};
    places.put("u1", 1);
    EXPECT_TRUE(enroller.adopt());
    want({pod("u1")});
  }
};

TEST(Enroller, AsksALivingZtunnelToKeepWhatItHasAfterARestartOfTheAgent) {
  Adopted world;
  world.link.knowing = {1};
  world.hello(1);
  world.link.answer_all();
  EXPECT_EQ(world.kernel.log, (Log{"keep", "enroll_ip", "attach_inbound", "set_pod", "sent"}));
  EXPECT_EQ(world.listeners_opened, 0);
  EXPECT_EQ(world.state("u1"), State::kCaptured);
  EXPECT_TRUE(world.enroller.settled());
  EXPECT_TRUE(world.enroller.netns_of("u1"));
}

TEST(Enroller, RenewsListenersThatMayBeAnothersAndKeepsItsOwn) {
  Adopted world;
  world.enroller.renew_listeners();
  world.link.knowing = {1};
  world.hello(1);
  world.link.answer_all();
  EXPECT_EQ(world.kernel.log,
            (Log{"add", "set_listener", "enroll_ip", "attach_inbound", "set_pod", "sent"}));
  world.lose(1, false);
  world.kernel.log.clear();
  world.link.knowing.insert(2);
  world.hello(2);
  world.link.answer_all();
  EXPECT_EQ(world.kernel.log.front(), "keep");
  EXPECT_EQ(world.listeners_opened, 1);
}

TEST(Enroller, GivesListenersToAZtunnelThatDoesNotKnowThePodBeforeTheSnapshotEnds) {
  Adopted world;
  world.hello(1);
  world.link.answer_all();
  EXPECT_EQ(world.kernel.log, (Log{"keep", "add", "set_listener", "enroll_ip", "attach_inbound", "set_pod", "sent"}));
  EXPECT_TRUE(world.enroller.settled());
  EXPECT_EQ(world.enroller.counts().refused_total, 0u) << "that was a question, no offer";
}

TEST(Enroller, OffersListenersAtOnceWhereNobodyHoldsThem) {
  Adopted world(false);
  world.link.knowing = {1};
  world.hello(1);
  world.link.answer_all();
  EXPECT_EQ(world.kernel.log.front(), "add");
}

TEST(Enroller, OffersListenersWhenTheCaptureOfDnsChanges) {
  Adopted world;
  world.link.knowing = {1};
  world.hello(1, true);
  world.link.answer_all();
  EXPECT_EQ(world.kernel.log.front(), "add");
  EXPECT_EQ(std::ranges::count(world.kernel.log, "set_pod+dns"), 1);
}

TEST(Enroller, KeepsListenersWhenOnlyTheLinkBroke) {
  Captured world;
  world.lose(1, false);
  world.link.knowing.insert(2);
  world.hello(2);
  world.link.answer_all();
  EXPECT_EQ(world.kernel.log.front(), "keep");
  EXPECT_EQ(world.listeners_opened, 1);
  EXPECT_TRUE(world.enroller.settled());
}

TEST(Enroller, AsksAgainWhenZtunnelDiesBeforeItAnsweredTheKeep) {
  Adopted world;
  world.link.knowing = {1};
  world.hello(1);
  world.lose(1);
  world.hello(2);
  world.link.answer_all();
  EXPECT_EQ(world.kernel.log.front(), "add");
  EXPECT_TRUE(world.enroller.settled());
}

TEST(Enroller, KnowsTheNamespaceOfAPodThatLeftForAMoment) {
  Captured world;
  world.want({});
  world.link.answer_all();
  EXPECT_EQ(world.state("u1"), State::kGone);
  ASSERT_TRUE(world.enroller.netns_of("u1"));
  world.places.put("u1", 2);
  EXPECT_FALSE(world.enroller.netns_of("u1")) << "another namespace";
  world.places.by_uid.clear();
  EXPECT_FALSE(world.enroller.netns_of("u1")) << "it ended";
  world.places.put("u1", 1);
  world.now += Enroller::kFarewell;
  EXPECT_FALSE(world.enroller.netns_of("u1"));
}

TEST(Enroller, WithdrawsWhatAnEarlierAgentCapturedAndNobodyWants) {
  World world;
  world.kernel.held_pods[9] = {*IpAddress::parse("10.0.0.9")};
  world.kernel.held_ips = {*IpAddress::parse("10.0.0.9"), *IpAddress::parse("10.0.0.10")};
  world.kernel.held_links = {1009, 1010};
  ASSERT_TRUE(world.enroller.adopt());
  world.want({});
  EXPECT_TRUE(world.kernel.held_pods.empty());
  EXPECT_TRUE(world.kernel.held_ips.empty());
  EXPECT_TRUE(world.kernel.held_links.empty());
}

TEST(Enroller, WaitsForTheNamespaceOfAPodAnEarlierAgentCaptured) {
  World world;
  world.kernel.held_pods[1] = {*IpAddress::parse("10.0.0.7")};
  world.kernel.held_ips = {*IpAddress::parse("10.0.0.7")};
  world.kernel.held_links = {1001};
  ASSERT_TRUE(world.enroller.adopt());
  world.want({World::pod("u1")});
  EXPECT_EQ(world.kernel.held_pods.size(), 1u);
  EXPECT_EQ(world.kernel.held_links.size(), 1u) << "taking the link off would let its inbound traffic in";
  world.hello(1);
  world.places.put("u1", 1);
  world.wake();
  world.link.answer_all();
  EXPECT_EQ(std::ranges::count(world.kernel.log, "remove_pod"), 0);
  EXPECT_EQ(world.state("u1"), State::kCaptured);
}

TEST(Enroller, FollowsAPodIntoANewNamespace) {
  Captured world;
  world.places.put("u1", 2);
  world.wake();
  EXPECT_EQ(world.kernel.log.front(), "remove_pod");
  world.link.answer_all();
  EXPECT_EQ(world.state("u1"), State::kCaptured);
  EXPECT_TRUE(world.kernel.held_pods.contains(2));
  EXPECT_FALSE(world.kernel.held_pods.contains(1));
}

TEST(Enroller, FollowsAChangeOfAddress) {
  Captured world;
  world.want({World::pod("u1", "10.0.0.8")});
  world.link.answer_all();
  EXPECT_EQ(world.state("u1"), State::kCaptured);
  EXPECT_THAT(world.kernel.held_ips, ElementsAre(*IpAddress::parse("10.0.0.8")));
}

TEST(Enroller, CompletesACaptureThatStoppedHalfWay) {
  for (const char* step : {"attach_inbound", "set_listener", "enroll_ip", "set_pod"}) {
    SCOPED_TRACE(step);
    World world;
    world.kernel.refuse = {step};
    world.places.put("u1", 1);
    world.want({World::pod("u1")});
    world.hello(1);
    world.link.answer_all();
    EXPECT_FALSE(world.enroller.settled());
    EXPECT_EQ(world.kernel.log.back(), "sent");
    world.kernel.refuse.clear();
    world.wake();
    world.link.answer_all();
    EXPECT_TRUE(world.enroller.settled());
    world.want({});
    world.link.answer_all();
    EXPECT_TRUE(world.kernel.held_pods.empty());
    EXPECT_TRUE(world.kernel.held_ips.empty());
  }
}

TEST(Enroller, CallsAPodCapturedOnlyWhenEveryStepSucceeded) {
  World world;
  world.kernel.refuse = {"set_pod"};  // the last step: outbound
  world.places.put("u1", 1);
  world.want({World::pod("u1")});
  world.hello(1);
  world.link.answer_all();
  EXPECT_NE(world.enroller.pod("u1")->state, State::kCaptured);
  world.kernel.refuse.clear();
  world.wake();
  world.link.answer_all();
  EXPECT_EQ(world.enroller.pod("u1")->state, State::kCaptured);
  EXPECT_FALSE(world.enroller.pod("u2"));
}

TEST(Enroller, KeepsWhatMayBelongToAPodWhoseAddressIsNotToldYet) {
  World world;
  world.kernel.held_pods[7] = {*IpAddress::parse("10.0.0.7")};
  world.kernel.held_pods[8] = {*IpAddress::parse("10.0.0.8")};
  ASSERT_TRUE(world.enroller.adopt());
  Desired desired;
  desired.plain = {{.uid = "u1", .ns = "shop", .name = "young", .ips = {}, .reason = "the pod has no address yet", .key = "", .wanted = true},
                   {.uid = "u2", .ns = "shop", .name = "left", .ips = {*IpAddress::parse("10.0.0.8")}, .reason = "disabled by pod", .key = ""}};
  world.enroller.want(desired);
  EXPECT_TRUE(world.kernel.held_pods.contains(7)) << "captured before the agent was away: it stays so";
  EXPECT_FALSE(world.kernel.held_pods.contains(8));
  world.want({World::pod("u1")});
  EXPECT_TRUE(world.kernel.held_pods.contains(7));
  world.want({});
  EXPECT_FALSE(world.kernel.held_pods.contains(7));
}

TEST(Enroller, TriesAReleaseThatFailedAgain) {
  Captured world;
  world.kernel.refuse = {"remove_pod"};
  world.want({});
  world.link.answer_all();
  EXPECT_EQ(world.kernel.held_pods.size(), 1u);
  world.kernel.refuse.clear();
  world.wake();
  EXPECT_TRUE(world.kernel.held_pods.empty());
}

TEST(Enroller, CapturesDnsOnlyForAZtunnelThatAnswersIt) {
  World world;
  world.places.put("u1", 1);
  world.want({World::pod("u1")});
  world.hello(1, true);
  world.link.answer_all();
  EXPECT_EQ(std::ranges::count(world.kernel.log, "set_pod+dns"), 1);
}

TEST(Enroller, HoldsNoListenerAfterTheAnswer) {
  const auto open_files = [] {
    int count = 0;
    for (int fd = 0; fd < 1024; ++fd) count += ::fcntl(fd, F_GETFD) != -1;
    return count;
  };
  World world;
  world.places.put("u1", 1);
  world.want({World::pod("u1")});
  const int before = open_files();
  world.hello(1);
  world.link.answer_all();
  EXPECT_EQ(open_files(), before);
  world.lose(1);
  world.hello(2);
  world.link.answer({Outcome::kRefused, "no"});
  EXPECT_EQ(open_files(), before);
}

}  // namespace
}  // namespace weft::agent
