// PlanRoute → Envoy's routes, and what surrounds them. Pure. Internal to the room.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "controlplane/backends/envoy/authz.h"
#include "controlplane/model/plan.h"
#include "envoy/config/route/v3/route.pb.h"
#include "envoy/config/route/v3/scoped_route.pb.h"

namespace weft::controlplane::envoy {

inline constexpr const char* kDenyFilter = "weft.rbac.deny";
inline constexpr const char* kAllowFilter = "weft.rbac.allow";
inline constexpr const char* kLeaveFilter = "weft.leave";  // ends connections; off by default
inline constexpr const char* kScopeHeader = "x-weft-dst";
inline constexpr const char* kMetadata = "weft";  // key of our metadata on routes and clusters

// What all routes of a virtual host share.
struct RouteContext {
  std::string service, service_ns, service_name;  // for telemetry; "" at a gateway
  std::uint16_t port = 0;                         // that the request came for
  std::optional<double> trace_sampling_percent;
  AuthzContext authz;
};

// Adds one of Envoy's routes for every match that can ever hold.
void encode(const model::PlanRoute& route, const RouteContext& context,
            google::protobuf::RepeatedPtrField<::envoy::config::route::v3::Route>& out);
// Ends with a 404 for what no route matches, so that the host's policy is asked first.
void encode(const std::vector<model::PlanRoute>& routes, const RouteContext& context,
            ::envoy::config::route::v3::VirtualHost& out);
// Policy and token requirement of a virtual host or a route, by filter name.
using FilterConfigs = google::protobuf::Map<std::string, google::protobuf::Any>;
void add_authz(const model::PlanAuthz& authz, const AuthzContext& context, FilterConfigs& out);
void add_jwt(const std::vector<model::JwtRule>& rules, FilterConfigs& out);

}  // namespace weft::controlplane::envoy
