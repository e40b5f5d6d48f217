#include "agent/uninstall.h"

#include <gtest/gtest.h>

#include "agent/api.h"

namespace weft::agent {
namespace {

StatusFacts leaving() {
  StatusFacts facts;
  facts.uninstalling = true;
  facts.plain = {{.uid = "u2",
                  .ns = "shop",
                  .name = "db",
                  .ips = {},
                  .reason = "the mesh is being uninstalled",
                  .key = ""}};
  return facts;
}

TEST(Uninstall, IsDoneWhenTheAgentHoldsNobody) {
  EXPECT_TRUE(judge_leaving(status_json(leaving())).done);
}

TEST(Uninstall, WaitsForEveryPodThatIsStillHeld) {
  for (const auto state : {State::kCaptured, State::kOffered, State::kDraining}) {
    auto facts = leaving();
    facts.pods = {{.pod = {.uid = "u1",
                           .ns = "shop",
                           .name = "web",
                           .service_account = "",
                           .ips = {},
                           .reason = "",
                           .key = ""},
                   .state = state,
                   .since = {},
                   .error = ""}};
    const auto told = judge_leaving(status_json(facts));
    EXPECT_FALSE(told.done);
    EXPECT_EQ(told.why, std::string("pod shop/web is ") + to_string(state));
  }
}

TEST(Uninstall, WaitsForAnAgentThatHasNotHeard) {
  auto facts = leaving();
  facts.uninstalling = false;
  EXPECT_EQ(judge_leaving(status_json(facts)).why, "the agent has not heard of the uninstall yet");
}

TEST(Uninstall, BelievesNothingThatIsNoStatus) {
  for (const char* text :
       {"", "[]", "{}", R"({"pods":1})", R"({"pods":[]})", R"({"uninstalling":true,"pods":[1]})"}) {
    EXPECT_FALSE(judge_leaving(text).done) << text;
  }
}

}  // namespace
}  // namespace weft::agent
