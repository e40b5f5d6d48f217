// security.istio.io RequestAuthentication (v1, v1beta1) → model. Pure.
// Source: mesh-apis facts §2.1.5.
#pragma once

#include <string_view>

#include "base/result.h"
#include "controlplane/model/authn.h"
#include "controlplane/model/decoded.h"
#include "source/object.h"

namespace weft::controlplane::istio {

Parsed<model::Decoded<model::RequestAuthn>> decode_request_authentication(
    const source::Object& object, std::string_view domain = "cluster.local");

}  // namespace weft::controlplane::istio
