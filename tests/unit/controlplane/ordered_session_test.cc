// OrderedSession and Fleet, spoken to by a scripted Envoy.
#include "controlplane/xds/ordered_session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "controlplane/xds/fleet.h"

namespace weft::controlplane::xds {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

ResourcePtr make(const std::string& type, const std::string& name, const std::string& version) {
  return std::make_shared<const Resource>(
      Resource{.type = type, .name = name, .version = version, .body = version});
}

using Parts = std::vector<std::array<std::string, 3>>;  // type, name, version
SnapshotPtr snapshot(const Parts& parts) {
  auto out = std::make_shared<Snapshot>();
  for (const auto& [type, name, version] : parts)
    out->types[type][name] = make(type, name, version);
  return out;
}

const std::string kC = kClusterType, kE = kEndpointsType, kL = kListenerType, kX = kExtensionType,
                  kS = kScopedRouteType;

// One waypoint: listener, token filter, and a service for every name.
Parts services(const std::vector<std::string>& names, const std::string& version = "1") {
  Parts out{{kL, "waypoint", "1"}, {kX, "weft.jwt", "1"}};
  for (const std::string& name : names) {
    out.push_back({kC, name, "1"});
    out.push_back({kE, name, "1"});
    out.push_back({kS, name, version});
  }
  return out;
}

std::vector<std::string> names(const Response& response) {
  std::vector<std::string> out;
  for (const ResourcePtr& one : response.resources) out.push_back(one->name);
  return out;
}

// Answers as Envoy does: acknowledges, and asks for what it got to know of.
class Envoy {
 public:
  using Judge = std::function<std::optional<std::string>(const Response&)>;  // why it refuses

  explicit Envoy(OrderedSession& session) : session_(session) {}
  void start(const std::map<std::string, std::map<std::string, std::string>>& versions = {}) {
    for (const std::string& type : {kC, kL}) ask(type, {}, versions);
    if (!versions.empty()) {
      ask(kE, keys(versions, kE), versions);
      ask(kX, keys(versions, kX), versions);
      ask(kS, {}, versions);
    }
  }
  // Until the session has nothing more; the log has one line a response.
  std::vector<std::string> run(const Judge& judge = {}) {
    std::vector<std::string> log;
    while (auto response = session_.next()) {
      log.push_back(line(*response));
      answer(*response, judge ? judge(*response) : std::nullopt);
    }
    return log;
  }
  void answer(const Response& response, const std::optional<std::string>& error) {
    if (!error) {
      for (const ResourcePtr& one : response.resources) {
        if (response.type == kC && asked_.insert(one->name).second) ask(kE, {one->name}, {});
        if (response.type == kL && !listening_) {
          listening_ = true;
          ask(kX, {"weft.jwt"}, {});
          ask(kS, {}, {});
        }
      }
      if (response.type == kC) {
        for (const std::string& one : response.removed) {
          asked_.erase(one);
          ASSERT_TRUE(session_.receive({.type = kE, .unsubscribe = {one}}));
        }
      }
    }
    ASSERT_TRUE(session_.receive({.type = response.type, .nonce = response.nonce, .error = error}));
  }
  static std::string line(const Response& response) {
    std::string out = response.type.substr(response.type.rfind('.') + 1) + ":";
    for (const ResourcePtr& one : response.resources) out += " " + one->name + "@" + one->version;
    for (const std::string& one : response.removed) out += " -" + one;
    return out;
  }

 private:
  using Versions = std::map<std::string, std::map<std::string, std::string>>;
  static std::vector<std::string> keys(const Versions& versions, const std::string& type) {
    std::vector<std::string> out;
    const auto found = versions.find(type);
    if (found == versions.end()) return out;
    for (const auto& [name, version] : found->second) out.push_back(name);
    return out;
  }
  void ask(const std::string& type, const std::vector<std::string>& subscribe,
           const Versions& versions) {
    const auto found = versions.find(type);
    Request request{.type = type, .subscribe = subscribe};
    if (found != versions.end()) request.initial_versions = found->second;
    if (type == kE) asked_.insert(subscribe.begin(), subscribe.end());
    ASSERT_TRUE(session_.receive(request));
  }

