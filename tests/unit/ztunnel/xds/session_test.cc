#include "ztunnel/xds/session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "resources.h"

namespace weft::xds {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

NodeInfo node() {
  return {.instance_ip = "10.0.0.1",
          .pod_name = "z-1",
          .pod_namespace = "weft-system",
          .metadata = {{"CLUSTER_ID", "east"}},
          .metadata_json = {{"LABELS", R"({"a":"b"})"}},
          .node_name = "n1"};
}

TEST(Session, OpensWithTheNodeAndBothTypes) {
  Session session(node(), false, false);
  const auto requests = session.start();
  ASSERT_EQ(requests.size(), 2u);
  EXPECT_EQ(requests[0].type_url(), state::kAuthorizationType) << "no workload is to be known without its policies";
  EXPECT_EQ(requests[1].type_url(), state::kAddressType);
  EXPECT_EQ(requests[0].node().id(), "ztunnel~10.0.0.1~z-1.weft-system~weft-system.svc.cluster.local");
  const auto& metadata = requests[0].node().metadata().fields();
  EXPECT_EQ(metadata.at("NAME").string_value(), "z-1");
  EXPECT_EQ(metadata.at("NODE_NAME").string_value(), "n1");
  EXPECT_EQ(metadata.at("INSTANCE_IPS").string_value(), "10.0.0.1");
  EXPECT_EQ(metadata.at("CLUSTER_ID").string_value(), "east");
  EXPECT_EQ(metadata.at("LABELS").struct_value().fields().at("a").string_value(), "b");
  EXPECT_EQ(requests[1].resource_names_subscribe_size(), 0) << "nothing named: everything";
}

TEST(Session, AcksWithTheNonce) {
  Session session(node(), false, false);
  Request reply;
  const auto outcome = session.handle(response(state::kAddressType, {workload("a"), workload("b")}, {}, "7"), reply);
  EXPECT_EQ(reply.response_nonce(), "7");
  EXPECT_EQ(reply.type_url(), state::kAddressType);
  EXPECT_FALSE(reply.has_error_detail());
  EXPECT_EQ(outcome.edits.workloads.size(), 2u);
}

TEST(Session, ABadResourceIsNackedByNameAndTheGoodOnesAreTaken) {
  Session session(node(), false, false);
  Request reply;
  const auto outcome = session.handle(response(state::kAddressType, {workload("good"), workload("bad", "1", 1)}), reply);
  EXPECT_EQ(outcome.edits.workloads.size(), 1u);
  EXPECT_EQ(outcome.rejected, 1u);
  EXPECT_THAT(reply.error_detail().message(), HasSubstr("bad: tunnel_protocol: 2"));
  EXPECT_EQ(session.known(state::kAddressType), 1u);
}

TEST(Session, ARefusedUpdateLeavesTheOldVersionForTheNextStream) {
  Session session(node(), false, false);
  Request reply;
  session.handle(response(state::kAddressType, {workload("a", "v1")}), reply);
  const auto outcome = session.handle(response(state::kAddressType, {workload("a", "v2", 1)}), reply);
  EXPECT_TRUE(outcome.edits.empty()) << "the old state stays";
  EXPECT_EQ(session.start()[1].initial_resource_versions().at("a"), "v1");
}

TEST(Session, AReconnectTellsWhatIsKnownSoThatTheServerCanRemove) {
  Session session(node(), false, false);
  Request reply;
  session.handle(response(state::kAddressType, {workload("a", "v1"), workload("b", "v1")}), reply);
  session.handle(response(state::kAuthorizationType, {policy("p", "v3")}), reply);
  session.handle(response(state::kAddressType, {}, {"b"}), reply);
  const auto requests = session.start();
  EXPECT_EQ(requests[1].initial_resource_versions().size(), 1u);
  EXPECT_EQ(requests[1].initial_resource_versions().at("a"), "v1");
  EXPECT_EQ(requests[0].initial_resource_versions().at("ns/p"), "v3");
  const auto outcome = session.handle(response(state::kAddressType, {}, {"a"}), reply);
  EXPECT_THAT(outcome.edits.removed_addresses, ElementsAre("a"));
  EXPECT_EQ(session.known(state::kAddressType), 0u);
}

TEST(Session, IsSyncedWhenBothTypesWereAnsweredEvenWithNothing) {
  Session session(node(), false, false);
  Request reply;
  session.handle(response(state::kAddressType, {}), reply);
  EXPECT_FALSE(session.synced());
  session.handle(response(state::kAuthorizationType, {}), reply);
  EXPECT_TRUE(session.synced());
}

TEST(Session, ATypeThatWasNotAskedForIsNacked) {
  Session session(node(), false, false);
  Request reply;
  const auto outcome = session.handle(response("type.googleapis.com/envoy.config.cluster.v3.Cluster", {}), reply);
  EXPECT_TRUE(outcome.edits.empty());
  EXPECT_TRUE(reply.has_error_detail());
}

TEST(Session, ManyBadResourcesGiveAnErrorThatStaysSmall) {
  Session session(node(), false, false);
  std::vector<Resource> all;
  for (int i = 0; i < 5000; ++i) all.push_back(workload("bad-" + std::to_string(i), "1", 1));
  Request reply;
  const auto outcome = session.handle(response(state::kAddressType, all), reply);
  EXPECT_EQ(outcome.rejected, 5000u);
  EXPECT_LT(reply.error_detail().message().size(), 20'000u);
}

TEST(Session, OnDemandBeginsWithNothingAndAsksByName) {
  Session session(node(), true, false);
  const auto requests = session.start();
  EXPECT_THAT(requests[1].resource_names_subscribe(), ElementsAre("*"));
  EXPECT_THAT(requests[1].resource_names_unsubscribe(), ElementsAre("*"));
  EXPECT_THAT(requests[0].resource_names_subscribe(), IsEmpty());
  Request request;
  EXPECT_EQ(session.want("net/10.0.0.1", request), Session::Want::kAsk);
  EXPECT_THAT(request.resource_names_subscribe(), ElementsAre("net/10.0.0.1"));
  EXPECT_EQ(session.want("net/10.0.0.1", request), Session::Want::kAsked);
}

TEST(Session, OnDemandIsSettledByTheAddressOfWhatComes) {
  Session session(node(), true, false);
  Request request;
  session.want("net/10.0.0.1", request);
  const auto outcome = session.handle(response(state::kAddressType, {workload("uid-1")}), request);
  EXPECT_THAT(outcome.answered, ElementsAre("net/10.0.0.1"));
  EXPECT_EQ(session.want("uid-1", request), Session::Want::kHeld);
}

TEST(Session, OnDemandIsSettledByAnAliasByARemovalAndByARefusal) {
  Session session(node(), true, false);
  Request request;
  for (const char* name : {"alias", "nowhere", "bad"}) session.want(name, request);
  auto aliased = workload("uid-1");
  aliased.add_aliases("alias");
  const auto outcome = session.handle(response(state::kAddressType, {aliased, workload("bad", "1", 1)}, {"nowhere"}), request);
  EXPECT_THAT(outcome.answered, UnorderedElementsAre("alias", "nowhere", "bad"));
}

TEST(Session, OnDemandAsksAgainForWhatWasPendingAfterAReconnect) {
  Session session(node(), true, false);
  Request request;
  session.handle(response(state::kAddressType, {workload("held", "v1")}), request);
  session.want("net/10.9.9.9", request);
  const auto requests = session.start();
  EXPECT_THAT(requests[1].resource_names_subscribe(), ElementsAre("*", "held", "net/10.9.9.9"));
  EXPECT_EQ(requests[1].initial_resource_versions().at("net/10.9.9.9"), "");
}

TEST(Session, WhatIsSavedCanBeLoadedAndIsNotSyncedByThat) {
  Session first(node(), false, true);
  Request reply;
  first.handle(response(state::kAddressType, {workload("a", "v1"), workload("bad", "v1", 1)}), reply);
  first.handle(response(state::kAuthorizationType, {policy("p", "v2")}), reply);
  Session second(node(), false, true);
  const auto edits = second.load(first.save());
  EXPECT_EQ(edits.workloads.size(), 1u);
  EXPECT_EQ(edits.policies.size(), 1u);
  EXPECT_FALSE(second.synced());
  EXPECT_EQ(second.start()[0].initial_resource_versions().at("ns/p"), "v2");
}

}  // namespace
}  // namespace weft::xds
