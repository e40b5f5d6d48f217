#include "controlplane/ca/reviewer.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace weft::controlplane::ca {
namespace {

using nlohmann::json;
using std::chrono::seconds;

json answer() {
  return {{"status",
           {{"authenticated", true},
            {"audiences", {"weft-ca"}},
            {"user",
             {{"username", "system:serviceaccount:weft-system:weft-node"},
              {"extra",
               {{"authentication.kubernetes.io/pod-name", {"weft-node-x"}},
                {"authentication.kubernetes.io/pod-uid", {"uid-1"}},
                {"authentication.kubernetes.io/node-name", {"node1"}}}}}}}}};
}

std::optional<Caller> read(const json& one) {
  return Reviewer::read(one.dump(), "cluster.local", {});
}

TEST(Reviewer, ANodesPodSpeaksForItsNode) {
  const auto caller = read(answer());
  ASSERT_TRUE(caller);
  EXPECT_EQ(caller->node, "node1");
  EXPECT_EQ(caller->pod, "weft-system/weft-node-x");
  EXPECT_EQ(caller->pod_uid, "uid-1");
  EXPECT_FALSE(caller->any_node);
}

TEST(Reviewer, AnyOtherPodSpeaksForItself) {
  json one = answer();
  one["status"]["user"]["username"] = "system:serviceaccount:shop:web";
  const auto caller = read(one);
  ASSERT_TRUE(caller);
  EXPECT_EQ(caller->node, "");
  EXPECT_EQ(caller->identity->str(), "spiffe://cluster.local/ns/shop/sa/web");
}

TEST(Reviewer, WhatIsNotGoodForUsIsRefused) {
  const auto row = [](const char* pointer, json value) {
    json one = answer();
    one[json::json_pointer(pointer)] = std::move(value);
    EXPECT_FALSE(read(one)) << one.dump();
  };
  row("/status/authenticated", false);
  row("/status/authenticated", "true");
  row("/status/audiences", {"https://kubernetes.default.svc"});
  row("/status/audiences", nullptr);  // a server that does not know audiences
  row("/status/user/username", "admin");
  row("/status/user/username", "system:serviceaccount:shop");
  row("/status/user/username", "system:serviceaccount:shop:a/b");
  row("/status/user/extra", nullptr);  // a token of no pod
  row("/status/user/extra/authentication.kubernetes.io~1pod-uid", json::array());
  row("/status/user/extra/authentication.kubernetes.io~1pod-uid", {"a", "b"});
  for (const char* text : {"", "{", "[]", "null", R"({"status":[]})"})
    EXPECT_FALSE(Reviewer::read(text, "cluster.local", {})) << text;
}

TEST(Reviewer, AsksOnceInAWhile) {
  int asked = 0;
  bool up = true;
  Reviewer reviewer("cluster.local", {.ask = [&](const std::string& body) {
                      ++asked;
                      EXPECT_EQ(json::parse(body)["spec"]["audiences"], json::array({"weft-ca"}));
                      return up ? std::optional(answer().dump()) : std::nullopt;
                    }});
  const auto now = WallClock::now();
  EXPECT_TRUE(reviewer.find("t", now));
  EXPECT_TRUE(reviewer.find("t", now + seconds(9)));
  EXPECT_EQ(asked, 1);
  up = false;
  EXPECT_FALSE(reviewer.find("t", now + seconds(10))) << "nothing is believed for longer";
  EXPECT_FALSE(reviewer.find("t", now + seconds(11)));
  EXPECT_EQ(asked, 2);
  up = true;
  EXPECT_TRUE(reviewer.find("t", now + seconds(12)));
  EXPECT_TRUE(reviewer.find("t", now - seconds(3600)));
  EXPECT_EQ(asked, 4) << "a clock that was set back keeps nothing";
  EXPECT_FALSE(reviewer.find("", now));
  EXPECT_FALSE(reviewer.find(std::string(20 << 10, 'x'), now));
  EXPECT_EQ(asked, 4);
}

}  // namespace
}  // namespace weft::controlplane::ca
