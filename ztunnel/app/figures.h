// What the process's own rooms (xDS, agent link, certificates) show as metrics and in the config dump.
// Source of the names: ambient-protocol facts §7.1.
#pragma once

#include <cstdint>

#include "mesh/snapshot.h"
#include "ztunnel/admin/config_dump.h"
#include "ztunnel/admin/exposition.h"
#include "ztunnel/ca/keeper.h"
#include "ztunnel/pods/agent_link.h"
#include "ztunnel/xds/client.h"

namespace weft::app {

struct Figures {
  const xds::ClientCounters& xds;
  const pods::AgentLinkCounters& pods;
  const ca::Keeper& keeper;
  std::uint64_t generation;
  const mesh::Snapshot& snapshot;
};

void collect_figures(const Figures& figures, admin::Families& out);
admin::DumpedIdentity dump_certificate(const ca::CertificateState& certificate);

}  // namespace weft::app
