#include "agent/arrivals.h"

#include <gtest/gtest.h>

#include "agent/enroll.h"

namespace weft::agent {
namespace {

const IpAddress kIp = *IpAddress::parse("10.244.1.7");
constexpr Clock::time_point kNow{std::chrono::seconds(100)};

TEST(Arrivals, AskingAgainIsNoNews) {
  Arrivals arrivals;
  EXPECT_TRUE(arrivals.note({"u1", "/run/netns/u1", {kIp}}, kNow));
  EXPECT_FALSE(arrivals.note({"u1", "/run/netns/u1", {kIp}}, kNow));
  EXPECT_TRUE(arrivals.note({"u1", "/run/netns/other", {kIp}}, kNow));
  EXPECT_EQ(arrivals.find("u1")->netns, "/run/netns/other");
}

TEST(Arrivals, TheSilentOnesAreForgottenFirst) {
  Arrivals arrivals;
  for (std::size_t i = 0; i < Arrivals::kMost; ++i) arrivals.note({"u" + std::to_string(i), "", {}}, kNow);
  arrivals.note({"u0", "", {}}, kNow + std::chrono::seconds(1));
  arrivals.note({"one more", "", {}}, kNow + std::chrono::seconds(2));
  EXPECT_EQ(arrivals.size(), Arrivals::kMost);
  EXPECT_NE(arrivals.find("u0"), nullptr);
  EXPECT_NE(arrivals.find("one more"), nullptr);
  arrivals.forget_old(kNow + Arrivals::kRemembered + std::chrono::seconds(1));
  EXPECT_EQ(arrivals.size(), 2u);
}

TEST(Arrivals, AnEnrolledPodIsCapturedByTheAddressesItArrivedWith) {
  source::Pod pod;
  pod.name = "web";
  pod.ns = "shop";
  pod.uid = "u1";
  pod.node_name = "node1";
  pod.labels["weft.dev/mesh"] = "enabled";
  Arrivals arrivals;
  const ArrivedIps told = [&](const std::string& uid) { return arrivals.ips_of(uid); };
  EXPECT_TRUE(decide_pods({pod}, {}, "node1", told).pods.empty());
  arrivals.note({"u1", "", {kIp}}, kNow);
  EXPECT_EQ(decide_pods({pod}, {}, "node1", told).pods.at("u1").ips, std::vector<IpAddress>{kIp});
  pod.ips = {*IpAddress::parse("10.244.1.8")};
  EXPECT_EQ(decide_pods({pod}, {}, "node1", told).pods.at("u1").ips, pod.ips) << "the object, once it speaks, is right";
}

}  // namespace
}  // namespace weft::agent
