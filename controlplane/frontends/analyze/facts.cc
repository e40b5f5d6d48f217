#include "controlplane/frontends/analyze/facts.h"

#include <algorithm>
#include <array>

#include "controlplane/frontends/admit.h"
#include "controlplane/frontends/gateway/gateway.h"
#include "controlplane/frontends/gateway/grpc_route.h"
#include "controlplane/frontends/gateway/http_route.h"
#include "controlplane/frontends/istio/destination_rule.h"
#include "controlplane/frontends/istio/gateway.h"
#include "controlplane/frontends/istio/request_authentication.h"
#include "controlplane/frontends/istio/route_parts.h"
#include "controlplane/frontends/istio/service_entry.h"
#include "controlplane/frontends/istio/telemetry.h"
#include "controlplane/frontends/istio/virtual_service.h"

namespace weft::controlplane::analyze {
namespace {

using source::Object;

// "spec.a.b: why" → path and text.
std::pair<std::string, std::string> split_note(const std::string& note) {
  const std::size_t colon = note.find(": ");
  if (colon == std::string::npos) return {note, note};
  return {note.substr(0, colon), note};
}

void refused(Facts& facts, const Object& object, const std::string& text) {
  // "file:line: field: why": the place is said apart.
  Finding finding{.level = Level::kError, .object = object.key(), .place = object.origin};
  finding.message = text;
  const std::string file = object.origin.substr(0, object.origin.rfind(':')) + ":";
  if (text.starts_with(file)) {
    const std::size_t end = text.find(": ", file.size());
    if (end != std::string::npos) {
      finding.place = text.substr(0, end);
      finding.message = text.substr(end + 2);
    }
  }
  finding.code = text.find(": unknown field") != std::string::npos            ? "IST0108"
                 : text.find("regular expression (RE2)") != std::string::npos ? "IST0122"
                                                                              : "IST0106";
  facts.findings.push_back(std::move(finding));
}

template <class X, class Take>
void take(Facts& facts, const Object& object, const Parsed<model::Decoded<X>>& decoded, Take put) {
  if (!decoded) return refused(facts, object, decoded.error().text);
  for (const X& value : decoded->values) put(value);
  for (const std::string& note : decoded->unsupported) {
    const auto [path, text] = split_note(note);
    facts.say(Level::kWarning, "WFT0001", object, path, "not supported yet: " + text);
  }
  for (const std::string& note : decoded->warnings) {
    const auto [path, text] = split_note(note);
    const bool deprecated = text.find(": deprecated") != std::string::npos;
    facts.say(deprecated ? Level::kWarning : Level::kInfo, deprecated ? "IST0002" : "WFT0002",
              object, path, text);
  }
}

// Kinds of meshes that nobody here reads.
bool is_foreign(const std::string& group) {
  constexpr std::array<std::string_view, 10> kGroups = {
      "networking.istio.io", "security.istio.io",         "telemetry.istio.io",
      "extensions.istio.io", "gateway.networking.k8s.io", "gateway.networking.x-k8s.io",
      "linkerd.io",          "policy.linkerd.io",         "consul.hashicorp.com",
      "install.istio.io"};
  return group.ends_with(".smi-spec.io") ||
         std::find(kGroups.begin(), kGroups.end(), group) != kGroups.end();
}

bool gather_mesh(Facts& facts, const source::ObjectPtr& pointer) {
  const Object& object = *pointer;
  const std::string kind = object.key().kind;
  const std::string& domain = facts.options.domain;
  auto nothing = [](const auto&) {};
  if (kind == "VirtualService.networking.istio.io") {
    const auto decoded = istio::decode_virtual_service(object, domain);
    take(facts, object, decoded, nothing);
    if (decoded) facts.virtual_services.push_back(pointer);
  } else if (kind == "HTTPRoute.gateway.networking.k8s.io") {
    const auto decoded = gateway_api::decode_http_route(object, domain);
    take(facts, object, decoded, nothing);
    if (decoded) facts.routes.push_back(pointer);
  } else if (kind == "GRPCRoute.gateway.networking.k8s.io") {
    const auto decoded = gateway_api::decode_grpc_route(object, domain);
    take(facts, object, decoded, nothing);
    if (decoded) facts.routes.push_back(pointer);
  } else if (kind == "DestinationRule.networking.istio.io") {
    take(facts, object, istio::decode_destination_rule(object, domain),
         [&](const auto& one) { facts.destinations.push_back(one); });
  } else if (kind == "ServiceEntry.networking.istio.io") {
    take(facts, object, istio::decode_service_entry(object, domain),
         [&](const auto& one) { facts.externals.push_back(one); });
  } else if (kind == "Gateway.networking.istio.io") {
    take(facts, object, istio::decode_gateway(object, domain),
         [&](const auto& one) { facts.gateways[one.ns + "/" + one.name] = one; });
  } else if (kind == "Gateway.gateway.networking.k8s.io") {
    take(facts, object, gateway_api::decode_gateway(object),
         [&](const auto& one) { facts.gateway_apis[one.ns + "/" + one.name] = one; });
  } else if (kind == "RequestAuthentication.security.istio.io") {
    take(facts, object, istio::decode_request_authentication(object, domain),
         [&](const auto& one) { facts.authns.push_back(one); });
  } else if (kind == "Telemetry.telemetry.istio.io") {
    take(facts, object, istio::decode_telemetry(object, domain),
         [&](const auto& one) { facts.telemetries.push_back(one); });
  } else if (kind == "GatewayClass.gateway.networking.k8s.io") {
    take(facts, object, gateway_api::decode_gateway_class(object), nothing);
  } else if (kind == "ReferenceGrant.gateway.networking.k8s.io") {
    take(facts, object, gateway_api::decode_reference_grant(object), nothing);
  } else {
    return false;
  }
  return true;
}

}  // namespace

void Facts::say(Level level, const char* code, const Object& object, std::string_view path,
                std::string message) {
  findings.push_back({level, code, object.key(), object.at(path), std::move(message)});
}

bool Facts::is_root(std::string_view ns) const {
  const auto& roots = options.root_namespaces;
  return std::find(roots.begin(), roots.end(), ns) != roots.end();
}

bool Facts::selected(std::string_view ns, const mesh::Labels& selector) const {
  return std::any_of(pods.begin(), pods.end(), [&](const source::Pod& pod) {
    return (pod.ns == ns || is_root(ns)) && source::selects(selector, pod.labels);
  });
}

bool Facts::has_host(std::string_view hostname) const {
  if (services.contains(std::string(hostname))) return true;
  return std::any_of(externals.begin(), externals.end(), [&](const auto& external) {
    return std::any_of(external.hosts.begin(), external.hosts.end(), [&](const std::string& host) {
      return istio::host_covers(host, hostname) || istio::host_covers(hostname, host);
    });
  });
}

std::string Facts::similar_host(std::string_view hostname) const {
  // One letter off, or the same name in another namespace.
  const std::string_view name = hostname.substr(0, hostname.find('.'));
  for (const auto& [host, service] : services) {
    std::size_t same = 0, most = std::min(service.name.size(), name.size());
    while (same < most && service.name[same] == name[same]) ++same;
    std::size_t tail = 0;
    while (tail + same < most &&
           service.name[service.name.size() - 1 - tail] == name[name.size() - 1 - tail])
      ++tail;
    if (same + tail + 1 >= std::max(service.name.size(), name.size()))
      return " (did you mean " + host + "?)";
  }
  return "";
}

void gather(Facts& facts) {
  for (const auto& [key, pointer] : facts.objects) {
    const Object& object = *pointer;
    if (gather_mesh(facts, pointer)) continue;
    if (const auto bad = admit_mesh(object)) {
      refused(facts, object, bad->text);
    } else if (const auto wrong = source::admit_core(object)) {
      refused(facts, object, wrong->text);
    } else if (key.kind == "Service") {
      const auto service = source::decode_service(object);
      if (service)
        facts.services[key.name + "." + key.ns + ".svc." + facts.options.domain] = *service;
    } else if (key.kind == "Namespace") {
      const auto ns = source::decode_namespace(object);
      if (ns) facts.namespaces[key.name] = *ns;
    } else if (key.kind == "Pod") {
      const auto pod = source::decode_pod(object);
      if (pod && !pod->finished()) facts.pods.push_back(*pod);
    } else if (key.kind != "AuthorizationPolicy.security.istio.io" &&
               key.kind != "PeerAuthentication.security.istio.io" && is_foreign(object.group())) {
      facts.say(Level::kWarning, "WFT0001", object, "kind",
                "kind " + object.kind + " of " + object.api_version +
                    " is not supported yet: it has no effect" +
                    (object.kind == "EnvoyFilter"
                         ? " (a VirtualService or DestinationRule says most of it)"
                         : ""));
    }
  }
}

}  // namespace weft::controlplane::analyze
