#include "agent/discovery.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace weft::agent {
namespace {

constexpr const char* kUid = "0f3c1a52-8d1e-4f6b-9a57-2f6f2f6f2f6f";

TEST(IsPodCgroup, KnowsEverySpelling) {
  const std::string dashed = kUid;
  const std::string underscored = "0f3c1a52_8d1e_4f6b_9a57_2f6f2f6f2f6f";
  EXPECT_TRUE(is_pod_cgroup("pod" + dashed, kUid));
  EXPECT_TRUE(is_pod_cgroup("kubepods-pod" + underscored + ".slice", kUid));
  EXPECT_TRUE(is_pod_cgroup("kubepods-besteffort-pod" + underscored + ".slice", kUid));
  EXPECT_TRUE(is_pod_cgroup("kubepods-burstable-pod" + underscored + ".slice", kUid));
}

TEST(IsPodCgroup, IsFooledByNone) {
  for (const char* name : {"pod", "podother", "kubepods.slice", "kubepods-besteffort.slice", "kubepods-pod.slice",
                           "kubepods-burstable-pod0f3c1a52_8d1e_4f6b_9a57_2f6f2f6f2f6f", "xpod0f3c1a52-8d1e-4f6b-9a57-2f6f2f6f2f6f",
                           "pod0f3c1a52-8d1e-4f6b-9a57-2f6f2f6f2f6f1", "pod0f3c1a52-8d1e-4f6b-9a57-2f6f2f6f2f6"}) {
    EXPECT_FALSE(is_pod_cgroup(name, kUid)) << name;
  }
  EXPECT_FALSE(is_pod_cgroup("pod", ""));
}

TEST(FindPodsCgroup, WantsCgroup2) {
  const std::string root = testing::TempDir() + "/cgroup-of-pods";
  std::filesystem::create_directories(root + "/kubepods");  // the name alone is not enough
  EXPECT_EQ(find_pods_cgroup(root), "");
  std::filesystem::remove_all(root);
}

class CgroupTree : public testing::Test {
 protected:
  void SetUp() override {
    root_ = testing::TempDir() + "/cgroup-" + testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::remove_all(root_);
  }
  void TearDown() override { std::filesystem::remove_all(root_); }
  void write(const std::string& directory, const std::string& processes) {
    std::filesystem::create_directories(root_ + "/" + directory);
    std::ofstream(root_ + "/" + directory + "/cgroup.procs") << processes;
  }
  std::string root_;
};

TEST_F(CgroupTree, FindsAPodBelowItsQualityOfService) {
  write("kubepods-burstable.slice/kubepods-burstable-podu_1.slice/cri-x.scope", "41\n42\n");
  write("pod-other/c", "7\n");
  CgroupFinder finder(root_, "/proc");
  const auto found = finder.directory_of("u-1");
  EXPECT_EQ(found, root_ + "/kubepods-burstable.slice/kubepods-burstable-podu_1.slice");
  EXPECT_EQ(CgroupFinder::processes_below(found, 8), (std::vector<int>{41, 42}));
  EXPECT_EQ(finder.directory_of("u-2"), "");
}

TEST_F(CgroupTree, TakesNoMoreProcessesThanAskedAndNoneOfOtherNamespaces) {
  write("podu1/a", "0\n0\n1\n2\n3\n4\n");
  EXPECT_EQ(CgroupFinder::processes_below(root_ + "/podu1", 3), (std::vector<int>{1, 2, 3}));
}

TEST_F(CgroupTree, ReportsAPodWithoutProcessAsAbsent) {
  write("podu1/a", "");
  CgroupFinder finder(root_, "/proc");
  DesiredPod pod;
  pod.uid = "u1";
  EXPECT_EQ(finder.find(pod).error().code, Code::kNotFound);
  pod.uid = "u2";
  EXPECT_EQ(finder.find(pod).error().code, Code::kNotFound);
}

TEST_F(CgroupTree, PlainFilesAreNoNamespaces) {
  write("netns", "");
  DirectoryFinder finder(root_ + "/netns");
  DesiredPod pod;
  pod.ips = {*IpAddress::parse("10.0.0.7")};
  EXPECT_EQ(finder.find(pod).error().code, Code::kNotFound);
  EXPECT_EQ(DirectoryFinder("/nowhere/at/all").find(pod).error().code, Code::kNotFound);
}

class Fixed : public NetnsFinder {
 public:
  explicit Fixed(Result<Netns> answer) : answer_(std::move(answer)) {}
  Result<Netns> find(const DesiredPod&) override { return answer_; }

 private:
  Result<Netns> answer_;
};

TEST(EitherFinder, TellsTheMoreTellingFailure) {
  const auto ask = [](Result<Netns> first, Result<Netns> second) {
    EitherFinder finder(std::make_unique<Fixed>(first), std::make_unique<Fixed>(second));
    return finder.find({});
  };
  const Result<Netns> there = Netns{nullptr, 1, 2};
  const Result<Netns> absent = fail(Code::kNotFound, "absent");
  const Result<Netns> denied = fail(Code::kDenied, "denied");
  const Result<Netns> broken = fail(Code::kSystem, "broken");
  EXPECT_TRUE(ask(there, broken));
  EXPECT_TRUE(ask(broken, there));
  EXPECT_TRUE(ask(absent, there));
  EXPECT_EQ(ask(broken, absent).error().code, Code::kSystem);
  EXPECT_EQ(ask(absent, denied).error().code, Code::kNotFound);  // it may be mounted any moment
  EXPECT_EQ(ask(absent, broken).error().code, Code::kSystem);
}

}  // namespace
}  // namespace weft::agent
