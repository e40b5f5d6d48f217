// What the agent asks of the kernel, one step a call: the seam between the enroller and bpf::Datapath (capture_bpf.h), recorded in tests.
// And the order of the steps, which is the safety rule: on the way in the pod's addresses first, then the program that refuses every other
// one, outbound capture last. On the way out the other way round.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "agent/netns.h"
#include "base/net.h"
#include "base/result.h"

namespace weft::agent {

struct CapturedPod {
  std::uint64_t cookie = 0;
  std::vector<IpAddress> ips;
  bool dns = false;
  std::uint64_t inode = 0;  // of its netns; 0: not known
};

class Capture {
 public:
  virtual ~Capture() = default;
  // Inbound. Each again is success.
  virtual Result<void> attach_inbound(int netns_fd) = 0;
  virtual Result<void> set_listener(const IpAddress& ip, int listener_fd) = 0;
  virtual Result<void> enroll_ip(const IpAddress& ip) = 0;
  // Outbound.
  virtual Result<void> set_pod(std::uint64_t cookie, const std::vector<IpAddress>& ips, bool dns) = 0;
  // Removing what is not there is success.
  virtual Result<void> remove_pod(std::uint64_t cookie) = 0;
  virtual Result<void> withdraw_ip(const IpAddress& ip) = 0;
  virtual Result<void> remove_listener(const IpAddress& ip) = 0;
  virtual Result<void> detach_inbound(std::uint64_t netns_inode) = 0;

  // For ztunnel's sockets: never captured.
  virtual Result<void> mark_owned(int socket_fd) = 0;

  // Somebody holds the listener of `ip` open: a ztunnel, for the agent keeps none.
  virtual Result<bool> has_listener(const IpAddress& ip) const = 0;

  // What an earlier agent left.
  virtual Result<std::vector<CapturedPod>> pods() const = 0;
  virtual Result<std::vector<IpAddress>> enrolled_ips() const = 0;
  virtual Result<std::vector<std::uint64_t>> inbound_netns() const = 0;
};

// The whole way in; `listener_fd` is one of the pod's 15006 listeners, `dns`: its DNS is captured too. Stops at the first failure: what was done stays, it is safe
// (fail closed), and doing it again completes it. kListenersStay: the listeners in the map are right already.
inline constexpr int kListenersStay = -1;
Result<void> capture_pod(Capture& kernel, const Netns& netns, const std::vector<IpAddress>& ips, bool dns, int listener_fd);
// The whole way out. Goes on after a failure and reports the first. `netns_inode` 0: there is no link to take off.
Result<void> release_pod(Capture& kernel, std::uint64_t cookie, std::uint64_t netns_inode, const std::vector<IpAddress>& ips);

}  // namespace weft::agent
