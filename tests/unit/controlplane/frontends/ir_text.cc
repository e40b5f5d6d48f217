#include "ir_text.h"

#include <sstream>

namespace weft::controlplane {
namespace {

using namespace model;

template <class List, class Print>
std::string join(const List& list, Print print) {
  std::string out = "[";
  for (const auto& one : list) out += (out.size() > 1 ? ", " : "") + print(one);
  return out + "]";
}
std::string join(const std::vector<std::string>& list) {
  return join(list, [](const std::string& one) { return one; });
}
template <class Number>
std::string numbers(const std::vector<Number>& list) {
  return join(list, [](Number one) { return std::to_string(one); });
}
std::string cidrs(const std::vector<Cidr>& list) {
  return join(list, [](const Cidr& one) { return one.str(); });
}
std::string text_of(const mesh::Labels& labels) {
  return join(labels, [](const auto& one) { return one.first + "=" + one.second; });
}

std::string text_of(const TextMatch& match) {
  constexpr const char* kNames[] = {"exact", "prefix",      "segments", "suffix",  "contains",
                                    "regex", "regex-start", "template", "present", "absent"};
  std::string out = kNames[static_cast<int>(match.kind)];
  if (match.ignore_case) out += "/i";
  if (!match.value.empty()) out += " \"" + match.value + "\"";
  return out;
}

std::string text_of(const NamedMatch& match) {
  return match.name + (match.invert ? " not " : " ") + text_of(match.text);
}

std::string text_of(const RequestMatch& match) {
  std::string out = "match";
  if (!match.name.empty()) out += " name=" + match.name;
  if (match.path) out += "; path " + text_of(*match.path);
  if (match.method) out += "; method " + text_of(*match.method);
  if (match.scheme) out += "; scheme " + text_of(*match.scheme);
  if (match.authority) out += "; authority " + text_of(*match.authority);
  for (const auto& one : match.headers) out += "; header " + text_of(one);
  for (const auto& one : match.query) out += "; query " + text_of(one);
  for (const auto& one : match.claims) out += "; claim " + text_of(one);
  if (match.port) out += "; port " + std::to_string(*match.port);
  if (!match.source_labels.empty()) out += "; source " + text_of(match.source_labels);
  if (match.source_namespace) out += "; source namespace " + *match.source_namespace;
  if (!match.grpc_service.empty()) out += "; grpc service " + match.grpc_service;
  if (!match.grpc_method.empty()) out += "; grpc method " + match.grpc_method;
  if (!match.gateways.empty()) out += "; gateways " + join(match.gateways);
  return out;
}

std::string text_of(const HeaderChange& change) {
  auto pair = [](const auto& one) { return one.first + ": " + one.second; };
  std::string out;
  if (!change.set.empty()) out += " set " + join(change.set, pair);
  if (!change.add.empty()) out += " add " + join(change.add, pair);
  if (!change.remove.empty()) out += " remove " + join(change.remove);
  return out;
}

std::string text_of(const ServiceKey& key) {
  return key.hostname + (key.port != 0 ? ":" + std::to_string(key.port) : "") + " (" + key.ns + ")";
}

std::string text_of(const Backend& backend) {
  std::string out = text_of(backend.service);
  if (!backend.subset.empty()) out += " subset " + backend.subset;
  out += " weight " + std::to_string(backend.weight);
  if (!backend.broken.empty()) out += " BROKEN " + backend.broken;
  if (!backend.request.empty()) out += "; request" + text_of(backend.request);
  if (!backend.response.empty()) out += "; response" + text_of(backend.response);
  return out;
}

std::string ms(Milliseconds value) { return std::to_string(value.count()) + "ms"; }

std::string text_of(const Rewrite& rewrite) {
  constexpr const char* kNames[] = {"none", "prefix", "full", "regex"};
  std::string out = kNames[static_cast<int>(rewrite.path_kind)];
  if (!rewrite.regex.empty()) out += " \"" + rewrite.regex + "\"";
  if (rewrite.path_kind != Rewrite::Kind::kNone) out += " -> \"" + rewrite.path + "\"";
  if (!rewrite.authority.empty()) out += " authority " + rewrite.authority;
  return out;
}

std::string text_of(const Retry& retry) {
  std::string out = std::to_string(retry.attempts) + " on " + join(retry.on);
  if (!retry.status_codes.empty()) out += " codes " + numbers(retry.status_codes);
  if (retry.per_try) out += " per try " + ms(*retry.per_try);
  if (retry.backoff_base != Milliseconds(25)) out += " backoff " + ms(retry.backoff_base);
  if (retry.remote_localities) out += *retry.remote_localities ? " remote" : " local";
  return out;
}

std::string text_of(const Fault& fault) {
  std::string out;
  if (fault.delay.count() > 0)
    out += " delay " + ms(fault.delay) + " for " + std::to_string(fault.delay_ppm) + "ppm";
  if (fault.abort_status != 0) out += " abort " + std::to_string(fault.abort_status);
  if (fault.abort_grpc_status) out += " abort grpc " + std::to_string(*fault.abort_grpc_status);
  if (fault.abort_status != 0 || fault.abort_grpc_status)
    out += " for " + std::to_string(fault.abort_ppm) + "ppm";
  return out;
}

std::string text_of(const Cors& cors) {
  std::string out =
      " origins " + join(cors.origins, [](const TextMatch& one) { return text_of(one); });
  if (!cors.methods.empty()) out += " methods " + join(cors.methods);
  if (!cors.headers.empty()) out += " headers " + join(cors.headers);
  if (!cors.expose.empty()) out += " expose " + join(cors.expose);
  if (cors.credentials) out += *cors.credentials ? " credentials" : " no credentials";
  if (cors.max_age) out += " for " + std::to_string(cors.max_age->count()) + "s";
  if (!cors.forward_unmatched_preflights) out += " unmatched preflights end here";
  return out;
}

std::string text_of(const ConnectionRule& rule) {
  std::string out = "  connection";
  if (!rule.sni.empty()) out += " sni " + join(rule.sni);
  if (!rule.destinations.empty()) out += " to " + cidrs(rule.destinations);
  if (rule.port) out += " port " + std::to_string(*rule.port);
  if (!rule.source_labels.empty()) out += " source " + text_of(rule.source_labels);
  if (rule.source_namespace) out += " source namespace " + *rule.source_namespace;
  out += "\n";
  for (const Backend& backend : rule.backends) out += "    to " + text_of(backend) + "\n";
  return out;
}

std::string text_of(const TrafficPolicy& policy, const std::string& indent) {
  std::ostringstream out;
  if (policy.load_balancer) {
    constexpr const char* kKinds[] = {"least request", "round robin", "random",
                                      "passthrough",   "ring hash",   "maglev"};
    const LoadBalancer& lb = *policy.load_balancer;
    out << indent << "balance " << kKinds[static_cast<int>(lb.kind)];
    if (lb.hash) {
      constexpr const char* kFrom[] = {"header", "cookie", "query", "source ip"};
      out << " by " << kFrom[static_cast<int>(lb.hash->from)] << " " << lb.hash->name;
      if (!lb.hash->path.empty()) out << " path " << lb.hash->path;
      if (lb.hash->ttl) out << " ttl " << lb.hash->ttl->count() << "s";
      out << " size " << lb.ring_size;
    }
    if (lb.warmup) out << " warmup " << ms(*lb.warmup);
    out << "\n";
  }
  if (policy.pool) {
    const ConnectionPool& pool = *policy.pool;
    auto number = [&](const char* name, const auto& value) {
      if (value) out << " " << name << " " << *value;
    };
    auto time = [&](const char* name, const std::optional<Milliseconds>& value) {
      if (value) out << " " << name << " " << ms(*value);
    };
    out << indent << "pool";
    number("connections", pool.connections_max);
    number("pending", pool.pending_max);
    number("requests", pool.requests_max);
    number("retries", pool.retries_max);
    number("requests-per-connection", pool.requests_per_connection_max);
    time("connect", pool.connect_timeout);
    time("idle", pool.idle_timeout);
    time("duration", pool.connection_duration_max);
    number("http2", pool.http2_upgrade);
    if (pool.keepalive) {
      number("keepalive-probes", pool.keepalive->probes);
      number("keepalive-time", pool.keepalive->time_s);
      number("keepalive-interval", pool.keepalive->interval_s);
    }
    out << "\n";
  }
  if (policy.outlier) {
    const OutlierDetection& outlier = *policy.outlier;
    out << indent << "outlier";
    if (outlier.consecutive_5xx) out << " 5xx " << *outlier.consecutive_5xx;
    if (outlier.consecutive_gateway_errors)
      out << " gateway " << *outlier.consecutive_gateway_errors;
    if (outlier.consecutive_local_failures) out << " local " << *outlier.consecutive_local_failures;
    if (outlier.split_local_errors) out << " split " << *outlier.split_local_errors;
    out << " interval " << ms(outlier.interval) << " base " << ms(outlier.base_ejection) << " max "
        << outlier.ejection_max_percent << "% healthy " << outlier.healthy_min_percent << "%\n";
  }
  if (policy.retry_budget)
    out << indent << "retry budget " << policy.retry_budget->ppm << " ppm, at least "
        << policy.retry_budget->concurrency_min << "\n";
  if (policy.tls) {
    constexpr const char* kModes[] = {"disable", "simple", "mutual", "istio mutual"};
    out << indent << "tls " << kModes[static_cast<int>(policy.tls->mode)];
    if (!policy.tls->sni.empty()) out << " sni " << policy.tls->sni;
    if (!policy.tls->credential_name.empty()) out << " secret " << policy.tls->credential_name;
    if (!policy.tls->san.empty()) out << " san " << join(policy.tls->san);
    if (policy.tls->skip_verify) out << " unverified";
    out << "\n";
  }
  return out.str();
}

std::string text_of(const Values& values) {
  auto list = [](const std::vector<TextMatch>& matches) {
    return join(matches, [](const TextMatch& one) { return text_of(one); });
  };
  std::string out;
  if (!values.any_of.empty()) out += " " + list(values.any_of);
  if (!values.none_of.empty()) out += " not " + list(values.none_of);
  return out;
}
std::string text_of(const AddressValues& values) {
  std::string out;
  if (!values.any_of.empty()) out += " " + cidrs(values.any_of);
  if (!values.none_of.empty()) out += " not " + cidrs(values.none_of);
  return out;
}
template <class V>
void put(std::string& out, const char* name, const V& values) {
  if (!values.empty()) out += std::string("; ") + name + text_of(values);
}

std::string text_of(const AuthzRule& rule) {
  std::string out = "  rule\n";
  for (const AuthzSource& from : rule.from) {
    out += "    from";
    put(out, "principals", from.principals);
    put(out, "namespaces", from.namespaces);
    put(out, "accounts", from.service_accounts);
    put(out, "request principals", from.request_principals);
    put(out, "addresses", from.ip_blocks);
    put(out, "remote addresses", from.remote_ip_blocks);
    out += "\n";
  }
  for (const AuthzOperation& to : rule.to) {
    out += "    to";
    put(out, "hosts", to.hosts);
    put(out, "methods", to.methods);
    put(out, "paths", to.paths);
    if (!to.ports.empty()) out += "; ports " + numbers(to.ports);
    if (!to.not_ports.empty()) out += "; not ports " + numbers(to.not_ports);
    out += "\n";
  }
  for (const AuthzCondition& when : rule.when)
    out += "    when " + when.key + text_of(when.values) + text_of(when.addresses) + "\n";
  return out;
}

std::string text_of(const std::vector<TargetRef>& targets) {
  return join(targets, [](const TargetRef& one) {
    return one.group + (one.group.empty() ? "" : "/") + one.kind + "/" + one.name;
  });
}

}  // namespace

std::string text_of(const HttpRule& rule) {
  std::string out = "  rule" + (rule.name.empty() ? "" : " " + rule.name) + "\n";
  auto line = [&](const std::string& text) { out += "    " + text + "\n"; };
  for (const RequestMatch& match : rule.matches) line(text_of(match));
  for (const Backend& backend : rule.backends) line("to " + text_of(backend));
  if (rule.redirect) {
    const Redirect& to = *rule.redirect;
    line("redirect " + std::to_string(to.code) + (to.scheme.empty() ? "" : " scheme " + to.scheme) +
         (to.authority.empty() ? "" : " authority " + to.authority) +
         (to.port ? " port " + std::to_string(*to.port) : "") +
         (to.port_from == Redirect::Port::kOfScheme ? " port of scheme" : "") +
         (to.port_from == Redirect::Port::kOfListener ? " port of listener" : "") +
         (to.path.path_kind == Rewrite::Kind::kNone ? "" : " path " + text_of(to.path)));
  }
  if (rule.direct)
    line("answer " + std::to_string(rule.direct->status) + " \"" + rule.direct->body + "\"");
  if (rule.backends.empty() && !rule.redirect && !rule.direct) line("answer 500");
  if (rule.rewrite != Rewrite{}) line("rewrite " + text_of(rule.rewrite));
  if (!rule.request.empty()) line("request" + text_of(rule.request));
  if (!rule.response.empty()) line("response" + text_of(rule.response));
  for (const Mirror& mirror : rule.mirrors)
    line("mirror " + std::to_string(mirror.ppm) + "ppm to " + text_of(mirror.to));
  if (rule.timeout) line("timeout " + ms(*rule.timeout));
  if (rule.retry) line("retry " + text_of(*rule.retry));
  if (rule.fault) line("fault" + text_of(*rule.fault));
  if (rule.cors) line("cors" + text_of(*rule.cors));
  return out;
}

std::string text_of(const RouteTable& table) {
  constexpr const char* kProtocols[] = {"http", "grpc", "connections"};
  std::string out =
      "routes " + table.ns + "/" + table.name + " " + kProtocols[static_cast<int>(table.protocol)];
  if (table.gateway.empty()) out += " of service " + text_of(table.service);
  if (!table.gateway.empty()) out += " of gateway " + table.gateway;
  if (!table.gateway.empty() && table.service.port != 0)
    out += " port " + std::to_string(table.service.port);
  if (!table.section.empty()) out += " listener " + table.section;
  out += " hosts " + join(table.hosts);
  if (!table.client_namespaces.empty()) out += " for clients in " + join(table.client_namespaces);
  out += table.order == RouteTable::Order::kListed ? " as listed" : " by specificity";
  if (table.default_route) out += ", default route";
  if (table.default_retry) out += ", default retry";
  if (!table.export_to.empty()) out += " exported to " + join(table.export_to);
  out += "\n";
  for (const HttpRule& rule : table.http) out += text_of(rule);
  for (const ConnectionRule& rule : table.connections) out += text_of(rule);
  return out;
}

std::string text_of(const Destination& destination) {
  std::string out =
      "destination " + destination.ns + "/" + destination.name + " host " + destination.host;
  if (!destination.export_to.empty()) out += " exported to " + join(destination.export_to);
  out += "\n" + text_of(destination.policy, "  ");
  for (const auto& [port, policy] : destination.ports)
    out += "  port " + std::to_string(port) + "\n" + text_of(policy, "    ");
  for (const Subset& subset : destination.subsets) {
    out += "  subset " + subset.name + " " + text_of(subset.labels) + "\n";
    if (subset.policy) out += text_of(*subset.policy, "    ");
    for (const auto& [port, policy] : subset.ports)
      out += "    port " + std::to_string(port) + "\n" + text_of(policy, "      ");
  }
  return out;
}

std::string text_of(const ExternalService& service) {
  constexpr const char* kResolutions[] = {"none", "static", "dns", "dns round robin",
                                          "dynamic dns"};
  std::string out = "external " + service.ns + "/" + service.name + " hosts " +
                    join(service.hosts) + " " + kResolutions[static_cast<int>(service.resolution)] +
                    (service.in_mesh ? " in mesh" : "");
  if (!service.addresses.empty()) out += " addresses " + cidrs(service.addresses);
  if (!service.selector.empty()) out += " pods " + text_of(service.selector);
  if (!service.export_to.empty()) out += " exported to " + join(service.export_to);
  if (!service.subject_alt_names.empty()) out += " san " + join(service.subject_alt_names);
  out += "\n";
  for (const ExternalPort& port : service.ports)
    out += "  port " + port.name + " " + port.protocol + " " + std::to_string(port.port) + " -> " +
           std::to_string(port.target_port) + "\n";
  for (const ExternalEndpoint& endpoint : service.endpoints) {
    out += "  endpoint " + endpoint.address + " ports " +
           join(endpoint.ports,
                [](const auto& one) { return one.first + "=" + std::to_string(one.second); }) +
           " labels " + text_of(endpoint.labels);
    if (!endpoint.locality.empty()) out += " locality " + endpoint.locality;
    if (!endpoint.network.empty()) out += " network " + endpoint.network;
    if (!endpoint.service_account.empty()) out += " account " + endpoint.service_account;
    if (endpoint.weight) out += " weight " + std::to_string(*endpoint.weight);
    out += "\n";
  }
  return out;
}

std::string text_of(const Gateway& gateway) {
  std::string out =
      std::string(gateway.kind == Gateway::Kind::kWaypoint ? "waypoint " : "gateway ") +
      gateway.ns + "/" + gateway.name;
  if (gateway.gateway_api) out += " class " + gateway.class_name;
  if (!gateway.selector.empty()) out += " pods " + text_of(gateway.selector);
  if (gateway.kind == Gateway::Kind::kWaypoint) out += " for " + gateway.waypoint_for;
  if (!gateway.addresses.empty()) out += " addresses " + join(gateway.addresses);
  out += "\n";
  for (const Listener& one : gateway.listeners) {
    out += "  listener " + one.name + " " + std::to_string(one.port) + " " + one.protocol +
           " hosts " + join(one.hosts);
    if (!one.host_namespaces.empty()) out += " of " + text_of(one.host_namespaces);
    if (one.https_redirect) out += " redirect to https";
    out += " routes from " + one.routes_from;
    if (!one.routes_selector.empty()) out += " " + text_of(one.routes_selector);
    if (!one.route_kinds.empty()) out += " kinds " + join(one.route_kinds);
    if (one.tls) {
      constexpr const char* kModes[] = {"passthrough", "simple", "mutual", "optional mutual"};
      out += std::string(" tls ") + kModes[static_cast<int>(one.tls->mode)] + " " +
             join(one.tls->secrets);
      if (!one.tls->min_version.empty()) out += " from " + one.tls->min_version;
      if (!one.tls->max_version.empty()) out += " to " + one.tls->max_version;
    }
    out += "\n";
  }
  return out;
}

std::string text_of(const GatewayClass& one) {
  return "class " + one.name + " of " + one.controller + "\n";
}

std::string text_of(const ReferenceGrant& grant) {
  std::string out = "grant " + grant.ns + "/" + grant.name + "\n";
  for (const auto& from : grant.from)
    out += "  from " + from.group + "/" + from.kind + " in " + from.ns + "\n";
  for (const auto& to : grant.to) out += "  to " + to.group + "/" + to.kind + " " + to.name + "\n";
  return out;
}

std::string text_of(const AuthzPolicy& policy) {
  constexpr const char* kActions[] = {"ALLOW", "DENY", "AUDIT", "CUSTOM"};
  std::string out = std::string("policy ") + kActions[static_cast<int>(policy.action)] + " " +
                    policy.ns + "/" + policy.name;
  if (!policy.selector.empty()) out += " pods " + text_of(policy.selector);
  if (!policy.targets.empty()) out += " targets " + text_of(policy.targets);
  out += "\n";
  for (const AuthzRule& rule : policy.rules) out += text_of(rule);
  return out;
}

std::string text_of(const RequestAuthn& authn) {
  std::string out = "authn " + authn.ns + "/" + authn.name;
  if (!authn.selector.empty()) out += " pods " + text_of(authn.selector);
  if (!authn.targets.empty()) out += " targets " + text_of(authn.targets);
  out += "\n";
  for (const JwtRule& rule : authn.rules) {
    out += "  issuer " + rule.issuer;
    if (!rule.audiences.empty()) out += " audiences " + join(rule.audiences);
    if (!rule.jwks.empty()) out += " jwks " + rule.jwks;
    if (!rule.jwks_uri.empty()) out += " jwks at " + rule.jwks_uri;
    for (const auto& header : rule.from_headers)
      out += " header " + header.name + " \"" + header.prefix + "\"";
    if (!rule.from_params.empty()) out += " params " + join(rule.from_params);
    if (!rule.from_cookies.empty()) out += " cookies " + join(rule.from_cookies);
    if (!rule.output_payload_header.empty()) out += " payload to " + rule.output_payload_header;
    for (const auto& [claim, header] : rule.claim_to_headers)
      out += " claim " + claim + " to " + header;
    if (rule.forward_original) out += " forwarded";
    if (rule.timeout_ms) out += " timeout " + std::to_string(*rule.timeout_ms) + "ms";
    out += "\n";
  }
  return out;
}

std::string text_of(const Telemetry& telemetry) {
  std::ostringstream out;
  out << "telemetry " << telemetry.ns << "/" << telemetry.name;
  if (!telemetry.selector.empty()) out << " pods " << text_of(telemetry.selector);
  if (!telemetry.targets.empty()) out << " targets " << text_of(telemetry.targets);
  if (telemetry.trace_sampling_percent)
    out << " traces " << *telemetry.trace_sampling_percent << "%";
  if (telemetry.access_log) out << (*telemetry.access_log ? " access log" : " no access log");
  out << "\n";
  return out.str();
}

}  // namespace weft::controlplane
