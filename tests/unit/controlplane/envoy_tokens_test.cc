#include "controlplane/ca/envoy_tokens.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace weft::controlplane::ca {
namespace {

namespace fs = std::filesystem;

class EnvoyTokensTest : public testing::Test {
 protected:
  EnvoyTokensTest() {
    char name[] = "/tmp/weft-tokens-XXXXXX";
    root_ = ::mkdtemp(name);
  }
  ~EnvoyTokensTest() override { fs::remove_all(root_); }
  fs::path root_;
};

TEST_F(EnvoyTokensTest, ATokenSpeaksForItsPlanAndSurvivesARestart) {
  const auto first = EnvoyTokens::open(root_);
  ASSERT_TRUE(first);
  const std::string token = first->make("waypoint~shop/weft-waypoint");
  EXPECT_EQ(token.find('='), std::string::npos);
  const auto second = EnvoyTokens::open(root_);
  ASSERT_TRUE(second);
  EXPECT_EQ(second->verify(token), "waypoint~shop/weft-waypoint");
  EXPECT_EQ(second->make("waypoint~shop/weft-waypoint"), token);
}

TEST_F(EnvoyTokensTest, TheKeyIsForItsOwnerOnly) {
  ASSERT_TRUE(EnvoyTokens::open(root_));
  struct stat status{};
  ASSERT_EQ(::stat((root_ / "envoy-token.key").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
  ::chmod((root_ / "envoy-token.key").c_str(), 0644);
  const auto open = EnvoyTokens::open(root_);
  ASSERT_FALSE(open);
  EXPECT_NE(open.error().text.find("envoy-token.key: others may read it"), std::string::npos);
}

TEST_F(EnvoyTokensTest, NothingElseIsAToken) {
  const auto tokens = EnvoyTokens::open(root_);
  const std::string good = tokens->make("waypoint~a/b");
  for (std::size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] = bad[i] == 'A' ? 'B' : 'A';
    EXPECT_NE(tokens->verify(bad), "waypoint~a/b") << i;
    EXPECT_FALSE(tokens->verify(bad)) << i;
    EXPECT_FALSE(tokens->verify(good.substr(0, i))) << i;
  }
  EXPECT_FALSE(tokens->verify(good + "A"));
  EXPECT_FALSE(tokens->verify(""));
  const auto others = EnvoyTokens::open(root_ / "other");
  ASSERT_TRUE(others);
  EXPECT_FALSE(others->verify(good));
}

}  // namespace
}  // namespace weft::controlplane::ca
