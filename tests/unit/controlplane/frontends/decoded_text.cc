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
#include "ir_text.h"

namespace weft::controlplane {
namespace {

void put_conditions(const std::vector<model::Condition>& conditions, std::string& out) {
  for (const model::Condition& one : conditions)
    out += "# " + one.type + "=" + (one.status ? "True" : "False") + " " + one.reason + ": " +
           one.message + "\n";
}

template <class X>
std::string text(const Parsed<model::Decoded<X>>& decoded) {
  if (!decoded) return "refused: " + decoded.error().text + "\n";
  std::string out;
  for (const X& value : decoded->values) out += text_of(value);
  for (const std::string& warning : decoded->warnings) out += "# warning: " + warning + "\n";
  put_conditions(decoded->conditions, out);
  return out;
}

}  // namespace

std::string decoded_text(const source::Object& object) {
  const std::string kind = object.key().kind;
  if (kind == "VirtualService.networking.istio.io")
    return text(istio::decode_virtual_service(object));
  if (kind == "DestinationRule.networking.istio.io")
    return text(istio::decode_destination_rule(object));
  if (kind == "ServiceEntry.networking.istio.io") return text(istio::decode_service_entry(object));
  if (kind == "Gateway.networking.istio.io") return text(istio::decode_gateway(object));
  if (kind == "RequestAuthentication.security.istio.io")
    return text(istio::decode_request_authentication(object));
  if (kind == "Telemetry.telemetry.istio.io") return text(istio::decode_telemetry(object));
  if (kind == "HTTPRoute.gateway.networking.k8s.io")
    return text(gateway_api::decode_http_route(object));
  if (kind == "GRPCRoute.gateway.networking.k8s.io")
    return text(gateway_api::decode_grpc_route(object));
  if (kind == "Gateway.gateway.networking.k8s.io") return text(gateway_api::decode_gateway(object));
  if (kind == "GatewayClass.gateway.networking.k8s.io")
    return text(gateway_api::decode_gateway_class(object));
  if (kind == "ReferenceGrant.gateway.networking.k8s.io")
    return text(gateway_api::decode_reference_grant(object));
  if (kind == "AuthorizationPolicy.security.istio.io") {
    const auto policy = istio::decode_authorization_policy(object, false);
    if (!policy) return "refused: " + policy.error().text + "\n";
    std::string out = text_of(*policy);
    put_conditions(policy->conditions, out);
    return out;
  }
  return "no front end knows " + kind + "\n";
}

}  // namespace weft::controlplane
