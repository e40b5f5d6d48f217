// telemetry.istio.io Telemetry (v1, v1alpha1) → model. Pure.
// Source: mesh-apis facts §2.1.6.
#pragma once

#include <string_view>

#include "base/result.h"
#include "controlplane/model/authn.h"
#include "controlplane/model/decoded.h"
#include "source/object.h"

namespace weft::controlplane::istio {

Parsed<model::Decoded<model::Telemetry>> decode_telemetry(
    const source::Object& object, std::string_view domain = "cluster.local");

}  // namespace weft::controlplane::istio
