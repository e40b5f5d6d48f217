#include "agent/capture_bpf.h"

#include <algorithm>
#include <optional>

namespace weft::agent {

namespace {

std::optional<IpAddress> first_of(const std::vector<IpAddress>& ips, bool v6) {
  const auto found = std::ranges::find_if(ips, [v6](const IpAddress& ip) { return ip.is_v6() == v6; });
  return found == ips.end() ? std::nullopt : std::optional(*found);
}

std::vector<IpAddress> addresses_of(const weft_pod& pod) {
  std::vector<IpAddress> ips;
  for (const auto& field : {std::span(pod.ip4), std::span(pod.ip6)}) {
    const auto ip = IpAddress::from_bytes({reinterpret_cast<const std::uint8_t*>(field.data()), field.size()});
    const bool zero = std::ranges::all_of(field, [](auto byte) { return byte == 0; });
    if (ip && !zero) ips.push_back(*ip);
  }
  return ips;
}

}  // namespace

Result<void> BpfCapture::attach_inbound(int netns_fd) {
  auto attached = datapath_.attach_inbound(netns_fd);
  if (!attached) return std::unexpected(attached.error());
  return {};
}

Result<void> BpfCapture::set_pod(std::uint64_t cookie, const std::vector<IpAddress>& ips, bool dns) {
  const std::uint32_t flags = WEFT_POD_CAPTURE_OUT | (dns ? WEFT_POD_CAPTURE_DNS : 0);
  return datapath_.set_pod(cookie, bpf::make_pod(first_of(ips, false), first_of(ips, true), flags, ++generation_));
}

Result<std::vector<CapturedPod>> BpfCapture::pods() const {
  auto entries = datapath_.pods();
  if (!entries) return std::unexpected(entries.error());
  std::vector<CapturedPod> pods;
  for (const auto& entry : *entries) {
    pods.push_back({entry.netns_cookie, addresses_of(entry.pod), (entry.pod.flags & WEFT_POD_CAPTURE_DNS) != 0});
  }
  return pods;
}

}  // namespace weft::agent
