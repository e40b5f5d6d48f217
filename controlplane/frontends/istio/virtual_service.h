// networking.istio.io VirtualService (v1, v1beta1, v1alpha3) → model. Pure.
// One table for each host in the mesh and one for each gateway; rules and match entries of other
// gateways are left out. Connections (tls, tcp) make tables of their own. Short host names get the
// object's namespace. Source: mesh-apis facts §2.1.1.
#pragma once

#include <string_view>

#include "base/result.h"
#include "controlplane/model/decoded.h"
#include "controlplane/model/routes.h"
#include "source/object.h"

namespace weft::controlplane::istio {

Parsed<model::Decoded<model::RouteTable>> decode_virtual_service(
    const source::Object& object, std::string_view domain = "cluster.local");

}  // namespace weft::controlplane::istio
