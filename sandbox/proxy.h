// kube-proxy's stand-in: the nftables ruleset of a node that sends ClusterIPs to ready pods, at
// random, from pods and from the node. Pure text; loaded with one atomic `nft -f`.
#pragma once

#include <string>
#include <vector>

#include "sandbox/endpoints.h"

namespace weft::sandbox {

// Deterministic: equal views give equal text. Protocols other than TCP and UDP are left out.
std::string nft_ruleset(const std::vector<ServiceView>& views);

}  // namespace weft::sandbox
