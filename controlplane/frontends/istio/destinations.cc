#include <algorithm>

#include "controlplane/frontends/istio/route_parts.h"

namespace weft::controlplane::istio {
namespace {

using model::Backend;
using source::Field;

bool change(const Field& field, RouteContext& context, model::HeaderChange& out,
            std::string* authority, bool request) {
  field.only({"set", "add", "remove"});
  bool whole = true;
  for (const char* kind : {"set", "add"}) {
    auto& list = std::string_view(kind) == "set" ? out.set : out.add;
    const Field map = field[kind];
    for (const std::string& key : map.keys()) {
      const std::string name = read::lower(key), value = map[key].string();
      const bool names_host = name == ":authority" || name == "host";
      if (request && names_host && authority != nullptr && std::string_view(kind) == "set") {
        *authority = value;
      } else if (request && names_host && std::string_view(kind) == "set") {
        context.notes.beyond(map[key],
                             "another authority for one of several destinations; the "
                             "rule answers 500");
        whole = false;
      } else if (names_host || name.starts_with(':')) {
        context.notes.warn(map[key], "ignored, as Istio does: this header cannot be changed");
      } else if (!read::is_header_name(key)) {
        map[key].refuse("the key must be a header's name");
      } else {
        list.emplace_back(name, value);
      }
    }
    std::sort(list.begin(), list.end());
  }
  for (const Field& one : field["remove"].list()) {
    const std::string name = read::lower(one.string());
    if (name == "host" || name.starts_with(':')) {
      context.notes.warn(one, "ignored, as Istio does: this header cannot be changed");
    } else if (!read::is_header_name(name)) {
      one.refuse("must be a header's name");
    } else {
      out.remove.push_back(name);
    }
  }
  std::sort(out.remove.begin(), out.remove.end());
  return whole;
}

}  // namespace

bool headers(const Field& field, RouteContext& context, model::HeaderChange& request,
             model::HeaderChange& response, std::string* authority) {
  field.only({"request", "response"});
  const bool whole = change(field["request"], context, request, authority, true);
  return change(field["response"], context, response, nullptr, false) && whole;
}

Backend destination(const Field& field, RouteContext& context) {
  field.only({"host", "subset", "port"});
  field["port"].only({"number"});
  const std::string host = field["host"].string();
  if (!field["host"].present()) {
    field["host"].refuse("is required");
  } else if (IpAddress::parse(host)) {
    field["host"].refuse("must be the name of a service, not an address");
  } else if (const std::string why = read::why_no_host(host, false); !why.empty()) {
    field["host"].refuse(why);
  }
  Backend out{.service = read::service(host, context.ns, context.domain),
              .subset = field["subset"].string()};
  if (field["subset"].present() && !read::is_label(out.subset))
    field["subset"].refuse("must be a subset's name (lower case letters, digits, '-')");
  if (field["port"].present()) {
    if (!field["port"]["number"].present()) field["port"]["number"].refuse("is required");
    out.service.port = field["port"]["number"].port();
  }
  return out;
}

std::vector<Backend> destinations(const Field& list, RouteContext& context, bool http) {
  std::vector<Backend> out;
  std::uint64_t total = 0;
  const std::vector<Field> entries = list.list();
  for (const Field& one : entries) {
    if (http) {
      one.only({"destination", "weight", "headers"});
    } else {
      one.only({"destination", "weight"});
    }
    if (!one["destination"].present()) one["destination"].refuse("is required");
    out.push_back(destination(one["destination"], context));
    const auto weight = static_cast<std::uint64_t>(one["weight"].integer(0, INT32_MAX));
    out.back().weight = entries.size() == 1 ? 1 : weight;  // of one alone it says nothing
    total += out.back().weight;
  }
  if (!entries.empty() && total == 0) list.refuse("at least one weight must be above 0");
  if (total > UINT32_MAX) list.refuse("the weights' sum must be below 2^32");
  return out;
}

bool host_covers(std::string_view pattern, std::string_view name) {
  if (pattern == "*") return true;
  if (!pattern.starts_with("*.")) return pattern == name;
  return name.size() > pattern.size() - 1 && name.ends_with(pattern.substr(1));
}

std::vector<model::ConnectionRule> connection_rules(const Field& field, bool tls,
                                                    const std::vector<std::string>& hosts,
                                                    RouteContext& context) {
  field.only({"match", "route"});
  const std::vector<Field> matches = field["match"].list();
  if (tls && matches.empty()) field["match"].refuse("is required");
  if (field["route"].list().empty()) field["route"].refuse("must have a destination");
  const std::vector<Backend> backends = destinations(field["route"], context, false);
  std::vector<model::ConnectionRule> out;
  if (matches.empty()) out.push_back({.backends = backends});
  for (const Field& match : matches) {
    if (tls) {
      match.only({"sniHosts", "destinationSubnets", "port", "sourceLabels", "sourceNamespace",
                  "gateways"});
    } else {
      match.only({"destinationSubnets", "port", "sourceLabels", "sourceNamespace", "sourceSubnet",
                  "gateways"});
    }
    model::ConnectionRule rule{.backends = backends};
    if (tls && match["sniHosts"].list().empty()) match["sniHosts"].refuse("is required");
    for (const Field& sni : match["sniHosts"].list()) {
      const std::string name = read::lower(sni.string());
      if (const std::string why = read::why_no_host(name, true); !why.empty()) sni.refuse(why);
      const bool fits = std::any_of(hosts.begin(), hosts.end(), [&](const std::string& host) {
        return host_covers(host, name);
      });
      if (!fits) sni.refuse("must be one of spec.hosts");
      rule.sni.push_back(name);
    }
    for (const Field& subnet : match["destinationSubnets"].list()) {
      const auto block = Cidr::parse(subnet.string());
      if (!block) subnet.refuse("must be an IP address or a CIDR block");
      if (block) rule.destinations.push_back(*block);
    }
    if (match["port"].present()) rule.port = match["port"].port();
    rule.source_labels = match["sourceLabels"].string_map();
    if (match["sourceNamespace"].present())
      rule.source_namespace = match["sourceNamespace"].string();
    for (const Field& gateway : match["gateways"].list())
      rule.gateways.push_back(gateway_name(gateway, context.ns));
    bool whole = true;
    for (const char* name :
         {"destinationSubnets", "sourceLabels", "sourceNamespace", "sourceSubnet"}) {
      context.notes.beyond(match[name], "the match is left out");
      whole = whole && !match[name].present();
    }
    if (whole) out.push_back(std::move(rule));
  }
  return out;
}

}  // namespace weft::controlplane::istio
