#include "controlplane/frontends/admit.h"

#include "controlplane/frontends/istio/authorization.h"
#include "controlplane/frontends/istio/peer_authentication.h"

namespace weft::controlplane {
namespace {

template <class T>
std::optional<Problem> refusal(const Parsed<T>& decoded) {
  return decoded ? std::nullopt : std::optional(decoded.error());
}

}  // namespace

std::optional<Problem> admit_mesh(const source::Object& object) {
  if (object.group() != "security.istio.io") return std::nullopt;
  if (object.kind == "AuthorizationPolicy")
    return refusal(istio::decode_authorization_policy(object, false));
  if (object.kind == "PeerAuthentication")
    return refusal(istio::decode_peer_authentication(object));
  return std::nullopt;
}

}  // namespace weft::controlplane
