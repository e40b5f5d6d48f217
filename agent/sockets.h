// The sockets that must live in a pod's network namespace: listeners for ztunnel's loops, and fresh connection sockets.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace weft::agent {

// Same numbers as SocketKind in weft/zds.proto.
enum class SocketKind : std::uint8_t {
  kOutbound4 = 1,  // 127.0.0.1:15001
  kOutbound6 = 2,  // [::1]:15001
  kInbound = 3,    // [::]:15006 dual-stack, 0.0.0.0 where there is no IPv6
  kHbone = 4,      // [::]:15008 likewise
  kDnsUdp4 = 5,    // 127.0.0.1:15053
  kDnsUdp6 = 6,
  kDnsTcp4 = 7,
  kDnsTcp6 = 8,
};

struct PodSocket {
  SocketKind kind;
  Fd fd;
};

inline constexpr std::uint32_t kLoopsMost = 16;        // 8 kinds × 16 and the netns stay below SCM_RIGHTS' 253
inline constexpr std::uint32_t kConnectionsMost = 64;  // of one request

// `loops` sockets of each kind, SO_REUSEPORT, chosen by CPU; listening. IPv6 ones are left out where the pod has no IPv6.
// `mark` makes a socket the agent's own before it is bound: nobody else may take a mesh port in an enrolled pod (bpf, bind4/6).
// REQUIRES: 1 <= loops <= kLoopsMost. Errors: kSystem; EADDRINUSE means that the application holds one of our ports.
using MarkSocket = std::function<Result<void>(int fd)>;
Result<std::vector<PodSocket>> open_listeners(int netns_fd, std::uint32_t loops, bool dns, const MarkSocket& mark);

// `count` sockets, not bound, not connected. Fewer than asked is a success with what could be had; none is an error.
// REQUIRES: 1 <= count <= kConnectionsMost.
Result<std::vector<Fd>> open_connections(int netns_fd, std::uint32_t count, bool v6, bool udp);

}  // namespace weft::agent
