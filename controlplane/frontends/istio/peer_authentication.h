// security.istio.io PeerAuthentication (v1, v1beta1) → model. Source: ambient-protocol facts §3.3.
#pragma once

#include "base/result.h"
#include "controlplane/model/types.h"
#include "source/object.h"

namespace weft::controlplane::istio {

Parsed<model::PeerAuthn> decode_peer_authentication(const source::Object& object);

}  // namespace weft::controlplane::istio
