#include "controlplane/frontends/istio/virtual_service.h"

#include <algorithm>
#include <set>

#include "controlplane/frontends/istio/common.h"
#include "controlplane/frontends/istio/route_parts.h"
#include "source/fields.h"

namespace weft::controlplane::istio {
namespace {

using model::RouteTable;
using source::Field;

struct Spec {
  std::vector<std::string> hosts, gateways;
  std::vector<model::HttpRule> http;
  std::vector<model::ConnectionRule> connections;
};

std::vector<std::string> gateways(const Field& field, std::string_view ns) {
  std::vector<std::string> out;
  for (const Field& one : field.list()) {
    std::string name = gateway_name(one, ns);
    if (std::find(out.begin(), out.end(), name) != out.end()) one.refuse("is there twice");
    out.push_back(std::move(name));
  }
  if (out.empty()) out.push_back("mesh");
  return out;
}

std::vector<std::string> hosts(const Field& field, bool in_mesh) {
  std::vector<std::string> out;
  for (const Field& one : field.list()) {
    const std::string host = read::lower(one.string());
    if (IpAddress::parse(host)) {
      if (in_mesh) one.refuse("must be a name: an address can be a host of gateways only");
    } else if (const std::string why = read::why_no_host(host, true); !why.empty()) {
      one.refuse(why);
    }
    if (in_mesh && host == "*") one.refuse("cannot be everything (\"*\") in the mesh");
    if (std::find(out.begin(), out.end(), host) != out.end()) one.refuse("is there twice");
    out.push_back(host);
  }
  return out;
}

bool concerns(const std::vector<std::string>& named, const std::string& parent) {
  return named.empty() || std::find(named.begin(), named.end(), parent) != named.end();
}

// The rules as one parent sees them.
std::vector<model::HttpRule> rules_for(const std::vector<model::HttpRule>& rules,
                                       const std::string& parent) {
  std::vector<model::HttpRule> out;
  for (const model::HttpRule& rule : rules) {
    model::HttpRule mine = rule;
    std::erase_if(mine.matches,
                  [&](const auto& match) { return !concerns(match.gateways, parent); });
    if (mine.matches.empty() && !rule.matches.empty()) continue;
    for (auto& match : mine.matches) match.gateways.clear();
    if (mine.matches.size() == 1 && mine.matches[0] == model::RequestMatch{}) mine.matches.clear();
    out.push_back(std::move(mine));
  }
  return out;
}

std::vector<model::ConnectionRule> rules_for(const std::vector<model::ConnectionRule>& rules,
                                             const std::string& parent) {
  std::vector<model::ConnectionRule> out;
  for (const model::ConnectionRule& rule : rules) {
    if (!concerns(rule.gateways, parent)) continue;
    out.push_back(rule);
    out.back().gateways.clear();
  }
  return out;
}

// Names of TLS choose routes at gateways alone.
void note_mesh_tls(const Field& tls, read::Notes& notes) {
  for (const Field& rule : tls.list()) {
    for (const Field& match : rule["match"].list()) {
      const std::vector<std::string> named = match["gateways"].strings();
      if (concerns(named, "mesh"))
        notes.beyond(match["sniHosts"], "TLS by its name in the mesh; there the match is left out");
    }
  }
}

// Both protocols of one parent.
void add_tables(const RouteTable& base, const Spec& spec, const std::string& parent,
                std::vector<RouteTable>& out) {
  if (auto rules = rules_for(spec.http, parent); !rules.empty()) {
    out.push_back(base);
    out.back().http = std::move(rules);
    out.back().default_retry = true;
  }
  if (auto rules = rules_for(spec.connections, parent); !rules.empty()) {
    out.push_back(base);
    out.back().protocol = RouteTable::Protocol::kConnection;
    out.back().connections = std::move(rules);
  }
}

}  // namespace

Parsed<model::Decoded<RouteTable>> decode_virtual_service(const source::Object& object,
                                                          std::string_view domain) {
  source::Reader reader(object);
  const Field spec = reader.root()["spec"];
  if (!spec.present()) spec.refuse("is required");
  spec.only({"hosts", "gateways", "http", "tls", "tcp", "exportTo"});
  read::Notes notes;
  RouteContext context{object.ns, domain, notes};
  Spec rules;
  rules.gateways = gateways(spec["gateways"], object.ns);
  rules.hosts = hosts(spec["hosts"], concerns(rules.gateways, "mesh"));
  for (const Field& one : spec["http"].list()) rules.http.push_back(http_rule(one, context));
  if (concerns(rules.gateways, "mesh")) note_mesh_tls(spec["tls"], notes);
  for (const bool tls : {true, false}) {
    for (const Field& one : spec[tls ? "tls" : "tcp"].list()) {
      for (auto& rule : connection_rules(one, tls, rules.hosts, context))
        rules.connections.push_back(std::move(rule));
    }
  }
  if (rules.http.empty() && spec["tls"].list().empty() && spec["tcp"].list().empty())
    spec.refuse("must have http, tls or tcp rules");
  if (rules.hosts.empty())
    notes.unsupported.push_back(
        "spec.hosts: none, so this can only be a delegate, and delegation "
        "is not supported");

  RouteTable base{.from = provenance(object), .ns = object.ns, .name = object.name};
  base.export_to = export_to(spec["exportTo"]);
  std::vector<RouteTable> tables;
  for (const std::string& parent : rules.gateways) {
    if (rules.hosts.empty()) break;
    if (parent != "mesh") {
      base.service = {};
      base.gateway = parent;
      base.hosts = rules.hosts;
      add_tables(base, rules, parent, tables);
      continue;
    }
    for (const std::string& host : rules.hosts) {
      base.service = read::service(host, object.ns, domain);
      base.gateway.clear();
      base.hosts = {host};
      add_tables(base, rules, parent, tables);
    }
  }
  if (reader.problem()) return std::unexpected(*reader.problem());
  return read::decoded(std::move(tables), std::move(notes));
}

}  // namespace weft::controlplane::istio
