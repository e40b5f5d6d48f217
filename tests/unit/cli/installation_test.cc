#include "cli/installation.h"

#include <gtest/gtest.h>

namespace weft::cli {
namespace {

TEST(Installation, IsReadAsItWasWritten) {
  const Installation before{.version = "0.1.0",
                            .profile = "minimal",
                            .set = {"tag=7", "agent.x=a=b"},
                            .objects = {{"v1", "Namespace", "", "weft-system"},
                                        {"apps/v1", "DaemonSet", "weft-system", "weft-node"}}};
  const auto read = from_config_map(to_config_map(before));
  ASSERT_TRUE(read.has_value()) << read.error().text;
  EXPECT_EQ(read->version, "0.1.0");
  EXPECT_EQ(read->profile, "minimal");
  EXPECT_EQ(read->set, before.set);
  EXPECT_EQ(read->objects, before.objects);
}

TEST(Installation, NamesTheKeyThatIsWrong) {
  auto map = to_config_map({.version = "1", .profile = "", .set = {}, .objects = {}});
  map["data"]["objects"] = "[[1]]";
  EXPECT_NE(from_config_map(map).error().text.find("data.objects"), std::string::npos);
  map["data"].erase("set");
  EXPECT_NE(from_config_map(map).error().text.find("data.set"), std::string::npos);
}

TEST(Installation, RefsReadAsKubectlPrintsThem) {
  EXPECT_EQ((Ref{"apps/v1", "DaemonSet", "weft-system", "weft-node"}).str(),
            "daemonset.apps/weft-node");
  EXPECT_EQ((Ref{"v1", "Namespace", "", "weft-system"}).str(), "namespace/weft-system");
}

}  // namespace
}  // namespace weft::cli
