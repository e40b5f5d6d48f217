#include "cli/rollout.h"

#include <gtest/gtest.h>

namespace weft::cli {
namespace {

using nlohmann::json;

json deployment(long generation, long seen, long replicas, json status) {
  status["observedGeneration"] = seen;
  return {{"kind", "Deployment"},
          {"metadata", {{"generation", generation}}},
          {"spec", {{"replicas", replicas}}},
          {"status", status}};
}

TEST(Rollout, OfADeployment) {
  const json all = {{"replicas", 2}, {"updatedReplicas", 2}, {"availableReplicas", 2}};
  EXPECT_TRUE(rollout(deployment(3, 3, 2, all)).done);
  EXPECT_EQ(rollout(deployment(3, 2, 2, all)).text, "its controller has not seen it yet");
  EXPECT_EQ(rollout(deployment(1, 1, 2,
                               {{"replicas", 2}, {"updatedReplicas", 1}, {"availableReplicas", 2}}))
                .text,
            "1 of 2 updated");
  EXPECT_EQ(rollout(deployment(1, 1, 2,
                               {{"replicas", 2}, {"updatedReplicas", 2}, {"availableReplicas", 1}}))
                .text,
            "1 of 2 ready");
  EXPECT_EQ(rollout(deployment(1, 1, 2,
                               {{"replicas", 3}, {"updatedReplicas", 2}, {"availableReplicas", 2}}))
                .text,
            "1 old ones are ending");
  EXPECT_FALSE(rollout({{"kind", "Deployment"}, {"metadata", {{"generation", 1}}}}).done)
      << "no status yet";
}

TEST(Rollout, OfADaemonSet) {
  json one = {{"kind", "DaemonSet"},
              {"metadata", {{"generation", 1}}},
              {"status",
               {{"observedGeneration", 1},
                {"desiredNumberScheduled", 2},
                {"updatedNumberScheduled", 2},
                {"numberAvailable", 1}}}};
  EXPECT_EQ(rollout(one).text, "1 of 2 ready");
  one["status"]["numberAvailable"] = 2;
  EXPECT_TRUE(rollout(one).done);
  one["status"] = {{"observedGeneration", 1}, {"desiredNumberScheduled", 0}};
  EXPECT_TRUE(rollout(one).done) << "no node wants one";
}

TEST(Rollout, SaysWhatHoldsPodsUp) {
  const json ready = {{"metadata", {{"name", "a"}}},
                      {"status", {{"conditions", {{{"type", "Ready"}, {"status", "True"}}}}}}};
  const json image = {
      {"metadata", {{"name", "b"}}},
      {"spec", {{"nodeName", "n1"}}},
      {"status",
       {{"phase", "Pending"},
        {"containerStatuses",
         {{{"name", "agent"},
           {"ready", false},
           {"state",
            {{"waiting", {{"reason", "ImagePullBackOff"}, {"message", "no such image"}}}}}}}}}}};
  const json nowhere = {
      {"metadata", {{"name", "c"}}},
      {"status",
       {{"conditions",
         {{{"type", "PodScheduled"}, {"status", "False"}, {"message", "no node fits"}}}}}}};
  const json probing = {
      {"metadata", {{"name", "d"}}},
      {"status",
       {{"containerStatuses",
         {{{"name", "ztunnel"}, {"ready", false}, {"state", {{"running", json::object()}}}}}}}}};
  EXPECT_EQ(held_up({ready, image, nowhere, probing}),
            (std::vector<std::string>{"b on n1: agent: ImagePullBackOff: no such image",
                                      "c: not scheduled: no node fits",
                                      "d: ztunnel: runs and is not ready"}));
}

}  // namespace
}  // namespace weft::cli
