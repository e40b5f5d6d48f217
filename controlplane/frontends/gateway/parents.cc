#include "controlplane/frontends/gateway/route_parts.h"

namespace weft::controlplane::gateway_api {

using model::RouteTable;
using source::Field;

std::vector<RouteTable> parents(const Field& spec, const source::Object& object,
                                RouteContext& context) {
  RouteTable base{.from = read::provenance(object),
                  .ns = object.ns,
                  .name = object.name,
                  .api = model::Api::kGatewayApi,
                  .order = RouteTable::Order::kSpecificity};
  base.protocol = context.grpc ? RouteTable::Protocol::kGrpc : RouteTable::Protocol::kHttp;
  std::vector<std::string> hosts;
  for (const Field& one : spec["hostnames"].list()) {
    hosts.push_back(read::lower(one.string()));
    if (IpAddress::parse(hosts.back())) one.refuse("must be a name, not an address");
    if (hosts.back() == "*" || !read::why_no_host(hosts.back(), true).empty())
      one.refuse("must be a DNS name, or *. and one");
  }
  if (hosts.empty()) hosts.push_back("*");

  std::vector<RouteTable> out;
  for (const Field& ref : spec["parentRefs"].list()) {
    ref.only({"group", "kind", "namespace", "name", "sectionName", "port"});
    const std::string group = ref["group"].string(std::string(kGroup)),
                      kind = ref["kind"].string("Gateway"), name = ref["name"].string(),
                      ns = ref["namespace"].string(object.ns);
    if (name.empty()) ref["name"].refuse("is required");
    RouteTable table = base;
    if (kind == "Service" && (group.empty() || group == "core")) {
      table.service = read::service_named(name, ns, context.domain);
      if (ns != object.ns) table.client_namespaces = {object.ns};
      context.notes.beyond(ref["sectionName"], "a Service is meant as a whole");
      context.notes.warn(spec["hostnames"],
                         "a Service's requests are taken whatever host they name");
    } else if (kind == "Gateway" && group == kGroup) {
      table.gateway = ns + "/" + name;
      table.section = ref["sectionName"].string();
      table.hosts = hosts;
    } else {
      context.notes.unsupported.push_back(ref.path() + ": a parent of kind " + kind +
                                          " in group \"" + group + "\"");
      continue;
    }
    if (ref["port"].present()) table.service.port = ref["port"].port();
    out.push_back(std::move(table));
  }
  return out;
}

std::vector<RouteTable> with_rules(std::vector<RouteTable> tables,
                                   const std::vector<model::HttpRule>& rules) {
  for (RouteTable& table : tables) table.http = rules;
  return tables;
}

}  // namespace weft::controlplane::gateway_api
