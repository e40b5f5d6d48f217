// weft-cni: what it is given, what it answers, and how it is kept in the node's chain of plugins.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "agent/cni/chain.h"
#include "agent/cni/plugin.h"

namespace weft::cni {
namespace {

using nlohmann::json;

constexpr const char* kGiven = R"({"cniVersion":"0.4.0","name":"pods","type":"weft-cni","socket":"/s","exemptNamespaces":["kube-system"],
  "prevResult":{"cniVersion":"0.4.0","ips":[{"version":"4","address":"10.244.0.5/24"},{"version":"6","address":"fd00::5/64"}],"dns":{}}})";

TEST(CniPlugin, ReadsWhatTheRuntimeGives) {
  const auto pod = read_environment({{"CNI_COMMAND", "ADD"},
                                     {"CNI_NETNS", "/var/run/netns/cni-1"},
                                     {"CNI_ARGS", "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-1;K8S_POD_UID=u-1;X"}});
  ASSERT_TRUE(pod.has_value()) << pod.error().text;
  EXPECT_EQ(pod->ns + "/" + pod->pod + " " + pod->uid + " " + pod->netns, "shop/web-1 u-1 /var/run/netns/cni-1");
  const auto config = read_config(kGiven, true);
  ASSERT_TRUE(config.has_value()) << config.error().text;
  EXPECT_EQ(config->socket, "/s");
  EXPECT_TRUE(config->exempt.contains("kube-system"));
  EXPECT_EQ(config->ips, (std::vector<std::string>{"10.244.0.5", "fd00::5"}));
  EXPECT_EQ(json::parse(config->previous), json::parse(kGiven)["prevResult"]);
  const auto asked = json::parse(question(*pod, *config));
  EXPECT_EQ(asked, (json{{"cmd", "ready-for-pod"}, {"uid", "u-1"}, {"netns", "/var/run/netns/cni-1"}, {"ips", {"10.244.0.5", "fd00::5"}}}));
}

TEST(CniPlugin, NamesWhatIsWrong) {
  EXPECT_NE(read_environment({}).error().text.find("CNI_COMMAND"), std::string::npos);
  EXPECT_NE(read_environment({{"CNI_COMMAND", "ADD"}}).error().text.find("CNI_NETNS"), std::string::npos);
  const std::vector<std::pair<const char*, const char*>> rows = {
      {"", "JSON"},
      {"[]", "JSON"},
      {"{}", "prevResult"},
      {R"({"prevResult":{}})", "prevResult.ips"},
      {R"({"socket":"s","prevResult":{"ips":[]}})", "socket"},
      {R"({"waitSeconds":-1,"prevResult":{"ips":[]}})", "waitSeconds"},
      {R"({"waitSeconds":100000,"prevResult":{"ips":[]}})", "waitSeconds"},
      {R"({"exemptNamespaces":"a","prevResult":{"ips":[]}})", "exemptNamespaces"},
      {R"({"exemptNamespaces":[1],"prevResult":{"ips":[]}})", "exemptNamespaces"},
  };
  for (const auto& [text, field] : rows) {
    const auto read = read_config(text, true);
    ASSERT_FALSE(read.has_value()) << text;
    EXPECT_NE(read.error().text.find(field), std::string::npos) << read.error().text;
  }
  EXPECT_TRUE(read_config("{}", false).has_value());
}

TEST(CniPlugin, GoesOnOnlyWhenTheAgentSaysSo) {
  EXPECT_TRUE(read_answer(R"({"state":"captured","reason":""})").go);
  EXPECT_TRUE(read_answer(R"({"state":"plain","reason":""})").go);
  EXPECT_EQ(read_answer(R"({"state":"wait","reason":"the pod is being captured"})").reason, "the pod is being captured");
  for (const char* text : {"", "{}", "[]", "1", R"({"state":1})", R"({"state":"other"})", R"({"error":"uid: missing"})"}) {
    EXPECT_FALSE(read_answer(text).go) << text;
  }
}

class CniChain : public testing::Test {
 protected:
  void SetUp() override {
    root_ = testing::TempDir() + "/cni-" + testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::remove_all(root_);
    for (const char* part : {"/conf", "/bin"}) std::filesystem::create_directories(root_ + part);
    write("/plugin", "binary 1");
  }
  void TearDown() override { std::filesystem::remove_all(root_); }
  void write(const std::string& path, const std::string& text) { std::ofstream(root_ + path) << text; }
  std::string read(const std::string& path) {
    std::ifstream in(root_ + path);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  Chain chain() {
    return Chain({.config_directory = root_ + "/conf", .bin_directory = root_ + "/bin", .plugin = root_ + "/plugin", .socket = "/s", .exempt = {"a"}});
  }
  std::string root_;
};

constexpr const char* kConfig = R"({"cniVersion":"0.4.0","name":"pods","plugins":[{"type":"bridge"},{"type":"portmap"}]})";

TEST_F(CniChain, IsLinkedOnceAndMendedWhenOverwritten) {
  write("/conf/10-pods.conflist", kConfig);
  write("/conf/20-other.conflist", kConfig);  // the runtime takes the first
  auto first = chain().ensure();
  ASSERT_TRUE(first.has_value()) << first.error().text;
  EXPECT_TRUE(*first);
  const auto plugins = json::parse(read("/conf/10-pods.conflist"))["plugins"];
  ASSERT_EQ(plugins.size(), 3u);
  EXPECT_EQ(plugins[2], (json{{"type", "weft-cni"}, {"socket", "/s"}, {"exemptNamespaces", {"a"}}}));
  EXPECT_EQ(read("/conf/20-other.conflist"), kConfig);
  EXPECT_EQ(read("/bin/weft-cni"), "binary 1");
  EXPECT_FALSE(*chain().ensure());

  write("/conf/10-pods.conflist", kConfig);  // the CNI's own installer
  write("/plugin", "binary 2");              // an upgrade of ours
  EXPECT_TRUE(*chain().ensure());
  EXPECT_EQ(json::parse(read("/conf/10-pods.conflist"))["plugins"], plugins);
  EXPECT_EQ(read("/bin/weft-cni"), "binary 2");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(root_ + "/conf"), {}), 2);  // nothing half-written is left
}

TEST_F(CniChain, LeavesAsItCame) {
  write("/conf/10-pods.conflist", kConfig);
  ASSERT_TRUE(chain().ensure().has_value());
  ASSERT_TRUE(chain().remove().has_value());
  EXPECT_EQ(json::parse(read("/conf/10-pods.conflist")), json::parse(kConfig));
  EXPECT_FALSE(std::filesystem::exists(root_ + "/bin/weft-cni"));
  EXPECT_TRUE(chain().remove().has_value());
}

TEST_F(CniChain, SaysWhyItCannotBeLinkedAndChangesNothing) {
  EXPECT_NE(chain().ensure().error().text.find("no CNI configuration yet"), std::string::npos);
  for (const auto& [name, text, why] : {std::tuple("10-a.conf", kConfig, "one plugin alone"), {"05-b.conflist", "{", "no JSON"},
                                        {"04-c.conflist", R"({"plugins":{}})", "plugins"}, {"03-d.conflist", R"({"plugins":[]})", "plugins"}}) {
    write(std::string("/conf/") + name, text);
    const auto done = chain().ensure();
    ASSERT_FALSE(done.has_value()) << name;
    EXPECT_NE(done.error().text.find(why), std::string::npos) << done.error().text;
    EXPECT_EQ(read(std::string("/conf/") + name), text);
  }
}

}  // namespace
}  // namespace weft::cni
