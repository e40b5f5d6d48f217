// Delta ADS as a sans-I/O value.
#include "controlplane/xds/session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weft::controlplane::xds {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

constexpr const char* kPolicy = "policy";
constexpr const char* kAddress = "address";

ResourcePtr resource(const std::string& type, const std::string& name, const std::string& version,
                     std::vector<std::string> aliases = {}, std::vector<std::string> groups = {}) {
  return std::make_shared<const Resource>(Resource{type, name, version, std::move(aliases),
                                                   std::move(groups), "body of " + name + version});
}

std::vector<std::string> names(const Response& response) {
  std::vector<std::string> out;
  for (const auto& one : response.resources) out.push_back(one->name);
  return out;
}

class Ads : public testing::Test {
 protected:
  void put(ResourcePtr one) { cache_.apply({.upserts = {std::move(one)}, .removes = {}}); }
  void remove(const std::string& type, const std::string& name) {
    cache_.apply({.upserts = {}, .removes = {{type, name}}});
  }
  // Everything there is to say now, each response acknowledged.
  std::vector<Response> drain(Session& session) {
    std::vector<Response> out;
    while (auto response = session.next()) {
      session.receive({.type = response->type, .nonce = response->nonce});
      out.push_back(std::move(*response));
      if (out.size() > 100) break;
    }
    return out;
  }
  std::size_t say(Session& session) { return drain(session).size(); }

  Cache cache_;
  Session session_{cache_, {kPolicy, kAddress}};
};

TEST_F(Ads, WildcardGetsEverythingThenOnlyChanges) {
  put(resource(kAddress, "a", "1"));
  put(resource(kAddress, "b", "1"));
  session_.receive({.type = kAddress});
  auto first = drain(session_);
  ASSERT_EQ(first.size(), 1u);
  EXPECT_THAT(names(first[0]), UnorderedElementsAre("a", "b"));
  EXPECT_EQ(say(session_), 0u);
  put(resource(kAddress, "b", "2"));
  auto second = drain(session_);
  ASSERT_EQ(second.size(), 1u);
  EXPECT_THAT(names(second[0]), ElementsAre("b"));
  remove(kAddress, "a");
  auto third = drain(session_);
  ASSERT_EQ(third.size(), 1u);
  EXPECT_THAT(third[0].removed, ElementsAre("a"));
}

TEST_F(Ads, EqualVersionIsNoChange) {
  put(resource(kAddress, "a", "1"));
  const auto generation = cache_.generation();
  put(resource(kAddress, "a", "1"));
  EXPECT_EQ(cache_.generation(), generation);
}

TEST_F(Ads, EmptyWorldIsAnsweredToo) {
  session_.receive({.type = kAddress});
  session_.receive({.type = kPolicy});
  const auto all = drain(session_);
  ASSERT_EQ(all.size(), 2u) << "a client becomes ready by an answer to each type";
  EXPECT_EQ(all[0].type, kPolicy);
}

TEST_F(Ads, PoliciesComeBeforeAndGoAfterWhatNamesThem) {
  session_.receive({.type = kAddress});
  session_.receive({.type = kPolicy});
  drain(session_);
  cache_.apply(
      {.upserts = {resource(kAddress, "a", "2"), resource(kPolicy, "p", "1")}, .removes = {}});
  auto added = drain(session_);
  ASSERT_EQ(added.size(), 2u);
  EXPECT_EQ(added[0].type, kPolicy);
  EXPECT_EQ(added[1].type, kAddress);
  cache_.apply({.upserts = {resource(kAddress, "a", "3")}, .removes = {{kPolicy, "p"}}});
  auto gone = drain(session_);
  ASSERT_EQ(gone.size(), 2u);
  EXPECT_EQ(gone[0].type, kAddress);
  EXPECT_EQ(gone[1].type, kPolicy);
  EXPECT_THAT(gone[1].removed, ElementsAre("p"));
}

TEST_F(Ads, ChangesDuringAWriteFoldIntoOneResponse) {
  session_.receive({.type = kAddress});
  drain(session_);
  for (int i = 0; i < 10; ++i) put(resource(kAddress, "a", std::to_string(i)));
  const auto all = drain(session_);
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].resources.at(0)->version, "9");
}

