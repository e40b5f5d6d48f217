// Mesh objects into facts: what their front ends note becomes findings.
#include "controlplane/frontends/analyze/facts.h"
#include "controlplane/frontends/gateway/gateway.h"
#include "controlplane/frontends/gateway/grpc_route.h"
#include "controlplane/frontends/gateway/http_route.h"
#include "controlplane/frontends/istio/authorization.h"
#include "controlplane/frontends/istio/destination_rule.h"
#include "controlplane/frontends/istio/gateway.h"
#include "controlplane/frontends/istio/request_authentication.h"
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

void notes(Facts& facts, const Object& object, const std::vector<std::string>& unsupported,
           const std::vector<std::string>& warnings) {
  for (const std::string& note : unsupported) {
    const auto [path, text] = split_note(note);
    facts.say(Level::kWarning, "WFT0001", object, path, "not supported yet: " + text);
  }
  for (const std::string& note : warnings) {
    const auto [path, text] = split_note(note);
    const bool deprecated = text.find(": deprecated") != std::string::npos;
    facts.say(deprecated ? Level::kWarning : Level::kInfo, deprecated ? "IST0002" : "WFT0002",
              object, path, text);
  }
}

// REQUIRES: the object was admitted.
template <class X, class Take>
void take(Facts& facts, const Object& object, const Parsed<model::Decoded<X>>& decoded, Take put) {
  if (!decoded) return;
  for (const X& value : decoded->values) put(value);
  notes(facts, object, decoded->unsupported, decoded->warnings);
}

}  // namespace

bool decode_mesh(Facts& facts, const source::ObjectPtr& pointer) {
  const Object& object = *pointer;
  const std::string kind = object.key().kind;
  const std::string& domain = facts.options.domain;
  auto nothing = [](const auto&) {};
  if (kind == "VirtualService.networking.istio.io") {
    take(facts, object, istio::decode_virtual_service(object, domain), nothing);
    facts.virtual_services.push_back(pointer);
  } else if (kind == "HTTPRoute.gateway.networking.k8s.io") {
    take(facts, object, gateway_api::decode_http_route(object, domain), nothing);
    facts.routes.push_back(pointer);
  } else if (kind == "GRPCRoute.gateway.networking.k8s.io") {
    take(facts, object, gateway_api::decode_grpc_route(object, domain), nothing);
    facts.routes.push_back(pointer);
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
  } else if (kind == "AuthorizationPolicy.security.istio.io") {
    const auto decoded = istio::decode_authorization_policy(object, facts.is_root(object.ns));
    if (decoded) notes(facts, object, decoded->unsupported, decoded->warnings);
  } else {
    return kind == "PeerAuthentication.security.istio.io";
  }
  return true;
}

}  // namespace weft::controlplane::analyze
