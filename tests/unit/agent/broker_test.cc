#include "agent/broker.h"

#include <gtest/gtest.h>

#include "weft/zds.pb.h"
#include "world.h"

namespace weft::agent {
namespace {

using namespace std::chrono_literals;
using testing_world::World;

std::string error_of(const Outgoing& outgoing) {
  istio::workload::zds::WorkloadRequest request;
  EXPECT_TRUE(request.ParseFromArray(outgoing.frame.data(), static_cast<int>(outgoing.frame.size())));
  return request.grant().error();
}

TEST(TokenBucket, RefillsWithTime) {
  const Clock::time_point start(10s);
  TokenBucket bucket(start);
  EXPECT_TRUE(bucket.take(16'384, start));
  EXPECT_FALSE(bucket.take(1, start));
  EXPECT_TRUE(bucket.take(50, start + 1ms));
  EXPECT_FALSE(bucket.take(50, start + 1ms));
  EXPECT_FALSE(bucket.take(20'000, start + 100s)) << "never more than its size";
}

TEST(Broker, RefusesPodsThatAreNotInTheMesh) {
  World world;
  world.want({World::pod("u1")});
  Broker broker(world.enroller, world.kernel);
  for (const char* uid : {"u1", "other"}) {
    const auto answer = broker.answer(1, {.uid = uid, .count = 1, .id = 5}, world.now);
    EXPECT_TRUE(answer.descriptors.empty());
    EXPECT_NE(error_of(answer).find("no such pod"), std::string::npos);
  }
  EXPECT_EQ(broker.refused_total(), 2u);
}

TEST(Broker, BoundsTheRateOfEachConnection) {
  World world;
  Broker broker(world.enroller, world.kernel);
  for (int i = 0; i < 256; ++i) (void)broker.answer(1, {.uid = "u", .count = 64}, world.now);
  EXPECT_NE(error_of(broker.answer(1, {.uid = "u", .count = 64}, world.now)).find("faster than allowed"), std::string::npos);
  EXPECT_NE(error_of(broker.answer(2, {.uid = "u", .count = 64}, world.now)).find("no such pod"), std::string::npos);
}

}  // namespace
}  // namespace weft::agent
