#include "sandbox/controllers.h"

#include <algorithm>

#include "sandbox/endpoints.h"
#include "world.h"

namespace weft::sandbox {
namespace {

using test::World;

std::string deployment(int replicas, const std::string& command) {
  return "{apiVersion: apps/v1, kind: Deployment, metadata: {name: d}, spec: {replicas: " +
         std::to_string(replicas) +
         ", selector: {matchLabels: {app: a}}, template: {metadata: {labels: {app: a}}, spec: "
         "{containers: [{name: c, command: [" +
         command + "]}]}}}}";
}

struct Cluster : World {
  // What a kubelet would do: everything starts at once and deleted pods go at once.
  void settle() {
    for (int pass = 0; pass < 12; ++pass) {
      controllers.sync();
      for (const auto& key : store.keys("Pod")) {
        const auto& pod = *store.find(key);
        if (at(pod, {"metadata", "deletionTimestamp"}) != nullptr)
          store.remove(key);
        else if (!pod_is_ready(pod))
          make_ready(key.name, "10.244.1.9", "fd00::9");
      }
    }
  }
  std::vector<std::string> commands() {
    std::vector<std::string> found;
    for (const auto* pod : store.list("Pod"))
      found.push_back((*pod)["spec"]["containers"][0]["command"][0]);
    return found;
  }
};

TEST(Controllers, ADeploymentsPodsBelongToItsReplicaSet) {
  Cluster c;
  c.apply(deployment(3, "one"));
  c.settle();
  const auto pods = c.store.list("Pod");
  ASSERT_EQ(pods.size(), 3u);
  const auto& set = *c.store.list("ReplicaSet.apps").at(0);
  for (const auto* pod : pods) {
    EXPECT_TRUE(name_of(*pod).starts_with(name_of(set) + "-"));
    EXPECT_EQ((*pod)["metadata"]["ownerReferences"][0]["uid"], uid_of(set));
    EXPECT_FALSE(str(*pod, {"metadata", "labels", "pod-template-hash"}).empty());
  }
  EXPECT_EQ(set["metadata"]["ownerReferences"][0]["name"], "d");
  EXPECT_EQ(number(c.get("Deployment.apps", "d"), {"status", "availableReplicas"}), 3);
}

std::string stateful_set(int replicas, const std::string& command) {
  return "{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: s}, spec: {serviceName: peers, "
         "replicas: " +
         std::to_string(replicas) +
         ", selector: {matchLabels: {app: a}}, template: {metadata: {labels: {app: a}}, spec: "
         "{containers: [{name: c, command: [" +
         command + "]}]}}}}";
}

TEST(Controllers, AStatefulSetsPodsComeOneByOneWithNamesThatStay) {
  Cluster c;
  c.apply(stateful_set(3, "one"));
  c.controllers.sync();
  c.controllers.sync();
  EXPECT_EQ(c.store.list("Pod").size(), 1u) << "the second waits until the first is ready";
  c.settle();
  ASSERT_EQ(c.store.list("Pod").size(), 3u);
  const Json last = c.get("Pod", "s-2");
  EXPECT_EQ(str(last, {"spec", "hostname"}), "s-2");
  EXPECT_EQ(str(last, {"spec", "subdomain"}), "peers");
  EXPECT_EQ(str(last, {"metadata", "labels", "apps.kubernetes.io/pod-index"}), "2");
  c.store.remove({"Pod", "default", "s-0"});
  c.settle();
  EXPECT_EQ(c.store.list("Pod").size(), 3u) << "one that is gone comes again under its name";
  c.apply(stateful_set(3, "two"));
  c.settle();
  EXPECT_EQ(c.commands(), (std::vector<std::string>{"two", "two", "two"}));
  EXPECT_NE(uid_of(c.get("Pod", "s-2")), uid_of(last));
  c.apply(stateful_set(1, "two"));
  c.controllers.sync();
  EXPECT_FALSE(at(c.get("Pod", "s-1"), {"metadata", "deletionTimestamp"})) << "the highest first";
  c.settle();
  ASSERT_EQ(c.store.list("Pod").size(), 1u);
  EXPECT_EQ(number(c.get("StatefulSet.apps", "s"), {"status", "readyReplicas"}), 1);
  c.controllers.remove({"StatefulSet.apps", "default", "s"}, -1);
  c.settle();
  EXPECT_TRUE(c.store.list("Pod").empty());
}

TEST(Controllers, PodsAreSpreadOverTheNodes) {
  Cluster c;
  c.apply(deployment(4, "one"));
  c.settle();
  const auto pods = c.store.list("Pod");
  EXPECT_EQ(
      std::count_if(pods.begin(), pods.end(),
                    [](const Json* pod) { return str(*pod, {"spec", "nodeName"}) == "node1"; }),
      2);
}

TEST(Controllers, ScalesBothWays) {
  Cluster c;
  c.apply(deployment(1, "one"));
  c.settle();
  const auto first = name_of(*c.store.list("Pod").at(0));
  c.apply(deployment(3, "one"));
  c.settle();
  EXPECT_EQ(c.store.list("Pod").size(), 3u);
  c.apply(deployment(0, "one"));
  c.settle();
  EXPECT_TRUE(c.store.list("Pod").empty());
}

TEST(Controllers, ANewTemplateReplacesEveryPod) {
  Cluster c;
  c.apply(deployment(2, "one"));
  c.settle();
  c.apply(deployment(2, "two"));
  c.settle();
  EXPECT_EQ(c.commands(), (std::vector<std::string>{"two", "two"}));
}

TEST(Controllers, OldPodsStayUntilNewOnesAreReady) {
  Cluster c;
  c.apply(deployment(2, "one"));
  c.settle();
  c.apply(deployment(2, "two"));
  for (int i = 0; i < 5; ++i) c.controllers.sync();  // the new pods never get ready
  const auto commands = c.commands();
  EXPECT_EQ(std::count(commands.begin(), commands.end(), "one"), 2);
}

TEST(Controllers, ADeletedDeploymentTakesAllWithIt) {
  Cluster c;
  c.apply(deployment(2, "one"));
  c.settle();
  c.controllers.remove({"Deployment.apps", "default", "d"}, 0);
  c.settle();
  EXPECT_TRUE(c.store.list("Pod").empty());
  EXPECT_TRUE(c.store.list("ReplicaSet.apps").empty());
}

TEST(Controllers, ADeletedPodIsReplaced) {
  Cluster c;
  c.apply(deployment(1, "one"));
  c.settle();
  const auto uid = uid_of(*c.store.list("Pod").at(0));
  c.controllers.remove(key_of(*c.store.list("Pod").at(0)), 0);
  c.settle();
  ASSERT_EQ(c.store.list("Pod").size(), 1u);
  EXPECT_NE(uid_of(*c.store.list("Pod").at(0)), uid);
}

TEST(Controllers, AJobRunsUntilItSucceeded) {
  Cluster c;
  c.apply(
      "{apiVersion: batch/v1, kind: Job, metadata: {name: j}, spec: {backoffLimit: 2, template: "
      "{spec: {restartPolicy: Never, containers: [{name: c, command: [x]}]}}}}");
  const auto end_with = [&](const char* phase) {
    c.controllers.sync();
    for (const auto& key : c.store.keys("Pod")) {
      if (str(*c.store.find(key), {"status", "phase"}) == "Pending")
        c.store.update(key, [&](Json& pod) { pod["status"]["phase"] = phase; });
    }
    c.controllers.sync();
  };
  end_with("Failed");
  EXPECT_FALSE(at(c.get("Job.batch", "j"), {"status", "conditions"}));
  end_with("Succeeded");
  EXPECT_EQ(c.get("Job.batch", "j")["status"]["conditions"][0]["type"], "Complete");
}

TEST(Controllers, ANamespaceGoesWhenItIsEmpty) {
  Cluster c;
  c.apply("{apiVersion: v1, kind: Namespace, metadata: {name: ns1}}");
  c.controllers.sync();
  EXPECT_NE(c.store.find("ServiceAccount", "ns1", "default"), nullptr);
  c.apply(
      "{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: ns1}, spec: {containers: [{name: "
      "c}]}}");
  c.controllers.remove({"Namespace", "", "ns1"}, -1);
  c.controllers.sync();
  ASSERT_NE(c.store.find("Namespace", "", "ns1"), nullptr) << "its pod is still ending";
  EXPECT_NE(at(c.get("Pod", "p", "ns1"), {"metadata", "deletionTimestamp"}), nullptr);
  c.store.remove({"Pod", "ns1", "p"});
  c.controllers.sync();
  EXPECT_EQ(c.store.find("Namespace", "", "ns1"), nullptr);
  EXPECT_TRUE(c.store.keys_in("ns1").empty());
}

}  // namespace
}  // namespace weft::sandbox
