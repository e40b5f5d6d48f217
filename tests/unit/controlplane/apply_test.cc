#include "controlplane/deploy/apply.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace weft::controlplane::deploy {
namespace {

using nlohmann::json;

const std::string kPolicy = "security.istio.io/v1", kGateway = "gateway.networking.k8s.io/v1";
const std::string kNow = "2030-01-01T00:00:00Z", kOld = "2020-01-01T00:00:00Z";

json condition(const char* type, const char* status) {
  return {{"type", type},
          {"status", status},
          {"reason", "R"},
          {"message", ""},
          {"observedGeneration", 3}};
}
json dated(json one, const std::string& when) {
  one["lastTransitionTime"] = when;
  return one;
}
json object(json status, json owned = nullptr) {
  json out{{"metadata", {{"name", "n"}, {"namespace", "ns"}, {"resourceVersion", "7"}}}};
  if (!status.is_null()) out["status"] = std::move(status);
  if (!owned.is_null()) {
    out["metadata"]["managedFields"] = {{{"manager", kFieldManager},
                                         {"operation", "Apply"},
                                         {"subresource", "status"},
                                         {"fieldsV1", {{"f:status", std::move(owned)}}}}};
  }
  return out;
}

TEST(StatusApply, TheFirstTimeEverythingIsWritten) {
  const json wanted{{"conditions", {condition("Accepted", "True")}}};
  const auto body = status_apply(kPolicy, "AuthorizationPolicy", wanted, object(nullptr), kNow);
  ASSERT_TRUE(body);
  EXPECT_EQ((*body)["apiVersion"], kPolicy);
  EXPECT_EQ((*body)["metadata"],
            (json{{"name", "n"}, {"namespace", "ns"}, {"resourceVersion", "7"}}));
  EXPECT_EQ((*body)["status"]["conditions"][0], dated(condition("Accepted", "True"), kNow));
}

TEST(StatusApply, WhatIsThereIsNotWrittenAgain) {
  const json wanted{{"conditions", {condition("Accepted", "True")}}};
  const json there{{"conditions", {dated(condition("Accepted", "True"), kOld)}}};
  EXPECT_FALSE(status_apply(kPolicy, "AuthorizationPolicy", wanted,
                            object(there, {{"f:conditions", json::object()}}), kNow));
}

TEST(StatusApply, TheTransitionTimeMovesWithTheStatusAlone) {
  json same = condition("Accepted", "True");
  same["observedGeneration"] = 4;
  const json there{{"conditions", {dated(condition("Accepted", "True"), kOld)}}};
  const auto told =
      status_apply(kGateway, "Gateway", {{"conditions", {same}}}, object(there), kNow);
  ASSERT_TRUE(told);
  EXPECT_EQ((*told)["status"]["conditions"][0]["lastTransitionTime"], kOld);
  const auto turned = status_apply(
      kGateway, "Gateway", {{"conditions", {condition("Accepted", "False")}}}, object(there), kNow);
  ASSERT_TRUE(turned);
  EXPECT_EQ((*turned)["status"]["conditions"][0]["lastTransitionTime"], kNow);
}

TEST(StatusApply, OtherControllersParentsStay) {
  const json theirs{{"controllerName", "else.example/c"},
                    {"parentRef", {{"name", "g"}}},
                    {"conditions", {dated(condition("Accepted", "True"), kOld)}}};
  json ours{{"controllerName", "weft.dev/gateway-controller"},
            {"parentRef", {{"name", "g"}}},
            {"conditions", {condition("Accepted", "True")}}};
  const auto body = status_apply(kGateway, "HTTPRoute", {{"parents", {ours}}},
                                 object({{"parents", {theirs}}}), kNow);
  ASSERT_TRUE(body);
  ASSERT_EQ((*body)["status"]["parents"].size(), 2u);
  EXPECT_EQ((*body)["status"]["parents"][0], theirs);
  const json there = (*body)["status"];
  const json owned{{"f:parents", json::object()}};
  EXPECT_FALSE(
      status_apply(kGateway, "HTTPRoute", {{"parents", {ours}}}, object(there, owned), kNow));
  const auto gone = status_apply(kGateway, "HTTPRoute", json::object(), object(there, owned), kNow);
  ASSERT_TRUE(gone);
  EXPECT_EQ((*gone)["status"]["parents"], json::array({theirs}));
  EXPECT_FALSE(
      status_apply(kGateway, "HTTPRoute", json::object(), object({{"parents", {theirs}}}), kNow))
      << "nothing of ours is there";
}

TEST(StatusApply, WhatWeNoLongerSayGoes) {
  const json owned{
      {"f:conditions",
       {{".", json::object()},
        {R"(k:{"type":"Accepted"})", {{".", json::object()}, {"f:type", json::object()}}},
        {R"(k:{"type":"Programmed"})", {{".", json::object()}}}}}};
  const json there{
      {"conditions",
       {dated(condition("Accepted", "True"), kOld), dated(condition("Programmed", "True"), kOld)}}};
  const json both{{"conditions", {condition("Accepted", "True"), condition("Programmed", "True")}}};
  const json one{{"conditions", {condition("Accepted", "True")}}};
  EXPECT_FALSE(status_apply(kGateway, "Gateway", both, object(there, owned), kNow));
  const auto body = status_apply(kGateway, "Gateway", one, object(there, owned), kNow);
  ASSERT_TRUE(body);
  EXPECT_EQ((*body)["status"]["conditions"].size(), 1u);
  EXPECT_TRUE(status_apply(kGateway, "Gateway", json::object(), object(there, owned), kNow));
  EXPECT_FALSE(status_apply(kGateway, "Gateway", json::object(), object(there), kNow));
}

TEST(StatusApply, IstiosConditionsOfOthersStay) {
  const json theirs = dated(condition("Reconciled", "True"), kOld);
  const json wanted{{"conditions", {condition("Accepted", "True")}}};
  const auto body = status_apply(kPolicy, "AuthorizationPolicy", wanted,
                                 object({{"conditions", {theirs}}}), kNow);
  ASSERT_TRUE(body);
  EXPECT_EQ((*body)["status"]["conditions"].size(), 2u);
}

TEST(Contains, ListsOfOthersAreComparedWhole) {
  EXPECT_TRUE(contains({{"a", 1}, {"b", {1, 2}}}, {{"b", {1, 2}}}));
  EXPECT_FALSE(contains({{"b", {1, 2}}}, {{"b", {1}}}));
  EXPECT_FALSE(contains({{"a", 1}}, {{"b", 1}}));
  EXPECT_FALSE(contains(json::array(), {{"b", 1}}));
  EXPECT_FALSE(contains({{"addresses", {{{"type", "IP"}, {"value", "1"}}}}},
                        {{"addresses", {{{"type", "IP"}, {"value", "2"}}}}}));
}

}  // namespace
}  // namespace weft::controlplane::deploy
