#include "controlplane/frontends/admit.h"

#include <string>
#include <string_view>
#include <utility>

#include "controlplane/frontends/istio/authorization.h"
#include "controlplane/frontends/istio/destination_rule.h"
#include "controlplane/frontends/istio/peer_authentication.h"
#include "controlplane/frontends/istio/virtual_service.h"

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
};

}  // namespace

std::optional<Problem> admit_mesh(const source::Object& object) {
  const std::string kind = object.key().kind;
  for (const auto& [name, judge] : kJudges) {
    if (kind == name) return judge(object);
  }
  return std::nullopt;
}

}  // namespace weft::controlplane
