// How a connection ended, put into its record; and small texts shared by both directions.
#pragma once

#include <string>

#include "base/clock.h"
#include "mesh/workload.h"
#include "ztunnel/hbone/baggage.h"
#include "ztunnel/proxy/pod_context.h"
#include "ztunnel/proxy/pool.h"
#include "ztunnel/proxy/record.h"
#include "ztunnel/proxy/relay.h"

namespace weft::proxy {

// The one call after relay(). A connection that policy cut is a denial, one that was stopped or
// reset ends with an error text.
void finish(ConnectionRecord& record, Clock::time_point now, const Relayed& relayed,
            const Live& live);

// Hint and detail as one line.
std::string explain(const Refusal& why);

hbone::Baggage baggage_of(const mesh::Workload& workload);

}  // namespace weft::proxy
