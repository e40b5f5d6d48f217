#include "source/kube/reflector.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace weft::source::kube {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::seconds;

json pod(const std::string& name, const std::string& version) {
  return {{"metadata", {{"name", name}, {"namespace", "n"}, {"resourceVersion", version}}}};
}

std::string list(std::initializer_list<const char*> names, const std::string& version,
                 const std::string& next = "") {
  json items = json::array();
  for (const char* name : names) items.push_back(pod(name, version));
  return json{{"metadata", {{"resourceVersion", version}, {"continue", next}}}, {"items", items}}
      .dump();
}

std::string event(const char* type, const json& object) {
  return json{{"type", type}, {"object", object}}.dump() + "\n";
}

// One exchange at a time, as the driver does it.
class Talk {
 public:
  explicit Talk(std::vector<std::string> versions = {"v1"})
      : reflector({"", std::move(versions), "pods", "Pod", "a=b"}, 1) {}

  Request ask() {
    now = std::max(now, reflector.due());
    return reflector.next();
  }
  // Asks, hears `text` in two pieces, ends; gives what came out: "+a", "-b", "!c".
  std::string hear(const std::string& text, long status = 200, bool complete = true,
                   seconds retry_after = seconds(0)) {
    asked = ask().path;
    const std::size_t half = text.size() / 2;
    if (reflector.body(status, std::string_view(text).substr(0, half)))
      reflector.body(status, std::string_view(text).substr(half));
    reflector.end({.status = status, .retry_after = retry_after, .complete = complete}, now);
    std::string out;
    for (const Item& item : reflector.take())
      out += (item.object ? "+" : item.problem ? "!" : "-") + item.key.name + " ";
    return out;
  }
  bool asks_for(const std::string& part) {
    return reflector.next().path.find(part) != std::string::npos;
  }

  Reflector reflector;
  Clock::time_point now{};
  std::string asked;
};

TEST(Reflector, ListsInChunksThenWatches) {
  Talk talk;
  EXPECT_EQ(talk.hear(list({"a", "b"}, "5", "to ken")), "+a +b ");
  EXPECT_EQ(talk.asked, "/api/v1/pods?limit=500&a=b");
  EXPECT_FALSE(talk.reflector.synced());
  EXPECT_EQ(talk.hear(list({"c"}, "5")), "+c ");
  EXPECT_EQ(talk.asked, "/api/v1/pods?limit=500&a=b&continue=to%20ken");
  EXPECT_TRUE(talk.reflector.synced());
  EXPECT_EQ(talk.hear(event("ADDED", pod("d", "6")) + event("DELETED", pod("a", "7")) +
                      event("MODIFIED", pod("b", "8"))),
            "+d -a +b ");
  EXPECT_NE(talk.asked.find("resourceVersion=5&"), std::string::npos);
  EXPECT_TRUE(talk.asks_for("resourceVersion=8&"));
  EXPECT_EQ(talk.reflector.lists(), 1u);
}

TEST(Reflector, ABookmarkMovesTheVersionAlone) {
  Talk talk;
  talk.hear(list({"a"}, "5"));
  EXPECT_EQ(talk.hear(event("BOOKMARK", {{"metadata", {{"resourceVersion", "99"}}}})), "");
  EXPECT_TRUE(talk.asks_for("resourceVersion=99&"));
}

TEST(Reflector, ATruncatedLineIsAskedForAgain) {
  Talk talk;
  talk.hear(list({"a"}, "5"));
  const std::string cut = event("ADDED", pod("b", "6")) + event("ADDED", pod("c", "7"));
  EXPECT_EQ(talk.hear(cut.substr(0, cut.size() - 9), 200, false), "+b ");
  EXPECT_TRUE(talk.asks_for("resourceVersion=6&"));
  EXPECT_EQ(talk.reflector.lists(), 1u);
}

TEST(Reflector, GoneInsideTheStreamListsAgainAndForgetsWhatIsGone) {
  Talk talk;
  talk.hear(list({"a", "b"}, "5"));
  const json status = {{"kind", "Status"}, {"code", 410}, {"message", "too old resource version"}};
  EXPECT_EQ(talk.hear(event("ERROR", status)), "");
  EXPECT_NE(talk.reflector.trouble().find("too old"), std::string::npos);
  EXPECT_LE(talk.reflector.due() - talk.now, seconds(1));
  EXPECT_EQ(talk.hear(list({"b", "c"}, "9")), "+b +c -a ");
  EXPECT_EQ(talk.reflector.trouble(), "");
  EXPECT_EQ(talk.reflector.lists(), 2u);
}

TEST(Reflector, GoneAsHttpStatusListsAgain) {
  Talk talk;
  talk.hear(list({"a"}, "5"));
  talk.hear("{}", 410);
  EXPECT_TRUE(talk.asks_for("limit=500"));
}

TEST(Reflector, AnExpiredContinueTokenStartsOverAndLosesNothing) {
  Talk talk;
  talk.hear(list({"a"}, "5", "t"));
  EXPECT_EQ(talk.hear("{}", 410), "");
  EXPECT_EQ(talk.hear(list({"b"}, "9")), "+b -a ");  // `a` was handed out and is gone
  EXPECT_EQ(talk.asked.find("continue"), std::string::npos);
}

