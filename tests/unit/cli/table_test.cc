#include "cli/table.h"

#include <gtest/gtest.h>

#include "sandbox/json.h"
#include "source/object.h"

namespace weft::cli {
namespace {

using sandbox::Json;

const TableOptions kPlain = {.age = [](const std::string&) { return 75L; }};

Json running_pod() {
  return {{"kind", "Pod"},
          {"metadata", {{"name", "web"}, {"namespace", "shop"}}},
          {"spec", {{"nodeName", "node1"}, {"containers", {{{"name", "c"}}, {{"name", "d"}}}}}},
          {"status",
           {{"phase", "Running"},
            {"podIP", "10.244.1.2"},
            {"containerStatuses",
             {{{"ready", true}, {"restartCount", 2}}, {{"ready", false}, {"restartCount", 1}}}}}}};
}

TEST(Table, PodsLookAsInKubectl) {
  EXPECT_EQ(object_table("Pod", {running_pod()}, kPlain),
            "NAME   READY   STATUS    RESTARTS   AGE\nweb    1/2     Running   3          75s\n");
}

TEST(Table, WideAndNamespacesAddColumns) {
  auto options = kPlain;
  options.wide = options.namespaces = true;
  EXPECT_EQ(object_table("Pod", {running_pod()}, options),
            "NAMESPACE   NAME   READY   STATUS    RESTARTS   AGE   IP           NODE\nshop        "
            "web    1/2     Running   3          75s   10.244.1.2   node1\n");
}

TEST(Table, APodsStatusIsTheMostTellingWord) {
  auto pod = running_pod();
  pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] = "CrashLoopBackOff";
  EXPECT_NE(object_table("Pod", {pod}, kPlain).find("CrashLoopBackOff"), std::string::npos);
  pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z";
  EXPECT_NE(object_table("Pod", {pod}, kPlain).find("Terminating"), std::string::npos);
}

TEST(Table, OtherKindsHaveNameAndAge) {
  EXPECT_EQ(object_table("Widget.example.com", {{{"metadata", {{"name", "w"}}}}}, kPlain),
            "NAME   AGE\nw      75s\n");
}

TEST(HumanDuration, IsKubectls) {
  const std::pair<long, const char*> cases[] = {
      {-1, "0s"},   {0, "0s"},     {119, "119s"},    {120, "2m"},    {200, "3m20s"},
      {600, "10m"}, {10800, "3h"}, {12000, "3h20m"}, {90000, "25h"}, {200000, "2d"}};
  for (const auto& [seconds, text] : cases) EXPECT_EQ(human_duration(seconds), text);
}

TEST(Yaml, ReadsBackAsTheSameValue) {
  const Json value = {
      {"apiVersion", "v1"},
      {"kind", "X"},
      {"metadata", {{"name", "x"}}},
      {"strings",
       {"", "yes", "1", "0x1f", "a: b", "- a", "#c", "a #c", "line\nbreak", "null", "~", "1.5",
        "2026-01-01", "é", "*x", "tail:", " pad "}},
      {"numbers", {1, -2, 1.5}},
      {"flags", {true, false}},
      {"nothing", nullptr},
      {"empty", {{"map", Json::object()}, {"list", Json::array()}}},
      {"nested", {{{"a", {{{"b", 1}, {"c", {1, 2}}}}}}, Json::array({Json::array({1}), "x"})}},
      {"weird key: yes", 1}};
  const auto text = to_yaml(value);
  const auto back = source::parse_manifest(text, "x.yaml");
  ASSERT_TRUE(back) << back.error().text << "\n" << text;
  EXPECT_EQ(*back->front()->body, value) << text;
}

}  // namespace
}  // namespace weft::cli
