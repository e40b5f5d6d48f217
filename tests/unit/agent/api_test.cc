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
  EXPECT_EQ(api_command(R"({"cmd":"status"})")->command, ApiRequest::Command::kStatus);
  EXPECT_EQ(api_command(R"({"cmd":"step-aside"})")->command, ApiRequest::Command::kStepAside);
  EXPECT_EQ(api_error("no"), "{\"error\":\"no\"}\n");
}

TEST(Api, ReadsWhatAPodsSetUpSays) {
  const auto request = api_command(R"({"cmd":"ready-for-pod","uid":"u1","netns":"/run/netns/u1","ips":["10.0.0.7","fd00::7"]})");
  ASSERT_TRUE(request.has_value()) << request.error().text;
  EXPECT_EQ(request->command, ApiRequest::Command::kReadyForPod);
  EXPECT_EQ(request->arrival.uid, "u1");
  EXPECT_EQ(request->arrival.netns, "/run/netns/u1");
  EXPECT_EQ(request->arrival.ips.size(), 2u);
  EXPECT_TRUE(api_command(R"({"cmd":"ready-for-pod","uid":"u1"})").has_value()) << "a CNI plugin may know no more";
  for (const char* bad : {R"({"cmd":"ready-for-pod"})", R"({"cmd":"ready-for-pod","uid":7})", R"({"cmd":"ready-for-pod","uid":"u","netns":"run"})",
                          R"({"cmd":"ready-for-pod","uid":"u","ips":"10.0.0.1"})", R"({"cmd":"ready-for-pod","uid":"u","ips":["10.0.0"]})"}) {
    EXPECT_FALSE(api_command(bad).has_value()) << bad;
  }
}

TEST(Api, LetsAPodStartOnlyWhenItIsCapturedOrNotOfTheMesh) {
  const PodView captured{.pod = {.uid = "u1", .reason = "enabled by namespace"}, .state = State::kCaptured, .since = {}, .error = ""};
  PodView offered = captured;
  offered.state = State::kOffered;
  PodView stuck = captured;
  stuck.state = State::kUnseen;
  stuck.error = "waiting for ztunnel to connect";
  const std::vector<PlainPod> plain = {{.uid = "p1", .reason = "disabled by pod"}, {.uid = "p2", .reason = "the pod has no address yet", .wanted = true}};
  EXPECT_STREQ(judge_arrival("u1", captured, plain).state, "captured");
  EXPECT_STREQ(judge_arrival("u1", offered, plain).state, "wait");
  EXPECT_STREQ(judge_arrival("u1", stuck, plain).state, "wait");
  EXPECT_EQ(judge_arrival("u1", stuck, plain).reason, "waiting for ztunnel to connect");
  EXPECT_STREQ(judge_arrival("p1", std::nullopt, plain).state, "plain");
  EXPECT_STREQ(judge_arrival("p2", std::nullopt, plain).state, "wait");
  EXPECT_STREQ(judge_arrival("nobody", std::nullopt, plain).state, "wait") << "its object may come a moment later";
}

}  // namespace
}  // namespace weft::agent