TEST(Reflector, AServerThatIsAwayChangesNothing) {
  Talk talk;
  talk.hear(list({"a"}, "5"));
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(talk.hear("", 0, false), "");
    EXPECT_GT(talk.reflector.due(), talk.now);
    EXPECT_LE(talk.reflector.due() - talk.now, seconds(3));
  }
  EXPECT_TRUE(talk.asks_for("resourceVersion=5&"));
  EXPECT_NE(talk.reflector.trouble(), "");
}

TEST(Reflector, RetryAfterIsHonouredAndErrorsBackOff) {
  Talk talk;
  talk.hear("slow down", 429, true, seconds(7));
  EXPECT_GE(talk.reflector.due() - talk.now, seconds(7));
  for (int i = 0; i < 12; ++i) talk.hear("oops", 500);
  EXPECT_GE(talk.reflector.due() - talk.now, seconds(15));
  EXPECT_NE(talk.reflector.trouble().find("HTTP 500 oops"), std::string::npos);
  EXPECT_FALSE(talk.reflector.synced());
}

TEST(Reflector, WhoSaysNotNowIsAskedAgainSoonHoweverOftenHeSaidIt) {
  for (const int status : {429, 503}) {
    Talk talk;
    for (int i = 0; i < 12; ++i) talk.hear("storage is (re)initializing", status);
    EXPECT_GT(talk.reflector.due() - talk.now, seconds(1)) << status;
    EXPECT_LT(talk.reflector.due() - talk.now, seconds(5)) << status;
  }
}

TEST(Reflector, WhatIsNotInstalledIsEmptyAndComesLater) {
  Talk talk({"v1", "v1beta1"});
  EXPECT_EQ(talk.hear("", 404), "");
  EXPECT_FALSE(talk.reflector.synced());
  EXPECT_EQ(talk.hear("", 404), "");
  EXPECT_NE(talk.asked.find("/api/v1beta1/"), std::string::npos);
  EXPECT_TRUE(talk.reflector.synced());
  EXPECT_EQ(talk.reflector.trouble(), "");
  EXPECT_GE(talk.reflector.due() - talk.now, seconds(5));
  EXPECT_EQ(talk.hear(list({"a"}, "5")), "+a ");
}

TEST(Reflector, OneNotFoundDoesNotEmptyWhatWasThere) {
  Talk talk;
  talk.hear(list({"a"}, "5"));
  EXPECT_EQ(talk.hear("", 404), "");
  EXPECT_EQ(talk.hear("", 404), "");  // of the list, once
  EXPECT_EQ(talk.hear("", 404), "-a ");
}

TEST(Reflector, GarbageListsAgainWithBackOff) {
  const std::string deep = std::string(100, '[') + std::string(100, ']') + "\n";
  for (const std::string& bad :
       {std::string("nonsense\n"), std::string("{\"type\":\"ADDED\"}\n"), deep,
        event("ADDED", {{"metadata", {{"name", "x"}}}}), event("WHAT", pod("a", "6")),
        event("ADDED", {{"metadata", {{"resourceVersion", "6"}}}}),
        std::string(kLineMax + 10, 'x')}) {
    Talk talk;
    talk.hear(list({"a"}, "5"));
    EXPECT_EQ(talk.hear(bad), "") << bad.substr(0, 80);
    EXPECT_NE(talk.reflector.trouble(), "") << bad.substr(0, 80);
    EXPECT_GT(talk.reflector.due(), talk.now);
    EXPECT_TRUE(talk.asks_for("limit=500")) << bad.substr(0, 80);
  }
}

TEST(Reflector, AnObjectOfOneAndAHalfMebibytesPasses) {
  Talk talk;
  talk.hear(list({}, "5"));
  json big = pod("a", "6");
  big["data"] = std::string(3u << 19, 'x');
  EXPECT_EQ(talk.hear(event("ADDED", big)), "+a ");
}

TEST(Reflector, ABadObjectIsAProblemOfThatObject) {
  Talk talk;
  json bad = pod("a", "6");
  bad["metadata"]["labels"] = {{"k", 1}};
  talk.hear(list({}, "5"));
  EXPECT_EQ(talk.hear(event("ADDED", bad) + event("ADDED", pod("b", "7"))), "!a +b ");
}

TEST(Reflector, ManagedFieldsAndVersionsAreNotKept) {
  Talk talk;
  json object = pod("a", "5");
  object["metadata"]["managedFields"] = json::array({1, 2});
  talk.ask();
  const json all = {{"metadata", {{"resourceVersion", "5"}}}, {"items", json::array({object})}};
  talk.reflector.body(200, all.dump());
  talk.reflector.end({.status = 200, .complete = true}, {});
  const auto items = talk.reflector.take();
  ASSERT_EQ(items.size(), 1u);
  EXPECT_EQ(items[0].object->body->dump(),
            R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","namespace":"n"}})");
}

}  // namespace
}  // namespace weft::source::kube
