// gateway.networking.k8s.io GRPCRoute (v1) → model. Pure.
// As HTTPRoute. Source: mesh-apis facts §2.2.
#pragma once

#include <string_view>

#include "base/result.h"
#include "controlplane/model/decoded.h"
#include "controlplane/model/routes.h"
#include "source/object.h"

namespace weft::controlplane::gateway_api {

Parsed<model::Decoded<model::RouteTable>> decode_grpc_route(
    const source::Object& object, std::string_view domain = "cluster.local");

}  // namespace weft::controlplane::gateway_api
