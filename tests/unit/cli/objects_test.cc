#include "cli/objects.h"

#include <gtest/gtest.h>

#include "sandbox/json.h"

namespace weft::cli {
namespace {

using sandbox::Json;

TEST(Targets, BothWaysOfNamingAreOne) {
  const auto spaced = targets({"pod", "a", "b"}), slashed = targets({"pod/a", "svc/b"}),
             kind = targets({"pods"});
  ASSERT_TRUE(spaced && slashed && kind);
  EXPECT_EQ((*spaced)[1].name, "b");
  EXPECT_EQ((*spaced)[1].kind, "pod");
  EXPECT_EQ((*slashed)[1].kind, "svc");
  EXPECT_EQ((*kind)[0].name, "");
  EXPECT_FALSE(targets({}));
  EXPECT_FALSE(targets({"pod/a", "b"}));
}

TEST(Targets, SeveralKindsInOneWordAreSeveral) {
  const auto both = targets({"pods,svc"}), named = targets({"pod,svc", "a"}),
             all = targets({"all"});
  ASSERT_TRUE(both && named && all);
  ASSERT_EQ(both->size(), 2u);
  EXPECT_EQ((*both)[1].kind, "svc");
  ASSERT_EQ(named->size(), 2u);
  EXPECT_EQ((*named)[1].name, "a");
  ASSERT_EQ(all->size(), 6u);
  EXPECT_EQ((*all)[2].kind, "deployments.apps");
  for (const char* word : {"pods,", ",pods", "pods,,svc"}) EXPECT_FALSE(targets({word})) << word;
}

Json object(const char* status, long generation = 1, long observed = 1) {
  return {{"metadata", {{"generation", generation}}},
          {"status",
           {{"observedGeneration", observed},
            {"phase", "Running"},
            {"conditions", {{{"type", "Ready"}, {"status", status}}}}}}};
}

TEST(Satisfies, ReadsConditionsAsKubectlDoes) {
  EXPECT_TRUE(*satisfies(object("True"), "Ready"));
  EXPECT_TRUE(*satisfies(object("True"), "condition=ready"));
  EXPECT_FALSE(*satisfies(object("False"), "condition=Ready"));
  EXPECT_TRUE(*satisfies(object("False"), "condition=Ready=False"));
  EXPECT_FALSE(*satisfies(object("True"), "Available"));
}

TEST(Satisfies, AConditionOfTheGenerationBeforeDoesNotCount) {
  EXPECT_FALSE(*satisfies(object("True", 2, 1), "Ready"));
}

TEST(Satisfies, ComparesAPath) {
  EXPECT_TRUE(*satisfies(object("True"), "jsonpath={.status.phase}=Running"));
  EXPECT_FALSE(*satisfies(object("True"), "jsonpath={.status.phase}=Pending"));
  EXPECT_TRUE(*satisfies(object("True"), "jsonpath={.status.phase}"));
  EXPECT_FALSE(*satisfies(object("True"), "jsonpath={.status.nothing}"));
}

TEST(Satisfies, FindsWhatAGatewayKeepsPerParent) {
  const Json route = {
      {"status", {{"parents", {{{"conditions", {{{"type", "Accepted"}, {"status", "True"}}}}}}}}}};
  EXPECT_TRUE(*satisfies(route, "condition=Accepted"));
}

}  // namespace
}  // namespace weft::cli
