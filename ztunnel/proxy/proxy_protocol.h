// The PROXY v2 header that ztunnel puts before a connection to a sandwiched waypoint: who the client is, where it wanted to go,
// and who it has proven to be. An encoder only; nobody else's claim is ever read. Pure.
// Source: haproxy's doc/proxy-protocol.txt §2.2; ambient-protocol facts §1.12; envoy-waypoint facts §0.3.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/net.h"
#include "mesh/identity.h"

namespace weft::proxy {

inline constexpr std::uint8_t kTlvIdentity = 0xD0;  // the client's SPIFFE URI

// Both addresses in one family: a v4 address beside a v6 one is written v4-mapped.
// REQUIRES: both addresses are set, and Identity::parse(identity.str()) gives the identity: what did not come from there might
// not be text.
std::vector<std::byte> proxy_header(const SocketAddress& client, const SocketAddress& destination, const mesh::Identity& identity);

}  // namespace weft::proxy
