#include "cli/check_cluster.h"

#include <gtest/gtest.h>

namespace weft::cli {
namespace {

using nlohmann::json;

json node(const char* kernel, const char* machine, const char* ready,
          const char* system = "linux") {
  return {{"metadata", {{"name", "n1"}}},
          {"status",
           {{"nodeInfo",
             {{"kernelVersion", kernel}, {"architecture", machine}, {"operatingSystem", system}}},
            {"conditions", {{{"type", "Ready"}, {"status", ready}}}}}}};
}

std::vector<Verdict> verdicts(const json& one) {
  std::vector<Verdict> out;
  for (const auto& finding : node_findings(one)) out.push_back(finding.verdict);
  return out;
}

TEST(CheckCluster, JudgesNodes) {
  using enum Verdict;
  EXPECT_EQ(verdicts(node("6.8.0-45-generic", "amd64", "True")), std::vector{kGood});
  EXPECT_EQ(verdicts(node("5.15.0", "amd64", "True")), std::vector{kWarning});
  EXPECT_EQ(verdicts(node("5.4.0", "amd64", "True")), std::vector{kBad});
  EXPECT_EQ(verdicts(node("6.1.0", "arm64", "True")), (std::vector{kGood, kWarning}));
  EXPECT_EQ(verdicts(node("6.1.0", "amd64", "False")), (std::vector{kGood, kWarning}));
  EXPECT_TRUE(verdicts(node("10.0.20348", "amd64", "True", "windows")).empty());
}

TEST(CheckCluster, JudgesTheServersVersion) {
  EXPECT_EQ(version_finding({{"gitVersion", "v1.34.4"}}).verdict, Verdict::kGood);
  EXPECT_EQ(version_finding({{"gitVersion", "v1.30.0+k3s1"}}).verdict, Verdict::kGood);
  EXPECT_EQ(version_finding({{"gitVersion", "v1.30.0-gke.100"}}).verdict, Verdict::kGood);
  EXPECT_EQ(version_finding({{"gitVersion", "v1.29.9"}}).verdict, Verdict::kBad);
  EXPECT_EQ(version_finding(json::object()).verdict, Verdict::kBad);
}

}  // namespace
}  // namespace weft::cli
