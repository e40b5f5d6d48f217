#include "controlplane/frontends/admit.h"

#include <algorithm>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>

#include "controlplane/frontends/gateway/gateway.h"
#include "controlplane/frontends/gateway/grpc_route.h"
#include "controlplane/frontends/gateway/http_route.h"
#include "controlplane/frontends/istio/authorization.h"
#include "controlplane/frontends/istio/destination_rule.h"
#include "controlplane/frontends/istio/gateway.h"
#include "controlplane/frontends/istio/peer_authentication.h"
#include "controlplane/frontends/istio/request_authentication.h"
#include "controlplane/frontends/istio/service_entry.h"
#include "controlplane/frontends/istio/telemetry.h"
#include "controlplane/frontends/istio/virtual_service.h"
#include "controlplane/frontends/shapes.h"
#include "source/fields.h"
#include "source/kinds.h"

namespace weft::controlplane {
namespace {

template <class T>
std::optional<Problem> refusal(const Parsed<T>& decoded) {
  return decoded ? std::nullopt : std::optional(decoded.error());
}

using Judge = std::optional<Problem> (*)(const source::Object&);

// By ObjectKey::kind.
constexpr std::pair<std::string_view, Judge> kJudges[] = {
    {"AuthorizationPolicy.security.istio.io",
     [](const source::Object& o) { return refusal(istio::decode_authorization_policy(o, false)); }},
    {"PeerAuthentication.security.istio.io",
     [](const source::Object& o) { return refusal(istio::decode_peer_authentication(o)); }},
    {"VirtualService.networking.istio.io",
     [](const source::Object& o) { return refusal(istio::decode_virtual_service(o)); }},
    {"DestinationRule.networking.istio.io",
     [](const source::Object& o) { return refusal(istio::decode_destination_rule(o)); }},
    {"ServiceEntry.networking.istio.io",
     [](const source::Object& o) { return refusal(istio::decode_service_entry(o)); }},
    {"Gateway.networking.istio.io",
     [](const source::Object& o) { return refusal(istio::decode_gateway(o)); }},
    {"RequestAuthentication.security.istio.io",
     [](const source::Object& o) { return refusal(istio::decode_request_authentication(o)); }},
    {"Telemetry.telemetry.istio.io",
     [](const source::Object& o) { return refusal(istio::decode_telemetry(o)); }},
    {"HTTPRoute.gateway.networking.k8s.io",
     [](const source::Object& o) { return refusal(gateway_api::decode_http_route(o)); }},
    {"GRPCRoute.gateway.networking.k8s.io",
     [](const source::Object& o) { return refusal(gateway_api::decode_grpc_route(o)); }},
    {"Gateway.gateway.networking.k8s.io",
     [](const source::Object& o) { return refusal(gateway_api::decode_gateway(o)); }},
    {"GatewayClass.gateway.networking.k8s.io",
     [](const source::Object& o) { return refusal(gateway_api::decode_gateway_class(o)); }},
    {"ReferenceGrant.gateway.networking.k8s.io",
     [](const source::Object& o) { return refusal(gateway_api::decode_reference_grant(o)); }},
};

}  // namespace

std::optional<Problem> admit_mesh(const source::Object& object) {
  source::Reader reader(object);
  const source::Field root = reader.root();
  if (const std::string why = source::why_no_kind(object.api_version, object.kind); !why.empty()) {
    root["kind"].refuse(why);
    return reader.problem();
  }
  const std::string kind = object.key().kind;
  const auto* const judge = std::find_if(std::begin(kJudges), std::end(kJudges),
                                         [&](const auto& one) { return one.first == kind; });
  if (judge == std::end(kJudges)) return misshapen(object);
  root.only({"apiVersion", "kind", "metadata", "spec", "status"});
  return reader.problem() ? reader.problem() : judge->second(object);
}

bool has_front_end(std::string_view kind) {
  return std::any_of(std::begin(kJudges), std::end(kJudges),
                     [&](const auto& one) { return one.first == kind; });
}

}  // namespace weft::controlplane
