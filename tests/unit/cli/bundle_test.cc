#include "cli/bundle.h"

#include <gtest/gtest.h>

#include <set>

#include "cli/cluster.h"
#include "sandbox/json.h"

namespace weft::cli {
namespace {

using sandbox::Json;
using sandbox::str;

std::vector<Json> made(const std::string& profile, const std::vector<std::string>& set = {}) {
  auto objects = bundle(profile, set);
  EXPECT_TRUE(objects.has_value()) << (objects ? "" : objects.error().text);
  return objects.value_or(std::vector<Json>());
}

Json one(const std::vector<Json>& objects, std::string_view kind, std::string_view name) {
  for (const auto& object : objects) {
    if (str(object, {"kind"}) == kind && sandbox::name_of(object) == name) return object;
  }
  return {};
}

Json container(const std::vector<Json>& objects, std::string_view name) {
  for (const auto& object : objects) {
    for (const auto& c : sandbox::list(object, {"spec", "template", "spec", "containers"})) {
      if (str(c, {"name"}) == name) return c;
    }
  }
  return {};
}

bool has_flag(const Json& c, const std::string& flag) {
  const auto& args = sandbox::list(c, {"args"});
  return std::ranges::count(args, Json(flag)) == 1;
}

std::string variable(const Json& c, std::string_view name) {
  for (const auto& v : sandbox::list(c, {"env"})) {
    if (str(v, {"name"}) == name) return str(v, {"value"});
  }
  return "";
}

TEST(Bundle, BeginsWithNamespacesAndHoldsNothingTwice) {
  for (const auto& profile : profiles()) {
    SCOPED_TRACE(profile);
    const auto objects = made(profile);
    ASSERT_GT(objects.size(), 10u);
    EXPECT_EQ(str(objects[0], {"kind"}), "Namespace");
    std::set<Ref> seen;
    for (const auto& object : objects) {
      EXPECT_TRUE(seen.insert(ref_of(object)).second) << ref_of(object).str();
      EXPECT_EQ(str(object, {"metadata", "labels", "app.kubernetes.io/part-of"}), "weft")
          << ref_of(object).str() << ": uninstall knows ours by it";
    }
  }
}

TEST(Bundle, ProfilesDifferInWhatTheySay) {
  EXPECT_EQ(one(made("default"), "Deployment", "weft-controlplane")["spec"]["replicas"], 1);
  const auto high = made("high-availability");
  EXPECT_EQ(one(high, "Deployment", "weft-controlplane")["spec"]["replicas"], 2);
  EXPECT_FALSE(one(high, "PodDisruptionBudget", "weft-controlplane").is_null());
  EXPECT_TRUE(one(made("default"), "PodDisruptionBudget", "weft-controlplane").is_null())
      << "of one replica it would hold a node's drain";
  const auto least = made("minimal");
  EXPECT_TRUE(one(least, "ClusterRole", "weft-controlplane-waypoints").is_null());
  for (const auto& argument : container(least, "controlplane")["args"])
    EXPECT_FALSE(argument.get<std::string>().starts_with("--envoy-server"));
  EXPECT_FALSE(one(made("istio-compat"), "GatewayClass", "istio").is_null());
}

TEST(Bundle, WritesSettingsWhereTheyBelong) {
  const auto objects =
      made("default", {"registry=r.example/w", "tag=7", "imagePullPolicy=Never", "replicas=3",
                       "trustDomain=td.example", "cniConfDir=/c", "cniBinDir=/b", "logLevel=debug",
                       "dnsCapture=false", "agent.log-format=json", "ztunnel.WEFT_IO=epoll",
                       "controlplane.certificate-ttl=1h", "imagePullSecret=pull"});
  const auto agent = container(objects, "agent"), ztunnel = container(objects, "ztunnel"),
             plane = container(objects, "controlplane");
  EXPECT_EQ(agent["image"], "r.example/w/node:7");
  EXPECT_EQ(plane["image"], "r.example/w/controlplane:7");
  EXPECT_EQ(ztunnel["imagePullPolicy"], "Never");
  EXPECT_EQ(one(objects, "Deployment", "weft-controlplane")["spec"]["replicas"], 3);
  EXPECT_TRUE(has_flag(plane, "--trust-domain=td.example"));
  EXPECT_EQ(variable(ztunnel, "TRUST_DOMAIN"), "td.example");
  EXPECT_TRUE(has_flag(agent, "--log-level=debug"));
  EXPECT_EQ(variable(ztunnel, "WEFT_LOG_LEVEL"), "debug");
  EXPECT_TRUE(has_flag(agent, "--dns-capture=false"));
  EXPECT_EQ(variable(ztunnel, "ISTIO_META_DNS_CAPTURE"), "false");
  EXPECT_TRUE(has_flag(agent, "--log-format=json"));
  EXPECT_EQ(variable(ztunnel, "WEFT_IO"), "epoll");
  EXPECT_TRUE(has_flag(plane, "--certificate-ttl=1h"));
  const auto pod = one(objects, "DaemonSet", "weft-node")["spec"]["template"]["spec"];
  EXPECT_EQ(pod["imagePullSecrets"][0]["name"], "pull");
  for (const auto& volume : pod["volumes"]) {
    if (volume["name"] == "cni-conf") EXPECT_EQ(volume["hostPath"]["path"], "/c");
    if (volume["name"] == "cni-bin") EXPECT_EQ(volume["hostPath"]["path"], "/b");
  }
  EXPECT_TRUE(has_flag(agent, "--cni-conf-dir=/host/cni/net.d")) << "as the agent sees it";
}

TEST(Bundle, NamesWhatIsWrong) {
  const std::vector<std::pair<std::string, std::string>> rows = {
      {"registry", "KEY=VALUE"},        {"=x", "KEY=VALUE"},
      {"registry=", "empty"},           {"colour=red", "no such key"},
      {"replicas=0", "no number"},      {"replicas=many", "no number"},
      {"cniConfDir=etc", "absolute"},   {"logLevel=loud", "none of"},
      {"imagePullPolicy=x", "none of"}, {"sandbox.x=y", "no such key"},
  };
  for (const auto& [pair, words] : rows) {
    const auto tried = bundle("default", {pair});
    ASSERT_FALSE(tried.has_value()) << pair;
    EXPECT_NE(tried.error().text.find(words), std::string::npos) << tried.error().text;
  }
  EXPECT_NE(bundle("huge", {}).error().text.find("high-availability"), std::string::npos);
}

TEST(Bundle, UninstallTakesOverWhatRuns) {
  const auto live = one(made("default", {"registry=r.example/w", "tag=7", "imagePullPolicy=Never",
                                         "cniConfDir=/c", "imagePullSecret=pull"}),
                        "DaemonSet", "weft-node");
  const auto taken = uninstall_daemonset(live)["spec"]["template"]["spec"];
  for (const char* list : {"initContainers", "containers"}) {
    EXPECT_EQ(taken[list][0]["image"], "r.example/w/node:7");
    EXPECT_EQ(taken[list][0]["imagePullPolicy"], "Never");
  }
  EXPECT_EQ(taken["imagePullSecrets"][0]["name"], "pull");
  bool found = false;
  for (const auto& volume : taken["volumes"])
    found = found || (volume["name"] == "cni-conf" && volume["hostPath"]["path"] == "/c");
  EXPECT_TRUE(found);
  EXPECT_EQ(
      str(uninstall_daemonset(Json())["spec"]["template"]["spec"]["containers"][0], {"image"}),
      "docker.io/weft/node:" WEFT_VERSION);
}

}  // namespace
}  // namespace weft::cli
