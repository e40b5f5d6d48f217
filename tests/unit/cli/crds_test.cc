#include "cli/crds.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace weft::cli {
namespace {

using nlohmann::json;

json crd(const std::string& version, const std::string& channel = "standard",
         const std::string& manager = "") {
  json out = {{"metadata", {{"name", "gateways.gateway.networking.k8s.io"}}}};
  if (!version.empty()) {
    out["metadata"]["annotations"] = {{"gateway.networking.k8s.io/bundle-version", version},
                                      {"gateway.networking.k8s.io/channel", channel}};
  }
  if (!manager.empty()) out["metadata"]["labels"] = {{"app.kubernetes.io/managed-by", manager}};
  return out;
}

TEST(Crds, NeverGoBackAndNeverTakeOthers) {
  struct Row {
    json theirs;
    CrdVerdict verdict;
  };
  const std::vector<Row> rows = {
      {json(), CrdVerdict::kMissing},
      {crd("v1.4.1"), CrdVerdict::kSame},
      {crd("v1.4.1", "standard", "weftctl"), CrdVerdict::kOurs},
      {crd("v1.4.0", "standard", "weftctl"), CrdVerdict::kOurs},
      {crd("v1.4.0"), CrdVerdict::kOlder},
      {crd("v1.10.0"), CrdVerdict::kNewer},
      {crd("v1.6.3", "standard", "weftctl"), CrdVerdict::kNewer},
      {crd("v1.4.1", "experimental"), CrdVerdict::kChannel},
      {crd("v1.6.3", "experimental"), CrdVerdict::kNewer},
  };
  for (const auto& row : rows)
    EXPECT_EQ(plan_crd(crd("v1.4.1"), row.theirs).verdict, row.verdict) << row.theirs;
  EXPECT_EQ(plan_crd(crd("v1.4.1"), crd("v1.10.0")).theirs, "v1.10.0");
  // Istio's say no version.
  EXPECT_EQ(plan_crd(crd(""), crd("")).verdict, CrdVerdict::kSame);
  EXPECT_EQ(plan_crd(crd(""), crd("", "", "weftctl")).verdict, CrdVerdict::kOurs);
}

TEST(Crds, VersionsAreNumbers) {
  EXPECT_EQ(compare_versions("v1.4.1", "1.4.1"), 0);
  EXPECT_EQ(compare_versions("v1.10.0", "v1.9.9"), 1);
  EXPECT_EQ(compare_versions("v1.4.0-rc.1", "v1.4.0"), -1);
  EXPECT_EQ(compare_versions("v1.4", "v1.4.0"), 0);
  EXPECT_EQ(compare_versions("v0.9.0", "v1.0.0"), -1);
}

class CrdFiles : public testing::Test {
 protected:
  void SetUp() override {
    dir_ = testing::TempDir() + "crds-" + std::to_string(::getpid()) + "-" +
           testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::create_directories(dir_ + "/gateway");
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }
  void write(const std::string& name, const std::string& text) {
    std::ofstream(dir_ + "/" + name) << text;
  }
  std::string dir_;
};

constexpr const char* kOne =
    "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: "
    "b.x.io}\n";

TEST_F(CrdFiles, AreFoundByTheirKind) {
  write("gateway/a.yaml", std::string("# words\n---\n") + kOne +
                              "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: no}\n");
  write("other.yaml",
        "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: "
        "a.x.io}\n");
  write("notes.txt", "kind: CustomResourceDefinition");
  write("kustomization.yaml", "resources: [other.yaml]\n");
  const auto read = read_crds(dir_);
  ASSERT_TRUE(read.has_value()) << read.error().text;
  ASSERT_EQ(read->size(), 2u);
  EXPECT_EQ((*read)[0]["metadata"]["name"], "a.x.io");
  EXPECT_EQ(read_crds(dir_ + "/other.yaml")->size(), 1u);
}

TEST_F(CrdFiles, SayWhatIsWrong) {
  EXPECT_NE(read_crds(dir_).error().text.find("no CustomResourceDefinition"), std::string::npos);
  EXPECT_FALSE(read_crds(dir_ + "/absent").has_value());
  write("a.yaml", kOne);
  write("b.yaml", kOne);
  EXPECT_NE(read_crds(dir_).error().text.find("b.x.io is there twice"), std::string::npos);
  write("b.yaml", std::string(kOne) + "metadata: {}\n");
  EXPECT_NE(read_crds(dir_).error().text.find("b.yaml"), std::string::npos)
      << read_crds(dir_).error().text;
}

}  // namespace
}  // namespace weft::cli
