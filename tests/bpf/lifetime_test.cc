// The datapath over time: restarts, refusals to start, cleaning up, and nothing that grows.
#include <bpf/bpf.h>
#include <fmt/format.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <atomic>
#include <filesystem>
#include <thread>

#include "bpf/user/features.h"
#include "tests/bpf/world.h"

namespace weft::bpf_test {
namespace {

const SocketAddress kService = at("10.96.0.7", 8080);

class Lifetime : public World {
 protected:
  // One captured connection, start to end; what went wrong or "".
  std::string one_connection() {
    const Fd app = stream_socket(Form::kV4);
    const linger reset{.l_onoff = 1};
    setsockopt(app.get(), SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    if (const int failed = connect_to(app, kService, Form::kV4); failed != 0)
      return fmt::format("connect {}", failed);
    const Fd taken = accept_from(ztunnel_.outbound4);
    if (!taken) return "not accepted";
    const std::string original = original_of(taken, SOL_IP);
    return original == kService.str() ? "" : "original " + original;
  }
};

TEST_F(Lifetime, TenThousandConnectsLeaveNothingBehind) {
  enrol_outbound();
  const InNetns here(pod_);
  for (int i = 0; i < 10'000; ++i) ASSERT_EQ(one_connection(), "") << i;
  EXPECT_EQ(entries_of("weft_flows"), 0u);
  EXPECT_EQ(counted(WEFT_CONNECT_CAPTURED), 10'000u);
  EXPECT_EQ(counted(WEFT_FLOW_PUBLISHED), 10'000u);
  EXPECT_EQ(counted(WEFT_FLOW_LOST), 0u);
}

TEST_F(Lifetime, AReopenedDatapathLeavesNoConnectionUncaptured) {
  enrol_outbound();
  enrol_inbound();
  std::atomic<bool> stop = false;
  std::atomic<int> connections = 0;
  std::string wrong;
  std::thread load([&] {
    const InNetns here(pod_);
    while (!stop && wrong.empty()) {
      wrong = one_connection();
      ++connections;
    }
  });
  while (connections < 20) std::this_thread::yield();
  for (int restart = 0; restart < 10; ++restart) {
    datapath_.reset();
    datapath_.emplace(open_datapath());
  }
  stop = true;
  load.join();
  EXPECT_EQ(wrong, "");
  EXPECT_EQ(counted(WEFT_FLOW_LOST), 0u);
}

TEST_F(Lifetime, AReopenedDatapathKnowsWhatTheKernelHolds) {
  enrol_outbound();
  enrol_inbound();
  const auto before = datapath_->programs().value();
  datapath_.reset();
  datapath_.emplace(open_datapath());

  const auto pods = datapath_->pods().value();
  ASSERT_EQ(pods.size(), 1u);
  EXPECT_EQ(pods[0].netns_cookie, cookie_of(pod_));
  EXPECT_EQ(pods[0].pod.flags, kCaptureAll);
  EXPECT_EQ(datapath_->enrolled_ips()->size(), 2u);
  EXPECT_EQ(datapath_->listener_ips()->size(), 2u);
  EXPECT_EQ(datapath_->inbound_netns().value(), std::vector{inode_of(pod_)});
  const auto after = datapath_->programs().value();
  ASSERT_EQ(before.size(), after.size());
  for (std::size_t i = 0; i < before.size(); ++i) {
    EXPECT_EQ(before[i].name, after[i].name);
    EXPECT_EQ(before[i].link_id, after[i].link_id)
        << before[i].name << ": the link itself must stay";
    EXPECT_NE(before[i].id, after[i].id) << before[i].name << ": the program must be the new one";
  }
}

TEST_F(Lifetime, ADatapathOpenedForAnotherCgroupLeavesTheFirst) {
  enrol_outbound();
  const std::string below = cgroup_ + "/below";
  std::filesystem::create_directory(below);
  datapath_.reset();
  auto moved = bpf::Datapath::open({.cgroup = below, .pin_dir = pin_dir_});
  ASSERT_TRUE(moved) << moved.error().text;
  {
    const InNetns here(pod_);
    const Fd app = stream_socket(Form::kV4);  // this process is above
    EXPECT_NE(connect_to(app, at(kNeighbour4, 8080), Form::kV4), 0);
    EXPECT_FALSE(accept_from(ztunnel_.outbound4, nullptr, 50));
  }
  datapath_.emplace(open_datapath());
  std::filesystem::remove(below);
  const InNetns here(pod_);
  EXPECT_EQ(one_connection(), "");
}

TEST_F(Lifetime, WithoutAnyProcessHoldingItTheDatapathGoesOn) {
  enrol_outbound();
  datapath_.reset();
  const InNetns here(pod_);
  EXPECT_EQ(one_connection(), "");
}

TEST_F(Lifetime, TheInboundPinOfADeadNetnsIsDropped) {
  {
    const Fd brief = bare_netns();
    ASSERT_TRUE(datapath_->attach_inbound(brief.get()));
    ASSERT_TRUE(datapath_->attach_inbound(brief.get()));  // again is success
    EXPECT_EQ(datapath_->inbound_netns()->size(), 1u);
  }
  for (int tries = 0; tries < 200 && !datapath_->inbound_netns()->empty(); ++tries)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_TRUE(datapath_->inbound_netns()->empty());
  datapath_.reset();
  datapath_.emplace(open_datapath());
  for (const auto& entry : std::filesystem::directory_iterator(pin_dir_))
    EXPECT_FALSE(entry.path().filename().string().starts_with("netns_")) << entry.path();
}

TEST_F(Lifetime, PinsAreTheOwnersAlone) {
  struct stat info{};
  ASSERT_EQ(stat(pin_dir_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700u);
  for (const auto& entry : std::filesystem::directory_iterator(pin_dir_)) {
    ASSERT_EQ(stat(entry.path().c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0600u) << entry.path();
  }
}

TEST_F(Lifetime, PinsOfAnotherAbiVersionAreRefused) {
  const Fd abi(bpf_obj_get((pin_dir_ + "/weft_abi").c_str()));
  const std::uint32_t key = 0;
  std::uint32_t version = WEFT_ABI_VERSION + 1;
  ASSERT_EQ(bpf_map_update_elem(abi.get(), &key, &version, BPF_ANY), 0);
  const auto refused = bpf::Datapath::open({.cgroup = cgroup_, .pin_dir = pin_dir_});
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().text.find("ABI version"), std::string::npos) << refused.error().text;
}

TEST_F(Lifetime, StartingInTheWrongPlaceSaysWhatIsWrong) {
  const auto no_bpffs = bpf::Datapath::open({.cgroup = cgroup_, .pin_dir = "/tmp/weft"});
  ASSERT_FALSE(no_bpffs);
  EXPECT_NE(no_bpffs.error().text.find("not on a bpffs"), std::string::npos)
      << no_bpffs.error().text;
  const auto no_cgroup = bpf::Datapath::open({.cgroup = "/proc", .pin_dir = pin_dir_});
  ASSERT_FALSE(no_cgroup);
  EXPECT_NE(no_cgroup.error().text.find("not a cgroup v2"), std::string::npos)
      << no_cgroup.error().text;
}

TEST_F(Lifetime, UnloadTakesEverythingOffWhileTheDatapathIsStillOpen) {
  enrol_outbound();
  enrol_inbound();
  ASSERT_TRUE(bpf::unload(pin_dir_));
  EXPECT_FALSE(std::filesystem::exists(pin_dir_));
  ASSERT_TRUE(bpf::unload(pin_dir_));  // again is success
  Fd server;
  {
    const InNetns there(neighbour_);
    server = listen_at(at(kNeighbour4, 8080));
  }
  const InNetns here(pod_);
  const Fd app = stream_socket(Form::kV4);
  ASSERT_EQ(connect_to(app, at(kNeighbour4, 8080), Form::kV4), 0);
  EXPECT_TRUE(accept_from(server));
}

TEST_F(Lifetime, RemovingWhatIsNotThereIsSuccess) {
  EXPECT_TRUE(datapath_->remove_pod(42));
  EXPECT_TRUE(datapath_->withdraw_ip(*IpAddress::parse("10.9.9.9")));
  EXPECT_TRUE(datapath_->remove_listener(*IpAddress::parse("10.9.9.9")));
}

TEST_F(Lifetime, ThreeCapabilitiesAreEnough) {
  datapath_.reset();
  const pid_t agent = fork();
  if (agent == 0) {
    __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3};
    __user_cap_data_struct data[2]{};
    for (const int capability : {CAP_NET_ADMIN, CAP_SYS_ADMIN, CAP_BPF})
      data[capability / 32].effective |= 1u << (capability % 32),
          data[capability / 32].permitted |= 1u << (capability % 32);
    if (syscall(SYS_capset, &header, data) != 0) _exit(1);
    auto opened = bpf::Datapath::open({.cgroup = cgroup_, .pin_dir = pin_dir_});
    if (!opened) _exit(2);
    if (!opened->attach_inbound(pod_.get())) _exit(3);
    _exit(opened->mark_owned(ztunnel_.inbound.get()) ? 0 : 4);
  }
  int status = -1;
  waitpid(agent, &status, 0);
  EXPECT_EQ(WEXITSTATUS(status), 0);
  datapath_.emplace(open_datapath());
}

TEST_F(Lifetime, ThisKernelHasWhatIsRequired) {
  const auto features = bpf::probe_features();
  for (const auto& feature : features)
    EXPECT_TRUE(feature.present || !feature.required) << feature.name;
  EXPECT_EQ(bpf::report(features).find("MISSING"), std::string::npos) << bpf::report(features);
}

}  // namespace
}  // namespace weft::bpf_test
