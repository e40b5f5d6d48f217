// networking.istio.io ServiceEntry (v1, v1beta1, v1alpha3) → model. Pure.
// Source: mesh-apis facts §2.1.3.
#pragma once

#include <string_view>

#include "base/result.h"
#include "controlplane/model/decoded.h"
#include "controlplane/model/destinations.h"
#include "source/object.h"

namespace weft::controlplane::istio {

Parsed<model::Decoded<model::ExternalService>> decode_service_entry(
    const source::Object& object, std::string_view domain = "cluster.local");

}  // namespace weft::controlplane::istio
