// What the control plane says of itself to `weftctl`, as JSON. Pure but for what it is given.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "controlplane/ca/authority.h"
#include "controlplane/metrics.h"
#include "controlplane/server/server.h"
#include "controlplane/translate/world.h"
#include "controlplane/xds/cache.h"
#include "source/source.h"

namespace weft::controlplane {

// Every object's conditions, what the source could not read, and how far things are. `leads`: none
// where there is no election.
nlohmann::json status_answer(const translate::World& world, const source::Source& source,
                             const Gauges& gauges, const xds::Cache& cache,
                             std::optional<bool> leads);
nlohmann::json clients_answer(const std::vector<server::ClientStatus>& clients,
                              std::uint64_t generation);
nlohmann::json ca_answer(const ca::CaInfo& info, const server::Counters& counters);

}  // namespace weft::controlplane
