#include "mesh/identity.h"

#include <gtest/gtest.h>

namespace weft::mesh {
namespace {

TEST(Identity, RoundTrips) {
  const auto id = Identity::parse("spiffe://cluster.local/ns/shop/sa/alice");
  ASSERT_TRUE(id);
  EXPECT_EQ(id->trust_domain, "cluster.local");
  EXPECT_EQ(id->ns, "shop");
  EXPECT_EQ(id->service_account, "alice");
  EXPECT_EQ(id->str(), "spiffe://cluster.local/ns/shop/sa/alice");
  EXPECT_EQ(id->principal(), "cluster.local/ns/shop/sa/alice");
}

TEST(Identity, RefusesEverythingButTheThreePartPath) {
  for (const char* text : {
           "", "spiffe://", "https://td/ns/a/sa/b", "spiffe://td/ns/a/sa/", "spiffe://td/ns//sa/b", "spiffe:///ns/a/sa/b",
           "spiffe://td/ns/a/sa/b/c", "spiffe://td/ns/a/sa/b/", "spiffe://td/sa/a/ns/b", "spiffe://td/ns/a", "SPIFFE://td/ns/a/sa/b",
           "spiffe://td/ns/a b/sa/c", "spiffe://td/ns/a/sa/b?x", "spiffe://td/ns/a/sa/b#x", "spiffe://td/ns/a/sa/%62",
       }) {
    EXPECT_FALSE(Identity::parse(text)) << text;
  }
  EXPECT_FALSE(Identity::parse(std::string_view("spiffe://td/ns/a/sa/b\0", 22)));
}

// A waypoint's proxy takes what parses here for the truth: it is text, in one line, and of bounded length.
TEST(Identity, WhatIsNoTextOrTooLongIsNoIdentity) {
  const std::string good = "spiffe://td/ns/a/sa/";
  for (const char* tail : {"\xff\xfe", "b\xc3\xa9", "b\n", "b\r\nx-weft-peer: c", "b\t", "b\x7f", "\xed\xa0\x80", "\xc0\xaf"}) {
    EXPECT_FALSE(Identity::parse(good + tail)) << tail;
    EXPECT_FALSE(Identity::parse(std::string("spiffe://td/ns/") + tail + "/sa/b")) << tail;
    EXPECT_FALSE(Identity::parse(std::string("spiffe://") + tail + "/ns/a/sa/b")) << tail;
  }
  EXPECT_TRUE(Identity::parse(good + std::string(2048 - good.size(), 'x')));
  EXPECT_FALSE(Identity::parse(good + std::string(2049 - good.size(), 'x')));
  EXPECT_FALSE(Identity::parse(good + std::string(60'000, 'x')));
}

}  // namespace
}  // namespace weft::mesh
