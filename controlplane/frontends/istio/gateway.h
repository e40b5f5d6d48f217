// networking.istio.io Gateway (v1, v1beta1, v1alpha3) → model. Pure.
// Secrets are named without a namespace ("/NAME"): they are the gateway pods'. Source: mesh-apis
// facts §2.1.3.
#pragma once

#include <string_view>

#include "base/result.h"
#include "controlplane/model/decoded.h"
#include "controlplane/model/gateways.h"
#include "source/object.h"

namespace weft::controlplane::istio {

Parsed<model::Decoded<model::Gateway>> decode_gateway(const source::Object& object,
                                                      std::string_view domain = "cluster.local");

}  // namespace weft::controlplane::istio
