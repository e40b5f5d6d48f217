// Resources and responses for the tests of this room.
#pragma once

#include <string>

#include "envoy/service/discovery/v3/discovery.pb.h"
#include "weft/authorization.pb.h"
#include "weft/workload.pb.h"
#include "ztunnel/state/decode.h"
#include "ztunnel/xds/session.h"

namespace weft::xds {

using Resource = envoy::service::discovery::v3::Resource;

inline Resource workload(const std::string& uid, const std::string& version = "1", int legacy = 0) {
  istio::workload::Address address;
  auto& in = *address.mutable_workload();
  in.set_uid(uid);
  in.set_name(uid);
  in.set_namespace_("ns");
  in.set_network("net");
  in.add_addresses(std::string("\x0a\0\0\x01", 4));
  if (legacy != 0) in.set_tunnel_protocol(istio::workload::LEGACY_ISTIO_MTLS);
  Resource out;
  out.set_name(uid);
  out.set_version(version);
  out.mutable_resource()->set_type_url(std::string(state::kAddressType));
  out.mutable_resource()->set_value(address.SerializeAsString());
  return out;
}

inline Resource policy(const std::string& name, const std::string& version = "1") {
  istio::security::Authorization in;
  in.set_name(name);
  in.set_namespace_("ns");
  Resource out;
  out.set_name("ns/" + name);
  out.set_version(version);
  out.mutable_resource()->set_value(in.SerializeAsString());
  return out;
}

inline Response response(std::string_view type, const std::vector<Resource>& resources, const std::vector<std::string>& removed = {},
                         const std::string& nonce = "n") {
  Response out;
  out.set_type_url(std::string(type));
  out.set_nonce(nonce);
  for (const auto& each : resources) *out.add_resources() = each;
  for (const auto& each : removed) out.add_removed_resources(each);
  return out;
}

}  // namespace weft::xds
