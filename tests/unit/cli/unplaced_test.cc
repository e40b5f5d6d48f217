#include "cli/unplaced.h"

#include <gmock/gmock.h>

namespace weft::cli {
namespace {

using sandbox::Json;
using testing::ElementsAre;
using testing::Field;
using testing::HasSubstr;
using testing::IsEmpty;

Json pod(const char* name, const char* node, const char* phase = "Pending") {
  Json made = {{"metadata", {{"namespace", "shop"}, {"name", name}}},
               {"status", {{"phase", phase}}}};
  if (*node != 0) made["spec"]["nodeName"] = node;
  return made;
}

TEST(Unplaced, APodOfANodeThatIsNotThereIsNamedWithTheNodesThatAre) {
  const auto found = unplaced(Json::array({pod("lost", "node9")}), {}, {}, {"node1", "node2"});
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].why, "spec.nodeName: there is no node \"node9\" (there are node1, node2)");
  EXPECT_FALSE(found[0].soon);
}

TEST(Unplaced, APodThatTheSchedulerRefusedSaysWhy) {
  auto waiting = pod("waiting", "");
  waiting["status"]["conditions"] = {
      {{"type", "PodScheduled"}, {"status", "False"}, {"message", "0/2 nodes fit"}}};
  EXPECT_THAT(unplaced(Json::array({waiting}), {}, {}, {"node1"}),
              ElementsAre(Field(&UnplacedPod::why, "0/2 nodes fit")));
}

TEST(Unplaced, WhatAnAgentToldOfOrMayKnowOrHasEndedIsNotListed) {
  EXPECT_THAT(unplaced(Json::array({pod("told", "node1"), pod("dumb", "node2"),
                                    pod("done", "", "Succeeded")}),
                       {"shop/told"}, {"node2"}, {"node1", "node2"}),
              IsEmpty());
}

TEST(OnSilentNodes, APodWhoseAgentIsAwayIsListedAllTheSame) {
  const auto found = on_silent_nodes(
      Json::array({pod("there", "node1"), pod("dumb", "node2"), pod("done", "node2", "Failed")}),
      {"node2"});
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].name, "dumb");
  EXPECT_THAT(found[0].why, HasSubstr("the agent on node2 does not answer"));
}

TEST(Unplaced, APodThatIsOnItsWayToItsAgentComesSoon) {
  const auto found = unplaced(Json::array({pod("new", "node1")}), {}, {}, {"node1"});
  ASSERT_EQ(found.size(), 1u);
  EXPECT_TRUE(found[0].soon);
  EXPECT_THAT(found[0].why, HasSubstr("node1"));
}

}  // namespace
}  // namespace weft::cli
