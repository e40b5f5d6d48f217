#include "ztunnel/admin/config_dump.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <openssl/evp.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace weft::admin {
namespace {

using Json = nlohmann::ordered_json;

std::string base64(const std::string& text) {
  std::string out(4 * ((text.size() + 2) / 3) + 1, '\0');
  const int length = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                     reinterpret_cast<const unsigned char*>(text.data()), static_cast<int>(text.size()));
  out.resize(static_cast<std::size_t>(length));
  return out;
}

std::string rfc3339(WallClock::time_point time) {
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(WallClock::to_time_t(time)));
}

std::string vip_text(const mesh::NetworkAddress& address) {
  return address.network + "/" + address.ip.str() + (address.length ? fmt::format("/{}", *address.length) : "");
}

Json gateway(const mesh::GatewayAddress& in) {
  const auto* host = std::get_if<mesh::NamespacedHostname>(&in.destination);
  return {{"destination", host != nullptr ? host->key() : vip_text(std::get<mesh::NetworkAddress>(in.destination))},
          {"hboneMtlsPort", in.hbone_mtls_port}};
}

Json ports(const std::vector<mesh::Port>& in) {
  Json out = Json::object();
  for (const auto& port : in) out[std::to_string(port.service_port)] = port.target_port;
  return out;
}

Json workload(const mesh::Workload& in) {
  Json out{{"uid", in.uid}, {"name", in.name}, {"namespace", in.ns}};
  auto& ips = out["workloadIps"] = Json::array();
  for (const auto& ip : in.addresses) ips.push_back(ip.str());
  out["protocol"] = in.tunnel_protocol == mesh::TunnelProtocol::kHbone ? "HBONE" : "TCP";
  out["networkMode"] = in.host_network ? "HostNetwork" : "Standard";
  out["network"] = in.network;
  out["trustDomain"] = in.trust_domain;
  out["serviceAccount"] = in.service_account;
  if (in.waypoint) out["waypoint"] = gateway(*in.waypoint);
  if (in.network_gateway) out["networkGateway"] = gateway(*in.network_gateway);
  out["node"] = in.node;
  out["workloadName"] = in.workload_name;
  out["workloadType"] = in.workload_type;
  out["canonicalName"] = in.canonical_name;
  out["canonicalRevision"] = in.canonical_revision;
  out["nativeTunnel"] = in.native_tunnel;
  if (in.application_tunnel) {
    out["applicationTunnel"] = {{"protocol", in.application_tunnel->proxy_protocol ? "PROXY" : "NONE"},
                                {"port", in.application_tunnel->port}};
  }
  if (!in.hostname.empty()) out["hostname"] = in.hostname;
  out["authorizationPolicies"] = in.authorization_policies;
  out["status"] = in.healthy ? "Healthy" : "Unhealthy";
  out["clusterId"] = in.cluster_id;
  out["locality"] = {{"region", in.locality.region}, {"zone", in.locality.zone}, {"subzone", in.locality.subzone}};
  out["capacity"] = in.capacity;
  auto& services = out["services"] = Json::object();
  for (const auto& [key, list] : in.services) services[key] = ports(list);
  return out;
}

Json load_balancer(const mesh::LoadBalancing& in) {
  static constexpr const char* kScopes[] = {"Region", "Zone", "Subzone", "Node", "Cluster", "Network"};
  static constexpr const char* kModes[] = {"Standard", "Strict", "Failover", "Passthrough"};
  Json preferences = Json::array();
  for (const auto scope : in.preference) preferences.push_back(kScopes[static_cast<std::size_t>(scope)]);
  return {{"routingPreferences", preferences},
          {"mode", kModes[static_cast<std::size_t>(in.mode)]},
          {"healthPolicy", in.allow_unhealthy ? "AllowAll" : "OnlyHealthy"}};
}

Json service(const mesh::Service& in, const std::vector<mesh::WorkloadPtr>& endpoints) {
  static constexpr const char* kFamilies[] = {nullptr, "IPv4", "IPv6", "Dual"};
  Json out{{"name", in.name}, {"namespace", in.ns}, {"hostname", in.hostname}};
  auto& vips = out["vips"] = Json::array();
  Json cidrs = Json::array();
  for (const auto& vip : in.addresses) (vip.length ? cidrs : vips).push_back(vip_text(vip));
  if (!cidrs.empty()) out["cidrVips"] = cidrs;
  out["ports"] = ports(in.ports);
  auto& list = out["endpoints"] = Json::object();
  for (const auto& endpoint : endpoints) {
    list[endpoint->uid] = {{"workloadUid", endpoint->uid},
                           {"port", ports(endpoint->services.at(in.key()))},
                           {"status", endpoint->healthy ? "Healthy" : "Unhealthy"}};
  }
  out["subjectAltNames"] = in.subject_alt_names;
  if (in.waypoint) out["waypoint"] = gateway(*in.waypoint);
  for (const auto& weighted : in.weighted_waypoints) {
    out["weightedWaypoints"].push_back({{"destination", gateway(weighted.destination)}, {"weight", weighted.weight}});
  }
  if (in.waypoint_ports) out["waypointPorts"] = *in.waypoint_ports;
  out["loadBalancer"] = load_balancer(in.load_balancing);
  if (const auto* families = kFamilies[static_cast<std::size_t>(in.ip_families)]) out["ipFamilies"] = families;
  out["canonical"] = in.canonical;
  out["visibility"] = in.namespace_private ? "Namespace" : "Public";
  return out;
}

