// What both inbound paths share: which port of the pod is meant, policy, and the connection to the
// application. Loop thread.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "mesh/snapshot.h"
#include "ztunnel/hbone/head.h"
#include "ztunnel/io/socket.h"
#include "ztunnel/io/task.h"
#include "ztunnel/proxy/pod_context.h"
#include "ztunnel/proxy/record.h"

namespace weft::proxy {

// The port of `self` that a CONNECT for `authority`, arrived at `local`, is for.
// Errors: kMalformed (the authority is another address: 400), kUnreachable (unknown host, no such
// port: 503). Pure.
Result<std::uint16_t> target_of(const mesh::Snapshot& snapshot, const mesh::Workload& self,
                                const SocketAddress& local, const hbone::Authority& authority);

// The client to show to the application: the tunnel's other end, with the client's own port if the
// `forwarded` header tells it for that very address (all streams of a tunnel share the tunnel's
// port). Pure.
SocketAddress client_of(std::string_view forwarded, const SocketAddress& peer);

// The service for the labels: the one named by the client, else one that has `port` as a target on
// `self`, else null. Pure.
mesh::ServicePtr guess_service(const mesh::Snapshot& snapshot, const mesh::Workload& self,
                               std::uint16_t port, std::string_view host);

// Judges `live.attributes` under the newest snapshot and, if allowed, connects to the application
// at `app` showing it `client`. From here on a policy change cuts the connection. Errors: kDenied
// (live.verdict says why), kUnreachable, kTimedOut, kUnsupported.
io::Task<Result<io::Socket>> deliver(PodContext& pod, const mesh::Workload& self,
                                     SocketAddress client, SocketAddress app, Live& live);

// The end of an inbound connection that was not established.
void finish_refused(ConnectionRecord& record, Clock::time_point now, const Error& error,
                    const Live& live);

}  // namespace weft::proxy
