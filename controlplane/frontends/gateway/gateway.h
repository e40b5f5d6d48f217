// gateway.networking.k8s.io Gateway, GatewayClass, ReferenceGrant (v1, v1beta1) → model. Pure.
// Source: mesh-apis facts §2.2.
#pragma once

#include "base/result.h"
#include "controlplane/model/decoded.h"
#include "controlplane/model/gateways.h"
#include "source/object.h"

namespace weft::controlplane::gateway_api {

// Every class is decoded; whose it is, the caller knows. Kind kWaypoint: the classes weft-waypoint
// and istio-waypoint.
Parsed<model::Decoded<model::Gateway>> decode_gateway(const source::Object& object);
Parsed<model::Decoded<model::GatewayClass>> decode_gateway_class(const source::Object& object);
Parsed<model::Decoded<model::ReferenceGrant>> decode_reference_grant(const source::Object& object);

}  // namespace weft::controlplane::gateway_api
