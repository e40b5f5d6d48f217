#include "agent/capture.h"

namespace weft::agent {

Result<void> capture_pod(Capture& kernel, const Netns& netns, const std::vector<IpAddress>& ips, bool dns, int listener_fd) {
  if (listener_fd != kListenersStay) {
    for (const auto& ip : ips) {
      if (auto set = kernel.set_listener(ip, listener_fd); !set) return set;
    }
  }
  for (const auto& ip : ips) {
    if (auto enrolled = kernel.enroll_ip(ip); !enrolled) return enrolled;
  }
  // From here on an address that is not enrolled is refused, so the pod's own come before.
  if (auto attached = kernel.attach_inbound(netns.fd->get()); !attached) return attached;
  return kernel.set_pod(netns.cookie, ips, dns);
}

Result<void> release_pod(Capture& kernel, std::uint64_t cookie, std::uint64_t netns_inode, const std::vector<IpAddress>& ips) {
  Result<void> first = kernel.remove_pod(cookie);
  const auto keep = [&first](Result<void> next) {
    if (first && !next) first = next;
  };
  if (netns_inode != 0) keep(kernel.detach_inbound(netns_inode));
  for (const auto& ip : ips) keep(kernel.withdraw_ip(ip));
  for (const auto& ip : ips) keep(kernel.remove_listener(ip));
  return first;
}

}  // namespace weft::agent
