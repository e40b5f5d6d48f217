// What apply says about a mesh object before it asks anybody: refusals and warnings.
#include "cli/manifests.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>

namespace weft::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

source::ObjectPtr object(const std::string& spec) {
  const auto parsed = source::parse_manifest(
      "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: x}\nspec: " +
          spec + "\n",
      "f.yaml");
  EXPECT_TRUE(parsed) << parsed.error().text;
  return (*parsed)[0];
}

TEST(Manifests, AnUnknownFieldIsRefusedAtItsLineWithItsValue) {
  const auto good =
      judge(*object("{hosts: [a], http: [{route: [{destination: {host: a, timeout: 1s}}]}]}"));
  ASSERT_FALSE(good);
  EXPECT_EQ(good.error().text,
            "f.yaml:4: spec.http[0].route[0].destination.timeout: unknown field: did you mean "
            "spec.http[0].timeout? (known: host, subset, port), got \"1s\"");
}

TEST(Manifests, WhatIsNotSupportedYetOrOldIsWarnedOf) {
  EXPECT_THAT(warnings(object(
                  "{hosts: [a], http: [{route: [{destination: {host: a}}], retries: {attempts: "
                  "1, retryIgnorePreviousHosts: true}, mirror: {host: a}, mirror_percent: 5}]}")),
              ElementsAre(HasSubstr("Warning: f.yaml:4: spec.http[0].mirror_percent: deprecated"),
                          HasSubstr("Warning: f.yaml:4: not supported yet: "
                                    "spec.http[0].retries.retryIgnorePreviousHosts: ")));
  EXPECT_THAT(warnings(object("{hosts: [a], http: [{route: [{destination: {host: a}}]}]}")),
              IsEmpty());
}

TEST(Manifests, AMissingApiVersionSaysWhichThereAre) {
  char name[] = "/tmp/weft-manifests-XXXXXX";
  const int fd = ::mkstemp(name);
  ASSERT_GE(fd, 0);
  ::close(fd);
  std::ofstream(name) << "kind: TrafficSplit\nmetadata: {name: x}\n";
  const auto manifests = read_manifests({name}, "default");
  std::remove(name);
  ASSERT_FALSE(manifests);
  EXPECT_THAT(
      manifests.error().text,
      HasSubstr("apiVersion: is required (TrafficSplit is one of split.smi-spec.io/v1alpha4"));
}

}  // namespace
}  // namespace weft::cli
