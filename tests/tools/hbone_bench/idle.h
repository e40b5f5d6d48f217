// The memory half of hbone-bench, and what both halves need.
#pragma once

#include <utility>

#include "base/fd.h"
#include "ztunnel/io/make_loop.h"

namespace weft::hbone {

// Two ends of a TCP connection on the loopback device.
std::pair<Fd, Fd> tcp_pair();

// Prints {"tls_bytes": one end's TLS engine, "idle_tunnel_bytes": what one end of an idle tunnel
// holds beyond that}, means of `count`. Resident memory of the process: sockets are not in it.
// Returns the exit code.
int print_idle(io::LoopKind kind, int count);

}  // namespace weft::hbone
