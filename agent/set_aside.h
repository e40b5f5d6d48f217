// SetAside: the kernel as an agent sees it that may be set aside for a successor (an upgrade). From
// then on nothing in the kernel changes by its hand, while it goes on serving its own ztunnel,
// which still has connections: each step that would write is answered with success, so that its
// picture of the pods stays whole, and sockets are still marked as ztunnel's. One thread.
#pragma once

#include "agent/capture.h"

namespace weft::agent {

class SetAside : public Capture {
 public:
  explicit SetAside(Capture& kernel) : kernel_(kernel) {}

  void set_aside() { aside_ = true; }
  bool is_aside() const { return aside_; }

  Result<void> attach_inbound(int netns_fd) override {
    return aside_ ? Result<void>() : kernel_.attach_inbound(netns_fd);
  }
  Result<void> set_listener(const IpAddress& ip, int listener_fd) override {
    return aside_ ? Result<void>() : kernel_.set_listener(ip, listener_fd);
  }
  Result<void> enroll_ip(const IpAddress& ip) override {
    return aside_ ? Result<void>() : kernel_.enroll_ip(ip);
  }
  Result<void> set_pod(std::uint64_t cookie, const std::vector<IpAddress>& ips, bool dns) override {
    return aside_ ? Result<void>() : kernel_.set_pod(cookie, ips, dns);
  }
  Result<void> remove_pod(std::uint64_t cookie) override {
    return aside_ ? Result<void>() : kernel_.remove_pod(cookie);
  }
  Result<void> withdraw_ip(const IpAddress& ip) override {
    return aside_ ? Result<void>() : kernel_.withdraw_ip(ip);
  }
  Result<void> remove_listener(const IpAddress& ip) override {
    return aside_ ? Result<void>() : kernel_.remove_listener(ip);
  }
  Result<void> detach_inbound(std::uint64_t netns_inode) override {
    return aside_ ? Result<void>() : kernel_.detach_inbound(netns_inode);
  }

  Result<void> mark_owned(int socket_fd) override { return kernel_.mark_owned(socket_fd); }
  Result<bool> has_listener(const IpAddress& ip) const override { return kernel_.has_listener(ip); }
  Result<std::vector<CapturedPod>> pods() const override { return kernel_.pods(); }
  Result<std::vector<IpAddress>> enrolled_ips() const override { return kernel_.enrolled_ips(); }
  Result<std::vector<std::uint64_t>> inbound_netns() const override {
    return kernel_.inbound_netns();
  }

 private:
  Capture& kernel_;
  bool aside_ = false;
};

}  // namespace weft::agent
