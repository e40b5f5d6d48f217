#include "agent/api.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace weft::agent {
namespace {

TEST(Api, TellsWhoIsEnrolledAndWhyTheOthersAreNot) {
  StatusFacts facts;
  facts.node = "n1";
  facts.programs = {{"connect4", 17}};
  PodView view{.pod = {.uid = "u1", .ns = "shop", .name = "web", .service_account = "front", .ips = {*IpAddress::parse("10.0.0.7")}, .reason = "enabled by namespace", .key = "weft.dev/mesh"},
               .state = State::kCaptured,
               .since = WallClock::time_point(std::chrono::seconds(86400)),
               .error = ""};
  facts.pods = {view};
  facts.plain = {{.uid = "u2", .ns = "shop", .name = "db", .ips = {}, .reason = "disabled by pod", .key = "weft.dev/mesh"}};
  const std::string text = status_json(facts);
  EXPECT_EQ(text.find('\n'), text.size() - 1) << "one line";
  const auto reply = nlohmann::json::parse(text);
  EXPECT_EQ(reply["node"], "n1");
  EXPECT_EQ(reply["bpf"]["programs"][0]["name"], "connect4");
  EXPECT_EQ(reply["pods"][0]["state"], "captured");
  EXPECT_EQ(reply["pods"][0]["since"], "1970-01-02T00:00:00Z");
  EXPECT_EQ(reply["pods"][0]["ips"][0], "10.0.0.7");
  EXPECT_EQ(reply["pods"][1]["state"], "not enrolled");
  EXPECT_EQ(reply["pods"][1]["reason"], "disabled by pod");
}

TEST(Api, SurvivesTextThatIsNoUtf8) {
  StatusFacts facts;
  facts.problems = {{"a.yaml", "value \xff\xfe"}};
  EXPECT_NO_THROW((void)nlohmann::json::parse(status_json(facts)));
}

TEST(Api, RefusesWhatIsNoCommand) {
  EXPECT_TRUE(api_command(R"({"cmd":"status"})").has_value());
  for (const char* request : {"", "status", "{", "[]", "{}", R"({"cmd":1})", R"({"cmd":"stop"})"}) {
    EXPECT_FALSE(api_command(request).has_value()) << request;
  }
  EXPECT_EQ(api_error("no"), "{\"error\":\"no\"}\n");
}

}  // namespace
}  // namespace weft::agent