void add_strings(Json& out, const char* key, const std::vector<mesh::StringMatch>& in) {
  static constexpr const char* kKinds[] = {"Exact", "Prefix", "Suffix", "Presence"};
  if (in.empty()) return;
  auto& list = out[key] = Json::array();
  for (const auto& match : in) {
    if (match.kind == mesh::StringMatch::Kind::kPresence) {
      list.push_back({{"Presence", Json::array()}});
    } else {
      list.push_back({{kKinds[static_cast<std::size_t>(match.kind)], match.value}});
    }
  }
}
void add_cidrs(Json& out, const char* key, const std::vector<Cidr>& in) {
  for (const auto& cidr : in) out[key].push_back(cidr.str());
}
void add_ports(Json& out, const char* key, const std::vector<std::uint16_t>& in) {
  if (!in.empty()) out[key] = in;
}
void add_accounts(Json& out, const char* key, const std::vector<mesh::ServiceAccountMatch>& in) {
  for (const auto& account : in) {
    out[key].push_back({{"namespace", account.ns}, {"serviceAccount", account.service_account}});
  }
}

Json match(const mesh::Match& in) {
  Json out = Json::object();
  add_strings(out, "namespaces", in.namespaces);
  add_strings(out, "notNamespaces", in.not_namespaces);
  add_strings(out, "principals", in.principals);
  add_strings(out, "notPrincipals", in.not_principals);
  add_cidrs(out, "sourceIps", in.source_ips);
  add_cidrs(out, "notSourceIps", in.not_source_ips);
  add_cidrs(out, "destinationIps", in.destination_ips);
  add_cidrs(out, "notDestinationIps", in.not_destination_ips);
  add_ports(out, "destinationPorts", in.destination_ports);
  add_ports(out, "notDestinationPorts", in.not_destination_ports);
  add_accounts(out, "serviceAccounts", in.service_accounts);
  add_accounts(out, "notServiceAccounts", in.not_service_accounts);
  return out;
}

Json policy(const mesh::Policy& in) {
  static constexpr const char* kScopes[] = {"Global", "Namespace", "WorkloadSelector"};
  Json rules = Json::array();
  for (const auto& rule : in.rules) {
    Json clauses = Json::array();
    for (const auto& clause : rule.clauses) {
      Json matches = Json::array();
      for (const auto& each : clause.matches) matches.push_back(match(each));
      clauses.push_back(std::move(matches));
    }
    rules.push_back(std::move(clauses));
  }
  return {{"name", in.name},
          {"namespace", in.ns},
          {"scope", kScopes[static_cast<std::size_t>(in.scope)]},
          {"action", in.action == mesh::PolicyAction::kDeny ? "Deny" : "Allow"},
          {"dryRun", in.dry_run},
          {"rules", std::move(rules)}};
}

Json certificates(const std::vector<DumpedCertificate>& in) {
  Json out = Json::array();
  for (const auto& each : in) {
    out.push_back({{"pem", base64(each.pem)},
                   {"serialNumber", each.serial},
                   {"validFrom", rfc3339(each.not_before)},
                   {"expirationTime", rfc3339(each.not_after)}});
  }
  return out;
}

// Sorted by key, so that two dumps can be compared.
template <class Map, class Show>
Json sorted(const Map& map, Show show) {
  std::vector<const typename Map::value_type*> entries;
  for (const auto& entry : map) entries.push_back(&entry);
  std::sort(entries.begin(), entries.end(), [](auto* a, auto* b) { return a->first < b->first; });
  Json out = Json::array();
  for (const auto* entry : entries) out.push_back(show(*entry->second));
  return out;
}

}  // namespace

std::string config_dump(const DumpInput& input) {
  const auto& world = input.snapshot.world();
  Json out;
  out["workloads"] = sorted(world.workloads, workload);
  out["services"] = sorted(world.services, [&](const mesh::Service& each) {
    return service(each, input.snapshot.endpoints(each.key()));
  });
  out["policies"] = sorted(world.policies, policy);
  out["stagedServices"] = Json::object();
  auto& identities = out["certificates"] = Json::array();
  for (const auto& each : input.certificates) {
    identities.push_back({{"identity", each.identity},
                          {"state", each.state},
                          {"certChain", certificates(each.chain)},
                          {"rootCerts", certificates(each.roots)}});
  }
  out["config"] = input.config;
  out["config"]["generation"] = input.snapshot.generation();
  out["version"] = {{"version", input.version}};
  auto& pods = out["workloadState"] = Json::object();
  for (const auto& pod : input.pods) {
    pods[pod.uid] = {{"state", pod.state},
                     {"connections", pod.connections},
                     {"info", {{"name", pod.name}, {"namespace", pod.ns}, {"serviceAccount", pod.service_account}}}};
  }
  return out.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace weft::admin
