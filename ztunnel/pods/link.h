// What the agent hands over: a pod, its listeners (one set a loop), and the interface that takes them.
// Wire side: pods/zds.h (framing) and pods/client.h (the connection to the agent).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/net.h"
#include "base/result.h"

namespace weft::pods {

// A pod of this node, as the agent knows it. The workload behind it is found in the snapshot by
// (name, ns, service_account, node): mesh::Snapshot::local_workload.
struct Pod {
  std::string uid;
  std::string name;
  std::string ns;
  std::string service_account;
  std::vector<IpAddress> addresses;  // may be empty (an agent that does not tell)
};

// One loop's listeners of one pod: non-blocking, listening, opened in the pod's netns, SO_REUSEPORT among the loops.
// A descriptor that the agent did not send is invalid (a pod without IPv6, DNS capture off).
struct LoopSockets {
  Fd outbound_v4;  // 127.0.0.1:15001; the original destination is SO_ORIGINAL_DST
  Fd outbound_v6;  // [::1]:15001
  Fd inbound;      // [::]:15006; the original destination is getsockname()
  Fd hbone;        // [::]:15008
  Fd dns_udp_v4, dns_udp_v6;  // 127.0.0.1:15053, [::1]:15053
  Fd dns_tcp_v4, dns_tcp_v6;
};

// loops[i] belongs to loop i; as many as there are loops.
struct PodSockets {
  std::vector<LoopSockets> loops;
};

// Takes pods. Both calls come on the main thread, one after the other, and hand on to the loops by post().
class PodListener {
 public:
  virtual ~PodListener() = default;
  // A new pod, or new listeners for a known one (the agent was restarted): the new listeners replace the old ones and live
  // connections go on. An error is sent to the agent as the text of its Ack, and the pod counts as pending.
  virtual Parsed<void> on_add(const Pod& pod, PodSockets sockets) = 0;
  // The pod left the mesh: stop listening, drain what is open; of one that is `running` on, connections keep until they end.
  // Unknown uids are ignored.
  virtual void on_delete(std::string_view uid, bool running) = 0;
};

}  // namespace weft::pods
