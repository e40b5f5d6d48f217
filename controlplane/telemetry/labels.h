// Labels: one access log entry as Istio's standard labels. Pure but for the directory.
// Source: mesh-apis facts §5.1; response flags as Envoy abbreviates them.
#pragma once

#include <google/protobuf/map.h>

#include <cstdint>
#include <map>
#include <string>

#include "controlplane/telemetry/collector.h"

namespace envoy::data::accesslog::v3 {
class AccessLogCommon;
class HTTPAccessLogEntry;
class ResponseFlags;
}  // namespace envoy::data::accesslog::v3

namespace weft::controlplane::telemetry {

using Labels = std::map<std::string, std::string>;

// "UT", "DI,UF"; "-" for none.
std::string flags_of(const ::envoy::data::accesslog::v3::ResponseFlags& flags);
// The same of a request, with "NR" for the 404 that our own last route gives.
std::string flags_of(const ::envoy::data::accesslog::v3::HTTPAccessLogEntry& entry);
// The client's SPIFFE identity as the waypoint proved it; "" when there is none.
std::string peer_of(const ::envoy::data::accesslog::v3::AccessLogCommon& common);
// Messages of a gRPC call, as its Envoy counted them; none of what it answered itself.
struct Messages {
  std::uint64_t requests = 0, responses = 0;
};
Messages messages_of(const ::envoy::data::accesslog::v3::AccessLogCommon& common);
// "outbound|9080|v1|reviews.default.svc.cluster.local" → the host; "" when it is no such name.
std::string host_of_cluster(const std::string& cluster);

// The label of a gRPC answer's code. The application wrote it: what is no code is "unknown", or
// each answer could make a series of its own.
std::string grpc_status_label(const std::string& status);

// The trace that a request is part of, as its headers say: 32 (or 16) hex digits; "" when none is.
std::string trace_of(const google::protobuf::Map<std::string, std::string>& headers);

// Everything but reporter, protocol and answer. Unknown is "unknown", never missing.
struct Described {
  Labels labels;
  bool from_gateway = false;  // a gateway of ours asked
};
// `edge`: a gateway says so; what it asks others for, it asks in its own name.
Described describe(const ::envoy::data::accesslog::v3::AccessLogCommon& common,
                   const Directory& directory, bool edge);

}  // namespace weft::controlplane::telemetry
