// Labels: one access log entry as Istio's standard labels. Pure but for the directory.
// Source: mesh-apis facts §5.1; response flags as Envoy abbreviates them.
#pragma once

#include <map>
#include <string>

#include "controlplane/telemetry/collector.h"

namespace envoy::data::accesslog::v3 {
class AccessLogCommon;
class ResponseFlags;
}  // namespace envoy::data::accesslog::v3

namespace weft::controlplane::telemetry {

using Labels = std::map<std::string, std::string>;

// "UT", "DI,UF"; "-" for none.
std::string flags_of(const ::envoy::data::accesslog::v3::ResponseFlags& flags);
// The client's SPIFFE identity as the waypoint proved it; "" when there is none.
std::string peer_of(const ::envoy::data::accesslog::v3::AccessLogCommon& common);
// "outbound|9080|v1|reviews.default.svc.cluster.local" → the host; "" when it is no such name.
std::string host_of_cluster(const std::string& cluster);

// The label of a gRPC answer's code. The application wrote it: what is no code is "unknown", or
// each answer could make a series of its own.
std::string grpc_status_label(const std::string& status);

// Everything but reporter, protocol and answer. Unknown is "unknown", never missing.
Labels describe(const ::envoy::data::accesslog::v3::AccessLogCommon& common,
                const Directory& directory);

}  // namespace weft::controlplane::telemetry
