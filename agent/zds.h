// ZDS frames (proto/weft/zds.proto) as values: one frame a SOCK_SEQPACKET packet, at most kFrameMax bytes. Pure.
// What comes in is judged here completely; a frame that decodes obeys every limit named below.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "agent/sockets.h"
#include "base/net.h"
#include "base/result.h"

namespace weft::agent::zds {

inline constexpr std::size_t kFrameMax = 1024;
inline constexpr std::size_t kUidMax = 128;

// From ztunnel.
struct Hello {
  std::uint32_t loops = 1;  // 1..kLoopsMost
  bool dns = false;
};
struct Ack {
  std::string error;  // empty: done
};
struct SocketRequest {
  std::string uid;
  std::uint32_t count = 0;  // 1..kConnectionsMost
  bool v6 = false;
  bool udp = false;
  std::uint64_t id = 0;
};
using Response = std::variant<Ack, SocketRequest>;

// The first frame of a connection. The Problem's text is for the log.
Parsed<Hello> decode_hello(std::span<const std::byte> frame);
// Every later one. `descriptors`: how many came with it (none may).
Parsed<Response> decode_response(std::span<const std::byte> frame, std::size_t descriptors);

// To ztunnel.
struct Add {
  std::string uid, name, ns, service_account;
  std::vector<SocketKind> kinds;  // of the descriptors after the netns
  std::vector<IpAddress> addresses;
};

using Frame = std::vector<std::byte>;
// Errors: kExhausted when the frame would be longer than kFrameMax.
Result<Frame> encode_add(const Add& add);
// `running`: the pod itself goes on.
Frame encode_del(const std::string& uid, bool running);
Frame encode_keep(const std::string& uid);
Frame encode_snapshot_sent();
// `error` is cut to what fits.
Frame encode_grant(std::uint64_t id, const std::string& error);

}  // namespace weft::agent::zds
