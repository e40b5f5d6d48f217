// Capture on the real kernel: each step one call of bpf::Datapath.
#pragma once

#include "agent/capture.h"
#include "bpf/user/datapath.h"

namespace weft::agent {

class BpfCapture : public Capture {
 public:
  // `datapath` outlives this.
  explicit BpfCapture(bpf::Datapath& datapath) : datapath_(datapath) {}

  Result<void> attach_inbound(int netns_fd) override;
  Result<void> set_listener(const IpAddress& ip, int listener_fd) override { return datapath_.set_listener(ip, listener_fd); }
  Result<void> enroll_ip(const IpAddress& ip) override { return datapath_.enroll_ip(ip); }
  Result<void> set_pod(std::uint64_t cookie, const std::vector<IpAddress>& ips, bool dns) override;
  Result<void> remove_pod(std::uint64_t cookie) override { return datapath_.remove_pod(cookie); }
  Result<void> withdraw_ip(const IpAddress& ip) override { return datapath_.withdraw_ip(ip); }
  Result<void> remove_listener(const IpAddress& ip) override { return datapath_.remove_listener(ip); }
  Result<void> detach_inbound(std::uint64_t inode) override { return datapath_.detach_inbound(inode); }
  Result<void> mark_owned(int socket_fd) override { return datapath_.mark_owned(socket_fd); }
  Result<bool> has_listener(const IpAddress& ip) const override { return datapath_.has_listener(ip); }
  Result<std::vector<CapturedPod>> pods() const override;
  Result<std::vector<IpAddress>> enrolled_ips() const override { return datapath_.enrolled_ips(); }
  Result<std::vector<std::uint64_t>> inbound_netns() const override { return datapath_.inbound_netns(); }

 private:
  bpf::Datapath& datapath_;
  std::uint32_t generation_ = 0;
};

}  // namespace weft::agent
