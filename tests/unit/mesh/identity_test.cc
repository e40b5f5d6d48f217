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

}  // namespace
}  // namespace weft::mesh
