#include "controlplane/ca/callers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace weft::controlplane::ca {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

TEST(NodeAuthorizer, GrantsOnlyIdentitiesThatLiveOnTheCallersNode) {
  NodeAuthorizer nodes("cluster.local");
  nodes.apply({{"shop/web-1", "node1", "shop", "web"},
               {"shop/web-2", "node1", "shop", "web"},
               {"shop/db-1", "node2", "shop", "db"}});
  const mesh::Identity web{"cluster.local", "shop", "web"}, db{"cluster.local", "shop", "db"},
      foreign{"evil", "shop", "web"};
  const Caller node1{.node = "node1"}, node2{.node = "node2"},
      anyone{.node = "*", .any_node = true}, itself{.identity = db};
  struct Row {
    const char* name;
    Caller caller;
    mesh::Identity wanted;
    const char* error;
  };
  const Row rows[] = {
      {"its own pod", node1, web, ""},
      {"a foreign node's pod", node1, db, "no pod with service account shop/db runs on node node1"},
      {"the other way round", node2, web,
       "no pod with service account shop/web runs on node node2"},
      {"nobody's account", node1, {"cluster.local", "shop", "ghost"}, "no pod"},
      {"same account, other namespace", node1, {"cluster.local", "other", "web"}, "no pod"},
      {"another trust domain", node1, foreign, "not of the trust domain"},
      {"an operator", anyone, db, ""},
      {"an operator in another trust domain", anyone, foreign, "not of the trust domain"},
      {"a workload for itself", itself, db, ""},
      {"a workload for another", itself, web, "speaks for no node"},
      {"nobody", {}, web, "speaks for no node"},
  };
  for (const Row& row : rows) {
    const auto refused = nodes.refuse(row.caller, row.wanted);
    EXPECT_EQ(refused.has_value(), *row.error != 0) << row.name;
    if (refused) EXPECT_THAT(refused->text, HasSubstr(row.error)) << row.name;
  }
  nodes.apply({{"shop/web-1", "", "shop", ""}});
  EXPECT_FALSE(nodes.refuse(node1, web)) << "one of two is left";
  nodes.apply({{"shop/web-2", "", "shop", ""}});
  EXPECT_TRUE(nodes.refuse(node1, web)) << "the last one is gone";
  EXPECT_TRUE(nodes.refuse({.identity = web}, web)) << "a certificate alone renews nothing";
  EXPECT_FALSE(nodes.refuse(itself, db));
  nodes.apply({{"shop/db-1", "node1", "shop", "db"}});
  EXPECT_TRUE(nodes.refuse(node2, db)) << "it moved";
  EXPECT_FALSE(nodes.refuse(node1, db));
}

TEST(NodeAuthorizer, ABoundTokenIsGoodWhileItsVeryPodRuns) {
  NodeAuthorizer nodes("cluster.local");
  const mesh::Identity web{"cluster.local", "shop", "web"}, node{"cluster.local", "sys", "node"};
  nodes.apply(
      {{"shop/web-1", "node1", "shop", "web", "w1"}, {"sys/z", "node1", "sys", "node", "u1"}});
  Caller caller{.node = "node1", .identity = node, .pod = "sys/z", .pod_uid = "u1"};
  EXPECT_FALSE(nodes.refuse(caller, web));
  EXPECT_FALSE(nodes.refuse(caller, node));
  caller.node = "node2";
  EXPECT_TRUE(nodes.refuse(caller, web)) << "it never ran there";
  caller.node = "node1";
  nodes.apply({{"sys/z", "node1", "sys", "node", "u2"}});
  EXPECT_TRUE(nodes.refuse(caller, web)) << "same name, another pod";
  EXPECT_TRUE(nodes.refuse(caller, node)) << "not even its own";
  nodes.apply({{"sys/z", "", "sys", "", ""}});
  caller.pod_uid = "";
  EXPECT_TRUE(nodes.refuse(caller, web)) << "it is gone";
}

class TokenFile : public testing::Test {
 protected:
  TokenFile() {
    char name[] = "/tmp/weft-tokens-XXXXXX";
    root_ = ::mkdtemp(name);
    path_ = (root_ / "tokens").string();
  }
  ~TokenFile() override { fs::remove_all(root_); }
  void write(const std::string& text) {
    std::ofstream(path_ + ".tmp") << text;
    fs::rename(path_ + ".tmp", path_);
  }
  fs::path root_;
  std::string path_;
};

TEST_F(TokenFile, ChangesAreSeenAndBreakageKeepsTheOldOnes) {
  write(
      "- {token: t1, node: node1}\n- {token: old, node: node1, expires: "
      "\"2020-01-01T00:00:00Z\"}\n");
  Tokens tokens(path_);
  ASSERT_FALSE(tokens.load());
  const auto now = WallClock::now();
  ASSERT_TRUE(tokens.find("t1", now));
  EXPECT_EQ(tokens.find("t1", now)->node, "node1");
  EXPECT_FALSE(tokens.find("old", now)) << "expired";
  EXPECT_FALSE(tokens.find("unknown", now));
  EXPECT_FALSE(tokens.find("", now));
  write("- {token: t2, node: '*'}\n");
  EXPECT_FALSE(tokens.find("t1", now));
  ASSERT_TRUE(tokens.find("t2", now));
  EXPECT_TRUE(tokens.find("t2", now)->any_node);
  write("- {token: t3}\n");
  EXPECT_TRUE(tokens.find("t2", now)) << "a broken file changes nothing";
  ASSERT_TRUE(tokens.trouble());
  EXPECT_THAT(tokens.trouble()->text, HasSubstr("tokens:1: node: is required"));
}

TEST_F(TokenFile, ProblemsAreNamedWithoutTheSecret) {
  const std::pair<const char*, const char*> rows[] = {
      {"token: a\n", "must be a list"},
      {"- a\n", ":1: must be {token, node}"},
      {"- {node: a}\n", ":1: token: is required"},
      {"- {token: SECRET, nod: a}\n", ":1: nod: unknown field"},
      {"- {token: SECRET, node: a}\n- {token: SECRET, node: b}\n", ":2: token: is there twice"},
      {"- {token: SECRET, node: a, expires: tomorrow}\n", "expires: must be like"},
      {"- {token: SECRET, node: a, identity: me}\n", "identity: must be spiffe://"},
      {"- {token: SECRET, node: [\n", "not a list of"},
      {"- {token: [SECRET], node: a}\n", "not a list of"},
  };
  for (const auto& [text, error] : rows) {
    const auto parsed = Tokens::parse(text, "tokens");
    ASSERT_FALSE(parsed) << text;
    EXPECT_THAT(parsed.error().text, HasSubstr(error)) << text;
    EXPECT_THAT(parsed.error().text, testing::Not(HasSubstr("SECRET")));
  }
  Tokens missing("/nowhere/tokens");
  EXPECT_TRUE(missing.load());
}

}  // namespace
}  // namespace weft::controlplane::ca
