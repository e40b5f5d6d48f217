// A pod's netns and a neighbour's, joined by a veth, with the real datapath attached to the scratch
// cgroup that this process is in. The process plays everybody: which netns a socket is opened in,
// and whether it is marked as owned, makes it the pod's, the neighbour's or ztunnel's.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <optional>
#include <string>

#include "base/fd.h"
#include "base/net.h"
#include "bpf/user/datapath.h"
#include "tests/bpf/sockets.h"

namespace weft::bpf_test {

constexpr const char* kPod4 = "10.244.1.5";
constexpr const char* kPod6 = "fd00:244:1::5";
constexpr const char* kNeighbour4 =
    "10.244.1.9";  // also plays "the world", and its netns is the node's
constexpr const char* kNeighbour6 = "fd00:244:1::9";
constexpr std::uint32_t kCaptureAll = WEFT_POD_CAPTURE_OUT | WEFT_POD_CAPTURE_DNS;

// This thread's netns while it lives.
class InNetns {
 public:
  explicit InNetns(const Fd& netns);
  ~InNetns();
  InNetns(const InNetns&) = delete;
  InNetns& operator=(const InNetns&) = delete;

 private:
  Fd before_;
};

Fd new_netns();
std::uint64_t cookie_of(const Fd& netns);
std::uint64_t inode_of(const Fd& netns);
// `ip …` in that netns; throws the test away when it fails.
void ip(const Fd& netns, const std::string& arguments);
void write_file(const std::string& path, const std::string& text);

// This process plays one of the node's own (kubelet) while it lives, else it is a pod's: the cgroup
// in which a socket is made decides.
class AsNode {
 public:
  AsNode(std::string node_cgroup, std::string back);
  ~AsNode();
  AsNode(const AsNode&) = delete;
  AsNode& operator=(const AsNode&) = delete;

 private:
  std::string back_;
};

// ztunnel's listeners in a pod, marked as owned: 15001 and 15006 in both families, 15053 for DNS.
struct Ztunnel {
  Fd outbound4, outbound6, inbound, dns4, dns6, dns_tcp4;
};

class World : public testing::Test {
 protected:
  World();
  ~World() override;

  // A second netns that can be enrolled; without links.
  Fd bare_netns();
  bpf::Datapath open_datapath();
  Ztunnel start_ztunnel(const Fd& netns);
  void enrol_outbound(std::uint32_t flags = kCaptureAll);
  // listener, enroll, attach: as the agent does.
  void enrol_inbound();
  Fd ztunnel_dial_socket(Form form, const SocketAddress& client);
  std::uint64_t counted(weft_counter counter);
  std::uint32_t entries_of(std::string_view map);

  std::string node_cgroup_;
  std::string cgroup_;
  std::string pin_dir_;
  std::optional<bpf::Datapath> datapath_;
  Fd pod_;
  Fd neighbour_;
  Ztunnel ztunnel_;  // in pod_
};

}  // namespace weft::bpf_test
