// Model → wire: istio.workload.Address and istio.security.Authorization, as deterministic bytes
// whose version is their hash. Pure.
#pragma once

#include "controlplane/translate/world.h"
#include "controlplane/xds/resource.h"
#include "mesh/policy.h"
#include "mesh/workload.h"

namespace istio::workload {
class Address;
}
namespace istio::security {
class Authorization;
}

namespace weft::controlplane::ztunnel {

inline constexpr const char* kAddressType = "type.googleapis.com/istio.workload.Address";
inline constexpr const char* kAuthorizationType =
    "type.googleapis.com/istio.security.Authorization";

void encode(const mesh::Workload& workload, ::istio::workload::Address& out);
void encode(const mesh::Service& service, ::istio::workload::Address& out);
void encode(const mesh::Policy& policy, ::istio::security::Authorization& out);

// Names, aliases and groups as facts §2.1 has them: a workload is also "network/ip", and belongs to
// "node:NAME" and "service:KEY".
xds::ResourcePtr make_resource(const mesh::Workload& workload);
xds::ResourcePtr make_resource(const mesh::Service& service);
xds::ResourcePtr make_resource(const mesh::Policy& policy);

xds::Update make_update(const translate::Changes& changes);

}  // namespace weft::controlplane::ztunnel
