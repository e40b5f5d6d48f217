// What both inbound paths share: which port of the pod is meant, policy, and the connection to the
// application. Loop thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "mesh/snapshot.h"
#include "mesh/waypoint.h"
#include "ztunnel/hbone/head.h"
#include "ztunnel/io/socket.h"
#include "ztunnel/io/task.h"
#include "ztunnel/proxy/pod_context.h"
#include "ztunnel/proxy/record.h"

namespace weft::proxy {

// Where a CONNECT leads to.
struct Target {
  SocketAddress app;  // to connect to: a port of the pod's address, or of loopback for a sandwiched waypoint
  SocketAddress destination;  // what the client meant: `app`, or what is behind the waypoint
  bool header = false;        // `app` is told by a PROXY header who the client is, not by the kernel
  std::unique_ptr<mesh::Transit> transit;  // it is for somebody behind this pod, a waypoint
};

// The target of a CONNECT for `authority` that arrived at `local`, an address of `self`. A sandwiched
// waypoint passes on what is for those behind it; its own ports stay an ordinary pod's, but for the
// one that believes PROXY headers.
// Errors: kMalformed (the authority is another address: 400), kUnreachable (unknown host, no such
// port: 503). Pure.
Result<Target> target_of(const mesh::Snapshot& snapshot, const mesh::Workload& self,
                         const SocketAddress& local, const hbone::Authority& authority);

// The client to show to the application: the tunnel's other end, with the client's own port if the
// `forwarded` header tells it for that very address (all streams of a tunnel share the tunnel's
// port). Pure.
SocketAddress client_of(std::string_view forwarded, const SocketAddress& peer);
// The same client in the family of `destination`, if `workload`, whose address it is, has one there.
SocketAddress client_in_family_of(const SocketAddress& destination, SocketAddress client,
                                  const mesh::Workload* workload);

// The service for the labels: the one named by the client, else one that has `port` as a target on
// `self`, else null. Pure.
mesh::ServicePtr guess_service(const mesh::Snapshot& snapshot, const mesh::Workload& self,
                               std::uint16_t port, std::string_view host);

// Judges `live` under the newest snapshot and, if allowed, connects to the application at `app`,
// which is shown `client`, or is told later (no client). From here on a policy change cuts the connection. Errors: kDenied
// (live.verdict says why), kUnreachable, kTimedOut, kUnsupported.
io::Task<Result<io::Socket>> deliver(PodContext& pod, const mesh::Workload& self,
                                     std::optional<SocketAddress> client, SocketAddress app,
                                     Live& live);

// The end of an inbound connection that was not established.
void finish_refused(ConnectionRecord& record, Clock::time_point now, const Error& error,
                    const Live& live);

}  // namespace weft::proxy
