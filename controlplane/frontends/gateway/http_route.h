// gateway.networking.k8s.io HTTPRoute (v1, v1beta1) → model. Pure.
// One table for each parent that is a Service or a Gateway. A Service of another namespace makes a
// consumer route (client_namespaces). Source: mesh-apis facts §2.2.
#pragma once

#include <string_view>

#include "base/result.h"
#include "controlplane/model/decoded.h"
#include "controlplane/model/routes.h"
#include "source/object.h"

namespace weft::controlplane::gateway_api {

Parsed<model::Decoded<model::RouteTable>> decode_http_route(
    const source::Object& object, std::string_view domain = "cluster.local");

}  // namespace weft::controlplane::gateway_api
