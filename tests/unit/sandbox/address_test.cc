#include "sandbox/address.h"

#include <gtest/gtest.h>

namespace weft::sandbox {
namespace {

TEST(ServicePool, BothFamiliesShareTheNumber) {
  ServicePool pool;
  const auto first = pool.take({});
  ASSERT_TRUE(first);
  EXPECT_EQ(first->first, "10.96.1.1");
  EXPECT_EQ(first->second, "fd00:96::101");
}

TEST(ServicePool, SkipsWhatIsTakenInEitherFamily) {
  ServicePool pool;
  const auto pair = pool.take({"10.96.1.1", "fd00:96::102"});
  ASSERT_TRUE(pair);
  EXPECT_EQ(pair->first, "10.96.1.3");
}

TEST(PodPool, DoesNotGiveAnAddressAgainAtOnce) {
  PodPool pool(NodeNet{1});
  const auto a = pool.take({}), b = pool.take({});
  ASSERT_TRUE(a && b);
  EXPECT_EQ(a->first, "10.244.1.2");
  EXPECT_EQ(b->first, "10.244.1.3");
}

TEST(PodPool, ComesRoundAndSaysWhenItIsFull) {
  PodPool pool(NodeNet{1});
  std::set<std::string> used;
  for (int i = 0; i < 253; ++i) {
    const auto pair = pool.take(used);
    ASSERT_TRUE(pair) << i;
    EXPECT_TRUE(used.insert(pair->first).second);
  }
  EXPECT_FALSE(pool.take(used));
  used.erase("10.244.1.100");
  ASSERT_TRUE(pool.take(used));
}

}  // namespace
}  // namespace weft::sandbox