TEST_F(Ads, ReconnectWithVersionsSkipsWhatIsKnownAndRemovesWhatIsGone) {
  put(resource(kAddress, "same", "1"));
  put(resource(kAddress, "changed", "2"));
  put(resource(kAddress, "new", "1"));
  session_.receive(
      {.type = kAddress, .initial_versions = {{"same", "1"}, {"changed", "1"}, {"gone", "1"}}});
  const auto all = drain(session_);
  ASSERT_EQ(all.size(), 1u);
  EXPECT_THAT(names(all[0]), UnorderedElementsAre("changed", "new"));
  EXPECT_THAT(all[0].removed, ElementsAre("gone"));
}

TEST_F(Ads, ReconnectWithEverythingStillGetsOneAnswer) {
  put(resource(kAddress, "same", "1"));
  session_.receive({.type = kAddress, .initial_versions = {{"same", "1"}}});
  const auto all = drain(session_);
  ASSERT_EQ(all.size(), 1u);
  EXPECT_THAT(all[0].resources, IsEmpty());
}

TEST_F(Ads, NackIsKeptAndNothingIsSentAgainUntilItChanges) {
  put(resource(kAddress, "a", "1"));
  session_.receive({.type = kAddress});
  const auto response = session_.next();
  ASSERT_TRUE(response);
  session_.receive({.type = kAddress, .nonce = response->nonce, .error = "bad a"});
  EXPECT_FALSE(session_.next());
  EXPECT_EQ(session_.nacks(), 1u);
  ASSERT_EQ(session_.status().size(), 1u);
  EXPECT_EQ(session_.status()[0].last_error, "bad a");
  EXPECT_LT(session_.status()[0].acked, session_.status()[0].sent);
  put(resource(kAddress, "a", "2"));
  EXPECT_EQ(say(session_), 1u);
  EXPECT_EQ(session_.status()[0].acked, session_.status()[0].sent);
  EXPECT_EQ(session_.status()[0].last_error, "");
}

TEST_F(Ads, UnknownNonceIsIgnored) {
  session_.receive({.type = kAddress});
  drain(session_);
  EXPECT_TRUE(session_.receive({.type = kAddress, .nonce = "777", .error = "of another stream"}));
  EXPECT_TRUE(session_.receive({.type = kAddress, .nonce = "not a number"}));
  EXPECT_EQ(session_.nacks(), 0u);
}

TEST_F(Ads, UnknownTypeIsRefused) {
  EXPECT_FALSE(session_.receive({.type = "type.googleapis.com/other"}));
}

class OnDemand : public Ads {
 protected:
  OnDemand() {
    put(resource(kAddress, "pod-a", "1", {"/10.0.0.1"}, {"node:node1", "service:shop/web"}));
    put(resource(kAddress, "pod-b", "1", {"/10.0.0.2"}, {"node:node2", "service:shop/web"}));
    put(resource(kAddress, "pod-c", "1", {"/10.0.0.3"}, {"node:node2"}));
    put(resource(kAddress, "shop/web", "1", {"/10.96.0.1"}));
  }
  void start(const std::string& node = "") {
    session_.receive(
        {.type = kAddress, .subscribe = {"*"}, .unsubscribe = {"*"}, .node_name = node});
  }
};

TEST_F(OnDemand, StartsWithItsOwnNodeOnly) {
  start("node1");
  const auto all = drain(session_);
  ASSERT_EQ(all.size(), 1u);
  EXPECT_THAT(names(all[0]), ElementsAre("pod-a"));
}

TEST_F(OnDemand, StartIsAnsweredEvenWhenThereIsNothing) {
  start();
  const auto all = drain(session_);
  ASSERT_EQ(all.size(), 1u);
  EXPECT_THAT(all[0].resources, IsEmpty());
}

TEST_F(OnDemand, AnAddressIsAnsweredWithTheCanonicalName) {
  start();
  drain(session_);
  session_.receive({.type = kAddress, .subscribe = {"/10.0.0.3"}});
  const auto all = drain(session_);
  ASSERT_EQ(all.size(), 1u);
  EXPECT_THAT(names(all[0]), ElementsAre("pod-c"));
  EXPECT_THAT(all[0].removed, IsEmpty());
}

TEST_F(OnDemand, AVipBringsTheServicesWorkloadsToo) {
  start();
  drain(session_);
  session_.receive({.type = kAddress, .subscribe = {"/10.96.0.1"}});
  const auto all = drain(session_);
  ASSERT_EQ(all.size(), 1u);
  EXPECT_THAT(names(all[0]), UnorderedElementsAre("shop/web", "pod-a", "pod-b"));
}

