// What apply says about a mesh object before it asks anybody: refusals and warnings.
#include "cli/manifests.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "controlplane/frontends/analyze/analyze.h"

namespace weft::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

source::ObjectPtr object(const std::string& spec) {
  const auto parsed = source::parse_manifest(
      "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: x}\nspec: " +
          spec + "\n",
      "f.yaml");
  EXPECT_TRUE(parsed) << parsed.error().text;
  return (*parsed)[0];
}

TEST(Manifests, AnUnknownFieldIsRefusedAtItsLineWithItsValue) {
  const auto good =
      judge(*object("{hosts: [a], http: [{route: [{destination: {host: a, timeout: 1s}}]}]}"));
  ASSERT_FALSE(good);
  EXPECT_EQ(good.error().text,
            "f.yaml:4: spec.http[0].route[0].destination.timeout: unknown field: did you mean "
            "spec.http[0].timeout? (known: host, subset, port), got \"1s\"");
}

TEST(Manifests, WhatIsNotSupportedYetOrOldIsWarnedOf) {
  EXPECT_THAT(warnings(object(
                  "{hosts: [a], http: [{route: [{destination: {host: a}}], retries: {attempts: "
                  "1, retryIgnorePreviousHosts: true}, mirror: {host: a}, mirror_percent: 5}]}")),
              ElementsAre(HasSubstr("Warning: f.yaml:4: spec.http[0].mirror_percent: deprecated"),
                          HasSubstr("Warning: f.yaml:4: not supported yet: "
                                    "spec.http[0].retries.retryIgnorePreviousHosts: ")));
  EXPECT_THAT(warnings(object("{hosts: [a], http: [{route: [{destination: {host: a}}]}]}")),
              IsEmpty());
}

TEST(Manifests, AKindThatASandboxDoesNothingWithIsWarnedOf) {
  const auto warned = [](const std::string& api_version, const std::string& kind) {
    const auto parsed = source::parse_manifest(
        "apiVersion: " + api_version + "\nkind: " + kind + "\nmetadata: {name: x}\n", "f.yaml");
    return parsed ? warnings((*parsed)[0]) : std::vector<std::string>{parsed.error().text};
  };
  EXPECT_THAT(warned("apps/v1", "DaemonSet"),
              ElementsAre("Warning: f.yaml:2: kind DaemonSet of apps/v1: a sandbox keeps it and "
                          "does nothing with it (a Pod with nodeName for each node runs it)"));
  for (const auto& [api_version, kind] :
       {std::pair("networking.k8s.io/v1", "NetworkPolicy"), std::pair("batch/v1", "CronJob"),
        std::pair("networking.k8s.io/v1", "Ingress"), std::pair("v1", "ReplicationController"),
        std::pair("rbac.authorization.k8s.io/v1", "Role"), std::pair("example.com/v1", "Widget")})
    EXPECT_THAT(warned(api_version, kind), ElementsAre(HasSubstr("does nothing with it"))) << kind;
  EXPECT_THAT(warned("apps/v1", "Deployment"), IsEmpty());
  EXPECT_THAT(warned("v1", "ConfigMap"), IsEmpty());
  EXPECT_THAT(warned("networking.istio.io/v1alpha3", "EnvoyFilter"),
              ElementsAre(HasSubstr("not supported yet")));
}

TEST(Manifests, WhatIsStoredIsCalledByItsNameAndNotByItsFile) {
  char name[] = "/tmp/weft-stored-XXXXXX";
  ASSERT_NE(::mkdtemp(name), nullptr);
  const std::filesystem::path directory = name;
  std::filesystem::create_directory(directory / "VirtualService");
  std::ofstream(directory / "VirtualService" / "x.json")
      << R"({"apiVersion":"networking.istio.io/v1","kind":"VirtualService","metadata":{"name":"x",)"
         R"("namespace":"shop"},"spec":{"hosts":["a"],"http":[{"rewrite":{}}]}})";
  const auto stored = read_stored(directory);
  const auto gone = read_stored(directory / "nowhere");
  std::filesystem::remove_all(directory);
  ASSERT_TRUE(stored) << stored.error().text;
  ASSERT_EQ(stored->size(), 1u);
  const auto findings = controlplane::analyze::analyze(*stored);
  ASSERT_FALSE(findings.empty());
  for (const auto& finding : findings) {
    EXPECT_EQ(finding.place, "VirtualService shop/x");
    EXPECT_THAT(finding.message, Not(HasSubstr(name)));
    EXPECT_THAT(finding.message, Not(HasSubstr("VirtualService shop/x: spec")));
  }
  EXPECT_FALSE(gone);
}

TEST(Manifests, AMissingApiVersionSaysWhichThereAre) {
  char name[] = "/tmp/weft-manifests-XXXXXX";
  const int fd = ::mkstemp(name);
  ASSERT_GE(fd, 0);
  ::close(fd);
  std::ofstream(name) << "kind: TrafficSplit\nmetadata: {name: x}\n";
  const auto manifests = read_manifests({name}, "default");
  std::remove(name);
  ASSERT_FALSE(manifests);
  EXPECT_THAT(
      manifests.error().text,
      HasSubstr("apiVersion: is required (TrafficSplit is one of split.smi-spec.io/v1alpha4"));
}

}  // namespace
}  // namespace weft::cli