  OrderedSession& session_;
  std::set<std::string> asked_;
  bool listening_ = false;
};

TEST(OrderedSession, BeginsWithClustersAndEndsWithRoutes) {
  OrderedSession session;
  Envoy envoy(session);
  session.want(snapshot(services({"a", "b"})));
  envoy.start();
  EXPECT_THAT(envoy.run(), ElementsAre("Cluster: a@1 b@1", "ClusterLoadAssignment: a@1 b@1",
                                       "Listener: waypoint@1", "TypedExtensionConfig: weft.jwt@1",
                                       "ScopedRouteConfiguration: a@1 b@1"));
  EXPECT_TRUE(session.state(kS, "a").acked);
}

TEST(OrderedSession, AStepWaitsForTheAnswerToTheOneBefore) {
  OrderedSession session;
  session.want(snapshot(services({"a"})));
  session.receive({.type = kC});
  session.receive({.type = kL});
  const auto clusters = session.next();
  ASSERT_TRUE(clusters);
  EXPECT_FALSE(session.next());
  session.receive({.type = kC, .nonce = clusters->nonce});
  EXPECT_FALSE(session.next()) << "the cluster is there and has not asked for its endpoints";
  session.receive({.type = kE, .subscribe = {"a"}});
  const auto endpoints = session.next();
  ASSERT_TRUE(endpoints);
  EXPECT_EQ(endpoints->type, kE);
  EXPECT_FALSE(session.next());
  session.receive({.type = kE, .nonce = endpoints->nonce});
  EXPECT_EQ(session.next()->type, kL);
}

// Envoy acknowledges clusters when they have warmed, and they warm with their endpoints.
TEST(OrderedSession, EndpointsDoNotWaitForTheAnswerAboutTheirClusters) {
  OrderedSession session;
  Envoy envoy(session);
  session.want(snapshot(services({"a"})));
  envoy.start();
  envoy.run();
  Parts parts = services({"a", "b"});
  parts[2][2] = "2";
  ASSERT_EQ(parts[2][0] + parts[2][1], kC + "a");
  session.want(snapshot(parts));
  const auto clusters = session.next();
  ASSERT_TRUE(clusters);
  EXPECT_EQ(Envoy::line(*clusters), "Cluster: a@2 b@1");
  const auto again = session.next();
  ASSERT_TRUE(again);
  EXPECT_EQ(Envoy::line(*again), "ClusterLoadAssignment: a@1");
  session.receive({.type = kE, .subscribe = {"b"}});
  session.receive({.type = kE, .nonce = again->nonce});
  const auto more = session.next();
  ASSERT_TRUE(more);
  EXPECT_EQ(Envoy::line(*more), "ClusterLoadAssignment: b@1");
  session.receive({.type = kE, .nonce = more->nonce});
  EXPECT_FALSE(session.next()) << "routes wait for the clusters";
  session.receive({.type = kC, .nonce = clusters->nonce});
  EXPECT_EQ(Envoy::line(*session.next()), "ScopedRouteConfiguration: b@1");
}

TEST(OrderedSession, EndpointsOnTheirWayWhenTheirClusterChangesAreSentAgain) {
  OrderedSession session;
  Envoy envoy(session);
  session.want(snapshot(services({"a"})));
  envoy.start();
  envoy.run();
  Parts parts = services({"a"});
  parts[3][2] = "2";
  ASSERT_EQ(parts[3][0], kE);
  session.want(snapshot(parts));
  const auto endpoints = session.next();
  parts[2][2] = "2";
  session.want(snapshot(parts));
  EXPECT_EQ(Envoy::line(*session.next()), "Cluster: a@2");
  session.receive({.type = kE, .nonce = endpoints->nonce});
  EXPECT_EQ(Envoy::line(*session.next()), "ClusterLoadAssignment: a@2");
}

TEST(OrderedSession, NothingIsSentBeforeThereIsASnapshot) {
  OrderedSession session;
  session.receive({.type = kC});
  EXPECT_FALSE(session.next());
  session.want(snapshot({}));
  const auto empty = session.next();
  ASSERT_TRUE(empty);
  EXPECT_THAT(empty->resources, IsEmpty());
  session.receive({.type = kC, .nonce = empty->nonce});
  EXPECT_FALSE(session.next()) << "an empty answer is owed once";
}

TEST(OrderedSession, OneChangedRouteAmongFiveHundredIsSentAlone) {
  std::vector<std::string> all;
  for (int i = 0; i < 500; ++i) all.push_back("s" + std::to_string(i));
  OrderedSession session;
  Envoy envoy(session);
  session.want(snapshot(services(all)));
  envoy.start();
  envoy.run();
  Parts parts = services(all);
  for (auto& part : parts) {
    if (part[0] == kS && part[1] == "s77") part[2] = "2";
  }
  session.want(snapshot(parts));
  EXPECT_THAT(envoy.run(), ElementsAre("ScopedRouteConfiguration: s77@2"));
}

TEST(OrderedSession, RoutesGoBeforeTheClustersThatTheyNamed) {
  OrderedSession session;
  Envoy envoy(session);
  session.want(snapshot(services({"a", "b"})));
  envoy.start();
  envoy.run();
  session.want(snapshot(services({"a"})));
  EXPECT_THAT(session.leftovers(kS), ElementsAre("b"));
  EXPECT_THAT(envoy.run(), ElementsAre("ScopedRouteConfiguration: -b", "Cluster: -b"));
  EXPECT_THAT(session.leftovers(kS), IsEmpty());
}

TEST(OrderedSession, AClusterThatIsStillNamedIsNotTakenAwayWhileRoutesAreOnTheirWay) {
  OrderedSession session;
  Envoy envoy(session);
  session.want(snapshot(services({"a", "b"})));
  envoy.start();
  envoy.run();
  session.want(snapshot(services({"a"})));
  const auto routes = session.next();
  ASSERT_TRUE(routes);
  EXPECT_FALSE(session.next());
  envoy.answer(*routes, "no");
  EXPECT_FALSE(session.next()) << "the route is still there, and so is its cluster";
}

TEST(OrderedSession, TheClusterOfALastGoodRouteStays) {
  OrderedSession session;
  Envoy envoy(session);
  session.want(snapshot(services({"a", "b"})));
  envoy.start();
  envoy.run();
  Parts parts = services({"a"});
  parts.push_back({kS, "b", "bad"});
  session.want(snapshot(parts));
  EXPECT_THAT(envoy.run([](const Response&) { return "bad"; }),
              ElementsAre("ScopedRouteConfiguration: b@bad"));
}

TEST(OrderedSession, AChangedClusterGetsItsEndpointsAgain) {
  OrderedSession session;
  Envoy envoy(session);
  session.want(snapshot(services({"a", "b"})));
  envoy.start();
  envoy.run();
  Parts parts = services({"a", "b"});
  for (auto& part : parts) {
    if (part[0] == kC && part[1] == "a") part[2] = "2";
  }
  session.want(snapshot(parts));
  EXPECT_THAT(envoy.run(), ElementsAre("Cluster: a@2", "ClusterLoadAssignment: a@1"));
}

TEST(OrderedSession, WhatWasRefusedTogetherIsSentOneByOne) {
  OrderedSession session;
  Envoy envoy(session);
  session.want(snapshot(services({"a", "b", "c"})));
  envoy.start();
  const auto judge = [](const Response& response) -> std::optional<std::string> {
    if (response.type != kS) return std::nullopt;
    for (const std::string& name : names(response)) {
      if (name == "b") return "missing ]: [";
    }
    return std::nullopt;
  };
  const auto log = envoy.run(judge);
  EXPECT_THAT((std::vector<std::string>{log.end() - 4, log.end()}),
              ElementsAre("ScopedRouteConfiguration: a@1 b@1 c@1", "ScopedRouteConfiguration: a@1",
                          "ScopedRouteConfiguration: b@1", "ScopedRouteConfiguration: c@1"));
  EXPECT_TRUE(session.state(kS, "a").acked);
  EXPECT_TRUE(session.state(kS, "c").acked);
  EXPECT_EQ(session.state(kS, "b").error, "missing ]: [");
  EXPECT_FALSE(session.state(kS, "b").held);
  EXPECT_EQ(session.nacks(), 2u);
  // It is not tried again until it changes, and then it is.
  EXPECT_THAT(envoy.run(judge), IsEmpty());
  Parts parts = services({"a", "b", "c"});
  parts[10][2] = "2";
  ASSERT_EQ(parts[10][0], kS);
  parts[7][2] = "2";
  ASSERT_EQ(parts[7][1], "b");
  session.want(snapshot(parts));
  EXPECT_THAT(envoy.run(), ElementsAre("ScopedRouteConfiguration: b@2 c@2"));
  EXPECT_EQ(session.state(kS, "b").error, "");
}

TEST(OrderedSession, TheLastGoodVersionCountsAsHeld) {
  OrderedSession session;
  Envoy envoy(session);
  session.want(snapshot(services({"a"})));
  envoy.start();
  envoy.run();
  session.want(snapshot(services({"a"}, "2")));
  EXPECT_FALSE(session.state(kS, "a").acked);
  envoy.run([](const Response&) { return "bad"; });
  EXPECT_TRUE(session.state(kS, "a").held);
  EXPECT_EQ(session.state(kS, "a").error, "bad");
  session.want(snapshot(services({"a"}, "1")));
  EXPECT_TRUE(session.state(kS, "a").acked) << "back to what it never gave up";
  EXPECT_THAT(envoy.run(), IsEmpty());
}

TEST(OrderedSession, ABadClusterHoldsNothingElseBack) {
  OrderedSession session;
  Envoy envoy(session);
  session.want(snapshot(services({"a", "b"})));
  envoy.start();
  envoy.run([](const Response& response) -> std::optional<std::string> {
    const auto all = names(response);
    const bool bad = response.type == kC && std::find(all.begin(), all.end(), "a") != all.end();
    return bad ? std::optional<std::string>("bad cluster a") : std::nullopt;
  });
  EXPECT_EQ(session.state(kC, "a").error, "bad cluster a");
  EXPECT_TRUE(session.state(kC, "b").acked);
  EXPECT_TRUE(session.state(kS, "b").acked);
}

TEST(OrderedSession, ChangesDuringAResponseFoldIntoTheNext) {
  OrderedSession session;
  Envoy envoy(session);
  session.want(snapshot(services({"a"})));
  envoy.start();
  envoy.run();
  session.want(snapshot(services({"a"}, "2")));
  const auto second = session.next();
  ASSERT_TRUE(second);
  session.want(snapshot(services({"a"}, "3")));
  session.want(snapshot(services({"a"}, "4")));
  EXPECT_FALSE(session.next());
  envoy.answer(*second, std::nullopt);
  EXPECT_FALSE(session.state(kS, "a").acked);
  EXPECT_THAT(envoy.run(), ElementsAre("ScopedRouteConfiguration: a@4"));
}

TEST(OrderedSession, AnswersToOtherNoncesChangeNothing) {
  OrderedSession session;
  session.want(snapshot(services({"a"})));
  session.receive({.type = kC});
  const auto sent = session.next();
  ASSERT_TRUE(sent);
  session.receive({.type = kC, .nonce = "77"});
  session.receive({.type = kC, .nonce = "77", .error = "old"});
  EXPECT_FALSE(session.state(kC, "a").acked);
  EXPECT_EQ(session.nacks(), 0u);
  session.receive({.type = kC, .nonce = sent->nonce});
  EXPECT_TRUE(session.state(kC, "a").acked);
}

TEST(OrderedSession, WhoComesBackGetsWhatChangedAndItsEndpoints) {
  OrderedSession session;
  Envoy envoy(session);
  session.want(snapshot(services({"a", "b"})));
  envoy.start({{kC, {{"a", "1"}, {"old", "1"}}},
               {kE, {{"a", "1"}, {"old", "1"}}},
               {kL, {{"waypoint", "1"}}},
               {kX, {{"weft.jwt", "1"}}},
               {kS, {{"a", "1"}, {"old", "1"}}}});
  // Of wildcard types an empty answer is owed; endpoints of "old" are not taken away.
  EXPECT_THAT(envoy.run(),
              ElementsAre("Cluster: b@1", "ClusterLoadAssignment: a@1 b@1",
                          "Listener:", "ScopedRouteConfiguration: b@1 -old", "Cluster: -old"));
}

TEST(OrderedSession, WithoutASnapshotNothingIsTakenAway) {
  OrderedSession session;
  Envoy envoy(session);
  session.want(snapshot(services({"a"})));
  envoy.start();
  envoy.run();
  session.want(nullptr);
  EXPECT_FALSE(session.next());
}

TEST(OrderedSession, UnknownTypesEndTheStream) {
  OrderedSession session;
  EXPECT_FALSE(
      session.receive({.type = "type.googleapis.com/envoy.config.bootstrap.v3.Bootstrap"}));
}

TEST(OrderedSession, NamesNobodyHasAreNotAnswered) {
  OrderedSession session;
  session.want(snapshot({}));
  session.receive({.type = kE, .subscribe = {"gone"}});
  EXPECT_FALSE(session.next());
}

TEST(Fleet, TheWorstOfTwoEnvoysCounts) {
  Fleet fleet;
  int changes = 0;
  fleet.on_change([&](const std::string& id) { changes += id == "w"; });
  fleet.set("w", snapshot({{kC, "a", "1"}}));
  EXPECT_FALSE(fleet.status("w").connected);
  auto one = fleet.join("w", [] {});
  auto two = fleet.join("w", [] {});
  std::vector<Response> sent;
  for (auto* member : {one.get(), two.get()}) {
    ASSERT_TRUE(member->receive({.type = kC}));
    sent.push_back(*member->next());
  }
  const auto a = [&] { return fleet.status("w").resources.at({kC, "a"}); };
  EXPECT_EQ(a().taken, Taken::kPending);
  one->receive({.type = kC, .nonce = sent[0].nonce});
  EXPECT_EQ(a().taken, Taken::kPending);
  EXPECT_FALSE(a().held);
  two->receive({.type = kC, .nonce = sent[1].nonce, .error = "no"});
  EXPECT_EQ(a().taken, Taken::kRejected);
  EXPECT_EQ(a().error, "no");
  two.reset();
  EXPECT_EQ(a().taken, Taken::kAcked);
  EXPECT_TRUE(a().held);
  EXPECT_GE(changes, 5);
}

TEST(Fleet, ANewSnapshotWakesTheEnvoysOfItsIdOnly) {
  Fleet fleet;
  int woken = 0, others = 0;
  auto one = fleet.join("w", [&] { ++woken; });
  auto other = fleet.join("x", [&] { ++others; });
  one->receive({.type = kC});
  EXPECT_FALSE(one->next());
  fleet.set("w", snapshot({{kC, "a", "1"}}));
  EXPECT_EQ(woken, 1);
  EXPECT_EQ(others, 0);
  EXPECT_THAT(names(*one->next()), ElementsAre("a"));
}

TEST(Fleet, ARemovedIdTakesNothingAway) {
  Fleet fleet;
  fleet.set("w", snapshot({{kC, "a", "1"}}));
  auto one = fleet.join("w", [] {});
  one->receive({.type = kC});
  one->receive({.type = kC, .nonce = one->next()->nonce});
  fleet.remove("w");
  EXPECT_FALSE(one->next());
  EXPECT_TRUE(fleet.status("w").connected);
  EXPECT_THAT(fleet.status("w").resources, IsEmpty());
}

}  // namespace
}  // namespace weft::controlplane::xds
