// ZDS messages as values: what a packet from the agent says, and the packets we send. Pure: no I/O but the ownership of descriptors.
// One message a packet, at most kPacketMax bytes. Source: ambient-protocol facts §2.7, §4.1; proto/weft/zds.proto.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "ztunnel/pods/link.h"

namespace weft::pods {

inline constexpr std::size_t kPacketMax = 1024;
inline constexpr std::size_t kDescriptorsMax = 253;  // SCM_MAX_FD
inline constexpr std::uint32_t kGrantMax = 64;       // sockets in one grant

struct AddPod {
  Pod pod;
  bool from_weft = false;   // the agent speaks Weft's fields: descriptors are netns + one per kind
  std::vector<int> kinds;   // istio::workload::zds::SocketKind
};
struct KeepPod {
  std::string uid;
};
struct DeletePod {
  std::string uid;
  bool running = false;  // it left the mesh and runs on
};
struct SnapshotSent {};
struct Grant {
  std::uint64_t id = 0;
  std::string error;
};
using AgentMessage = std::variant<AddPod, KeepPod, DeletePod, SnapshotSent, Grant>;

// Errors: one sentence naming what is wrong with the packet or the field.
Parsed<AgentMessage> decode_agent_message(std::string_view packet);

// Sorts the descriptors of an AddPod (netns first, closed here) by loop. Every loop needs outbound, inbound and HBONE listeners.
Parsed<PodSockets> sort_sockets(const AddPod& add, std::vector<Fd> descriptors, std::size_t loops);

struct SocketAsk {
  std::uint64_t id = 0;
  std::string uid;
  std::uint32_t count = 0;  // 1..kGrantMax
  bool v6 = false;
  bool udp = false;
};

std::string encode_hello(std::uint32_t loops, bool dns);
std::string encode_ack(std::string_view error);  // empty: fine; long text is cut
std::string encode_socket_request(const SocketAsk& ask);

}  // namespace weft::pods
