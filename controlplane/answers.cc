#include "controlplane/answers.h"

#include <ctime>
#include <string>
#include <utility>

#include "base/clock.h"
#include "controlplane/backends/ztunnel/encode.h"

namespace weft::controlplane {
namespace {

using nlohmann::json;

std::string rfc3339(WallClock::time_point time) {
  const std::time_t seconds = WallClock::to_time_t(time);
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

}  // namespace

json status_answer(const translate::World& world, const source::Source& source,
                   const Gauges& gauges, const xds::Cache& cache, std::optional<bool> leads) {
  json out{{"objects", json::array()}, {"problems", json::array()}};
  for (const translate::ObjectStatus& one : world.statuses()) {
    json conditions = json::array();
    for (const model::Condition& condition : one.conditions) {
      conditions.push_back({{"type", condition.type},
                            {"status", condition.status ? "True" : "False"},
                            {"reason", condition.reason},
                            {"message", condition.message}});
    }
    out["objects"].push_back({{"kind", one.key.kind},
                              {"namespace", one.key.ns},
                              {"name", one.key.name},
                              {"origin", one.origin},
                              {"conditions", std::move(conditions)}});
  }
  for (const source::FileProblem& one : source.problems())
    out["problems"].push_back({{"file", one.file}, {"error", one.text}});
  out["generation"] = {{"source", gauges.source_generation.load()},
                       {"translate", gauges.translate_generation.load()},
                       {"xds", cache.generation()}};
  if (leads) out["leads"] = *leads;
  out["resources"] = {{"addresses", cache.size(ztunnel::kAddressType)},
                      {"policies", cache.size(ztunnel::kAuthorizationType)}};
  return out;
}

json clients_answer(const std::vector<server::ClientStatus>& clients, std::uint64_t generation) {
  json list = json::array();
  for (const server::ClientStatus& client : clients) {
    json types = json::array();
    for (const xds::TypeStatus& type : client.types) {
      types.push_back({{"type", type.type},
                       {"wildcard", type.wildcard},
                       {"sent", type.sent},
                       {"acked", type.acked},
                       {"nacks", type.nacks},
                       {"error", type.last_error}});
    }
    list.push_back({{"peer", client.peer},
                    {"id", client.node_id},
                    {"node", client.node},
                    {"since", rfc3339(client.since)},
                    {"types", std::move(types)}});
  }
  return {{"clients", std::move(list)}, {"generation", generation}};
}

json ca_answer(const ca::CaInfo& info, const server::Counters& counters) {
  json roots = json::array();
  for (const auto& root : info.roots) {
    roots.push_back({{"number", root.number},
                     {"sha256", root.fingerprint},
                     {"notBefore", rfc3339(root.not_before)},
                     {"notAfter", rfc3339(root.not_after)},
                     {"signs", root.signs}});
  }
  return {{"phase", ca::to_string(info.phase)},
          {"since", rfc3339(info.since)},
          {"roots", std::move(roots)},
          {"issued", counters.certificates_issued.load()},
          {"refused", counters.certificates_refused.load()}};
}

}  // namespace weft::controlplane