TEST_F(OnDemand, WhatIsNotThereIsAnsweredWithRemoved) {
  start();
  drain(session_);
  session_.receive({.type = kAddress, .subscribe = {"/192.0.2.1"}});
  const auto all = drain(session_);
  ASSERT_EQ(all.size(), 1u);
  EXPECT_THAT(all[0].removed, ElementsAre("/192.0.2.1"));
  put(resource(kAddress, "late", "1", {"/192.0.2.1"}));
  const auto later = drain(session_);
  ASSERT_EQ(later.size(), 1u) << "and told when it appears";
  EXPECT_THAT(names(later[0]), ElementsAre("late"));
}

TEST_F(OnDemand, OnlyWhatWasAskedForIsUpdatedAndRemoved) {
  start();
  drain(session_);
  session_.receive({.type = kAddress, .subscribe = {"pod-c"}});
  drain(session_);
  put(resource(kAddress, "pod-a", "2", {"/10.0.0.1"}));
  EXPECT_EQ(say(session_), 0u);
  put(resource(kAddress, "pod-c", "2", {"/10.0.0.4"}));
  EXPECT_EQ(say(session_), 1u);
  remove(kAddress, "pod-a");
  EXPECT_EQ(say(session_), 0u);
  remove(kAddress, "pod-c");
  const auto all = drain(session_);
  ASSERT_EQ(all.size(), 1u);
  EXPECT_THAT(all[0].removed, ElementsAre("pod-c"));
}

TEST_F(OnDemand, UnsubscribedNamesAreSilent) {
  start();
  drain(session_);
  session_.receive({.type = kAddress, .subscribe = {"pod-c"}});
  drain(session_);
  session_.receive({.type = kAddress, .unsubscribe = {"pod-c"}});
  put(resource(kAddress, "pod-c", "2"));
  EXPECT_EQ(say(session_), 0u);
}

TEST_F(OnDemand, ReconnectKnowsTheNamesByTheirVersions) {
  session_.receive({.type = kAddress,
                    .subscribe = {"*"},
                    .unsubscribe = {"*"},
                    .initial_versions = {{"pod-b", "1"}, {"pod-c", "0"}, {"gone", "1"}}});
  const auto all = drain(session_);
  ASSERT_EQ(all.size(), 1u);
  EXPECT_THAT(names(all[0]), ElementsAre("pod-c"));
  EXPECT_THAT(all[0].removed, ElementsAre("gone"));
  put(resource(kAddress, "pod-b", "2"));
  EXPECT_EQ(say(session_), 1u);
}

TEST_F(OnDemand, WildcardCanBeTakenLater) {
  start();
  drain(session_);
  session_.receive({.type = kAddress, .subscribe = {"*"}});
  const auto all = drain(session_);
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].resources.size(), 4u);
}

TEST_F(Ads, LargeWorldsGoOutInPartsThatAllArrive) {
  Session small(cache_, {kPolicy, kAddress}, 1'000);
  for (int i = 0; i < 100; ++i) put(resource(kAddress, "pod-" + std::to_string(i), "1"));
  small.receive({.type = kAddress});
  const auto all = drain(small);
  EXPECT_GT(all.size(), 5u);
  std::set<std::string> seen;
  for (const auto& response : all) {
    for (const auto& name : names(response)) seen.insert(name);
  }
  EXPECT_EQ(seen.size(), 100u);
}

TEST_F(Ads, WhoLagsBehindTheMemoryOfTheCacheMustReconnect) {
  session_.receive({.type = kAddress});
  put(resource(kAddress, "keep", "1"));
  drain(session_);
  for (std::size_t i = 0; i < Cache::kTombstonesMax + 10; ++i) {
    put(resource(kAddress, "x" + std::to_string(i), "1"));
    remove(kAddress, "x" + std::to_string(i));
  }
  EXPECT_FALSE(session_.next());
  EXPECT_TRUE(session_.must_reconnect());
}

TEST_F(Ads, RemovedAndBackIsAnUpdate) {
  put(resource(kAddress, "a", "1"));
  session_.receive({.type = kAddress});
  drain(session_);
  remove(kAddress, "a");
  put(resource(kAddress, "a", "1"));
  const auto all = drain(session_);
  ASSERT_EQ(all.size(), 1u);
  EXPECT_THAT(names(all[0]), ElementsAre("a"));
  EXPECT_THAT(all[0].removed, IsEmpty());
}

}  // namespace
}  // namespace weft::controlplane::xds
