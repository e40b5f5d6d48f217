// What the mesh knows about a name. Pure: the snapshot, the asking workload and chance are
// arguments. Source: ambient-protocol facts §5.5; headless pod names as Kubernetes DNS has them.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "mesh/resolve.h"
#include "mesh/snapshot.h"
#include "ztunnel/proxy/dns_codec.h"

namespace weft::proxy::dns {

// The answer to an A or AAAA question for `name` (lower case, no last dot), or nullopt: not ours,
// ask upstream. A service with addresses of the other family only is answered with no address.
// Shuffled.
std::optional<Reply> lookup(const mesh::Snapshot& snapshot, const mesh::Workload& client,
                            std::string_view cluster_domain, std::string_view name,
                            std::uint16_t type, const mesh::Random& random);

}  // namespace weft::proxy::dns
