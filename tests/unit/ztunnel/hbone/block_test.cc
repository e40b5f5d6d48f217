#include "ztunnel/hbone/block.h"

#include <gtest/gtest.h>

namespace weft::hbone {
namespace {

TEST(Block, IsSharedWhileSomebodyElseHoldsIt) {
  BlockRef one = BlockRef::make();
  EXPECT_FALSE(one.shared());
  BlockRef two = one;
  EXPECT_TRUE(one.shared());
  EXPECT_EQ(one, two);
  two = BlockRef();
  EXPECT_FALSE(one.shared());
  EXPECT_EQ(one.bytes().size(), kBlockBytes);
}

TEST(Block, MovingDoesNotCount) {
  BlockRef one = BlockRef::make();
  BlockRef two = std::move(one);
  EXPECT_FALSE(two.shared());
  EXPECT_FALSE(static_cast<bool>(one));
}

}  // namespace
}  // namespace weft::hbone
