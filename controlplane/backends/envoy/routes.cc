#include "controlplane/backends/envoy/routes.h"

#include <cmath>

#include "controlplane/backends/envoy/actions.h"
#include "controlplane/backends/envoy/authn.h"
#include "controlplane/backends/envoy/match.h"
#include "controlplane/backends/envoy/wire.h"
#include "envoy/extensions/filters/http/cors/v3/cors.pb.h"
#include "envoy/extensions/filters/http/fault/v3/fault.pb.h"
#include "envoy/extensions/filters/http/rbac/v3/rbac.pb.h"

namespace weft::controlplane::envoy {
namespace {

namespace route = ::envoy::config::route::v3;
namespace fault = ::envoy::extensions::filters::http::fault::v3;
using Million = ::envoy::type::v3::FractionalPercent;

std::string joined(const std::vector<std::string>& list) {
  std::string out;
  for (const std::string& one : list) out += (out.empty() ? "" : ",") + one;
  return out;
}

void set_ppm(std::uint32_t ppm, Million& out) {
  out.set_numerator(ppm);
  out.set_denominator(Million::MILLION);
}

void add_fault(const model::Fault& rule, FilterConfigs& out) {
  fault::HTTPFault wire;
  if (rule.delay_ppm > 0 && rule.delay.count() > 0) {
    set_duration(rule.delay, *wire.mutable_delay()->mutable_fixed_delay());
    set_ppm(rule.delay_ppm, *wire.mutable_delay()->mutable_percentage());
  }
  if (rule.abort_ppm > 0 && (rule.abort_status != 0 || rule.abort_grpc_status)) {
    if (rule.abort_grpc_status) {
      wire.mutable_abort()->set_grpc_status(*rule.abort_grpc_status);
    } else {
      wire.mutable_abort()->set_http_status(rule.abort_status);
    }
    set_ppm(rule.abort_ppm, *wire.mutable_abort()->mutable_percentage());
  }
  if (wire.has_delay() || wire.has_abort()) pack(wire, out["envoy.filters.http.fault"]);
}

void add_cors(const model::Cors& rule, FilterConfigs& out) {
  ::envoy::extensions::filters::http::cors::v3::CorsPolicy wire;
  for (const model::TextMatch& origin : rule.origins)
    encode(origin, *wire.add_allow_origin_string_match());
  wire.set_allow_methods(joined(rule.methods));
  wire.set_allow_headers(joined(rule.headers));
  wire.set_expose_headers(joined(rule.expose));
  if (rule.max_age) wire.set_max_age(std::to_string(rule.max_age->count()));
  if (rule.credentials) wire.mutable_allow_credentials()->set_value(*rule.credentials);
  wire.mutable_forward_not_matching_preflights()->set_value(rule.forward_unmatched_preflights);
  wire.mutable_filter_enabled()->mutable_default_value()->set_numerator(100);
  pack(wire, out["envoy.filters.http.cors"]);
}

// The service that a gateway's route is for, as spans name it: "HOST:PORT" of its first cluster,
// "outbound|9080|v1|reviews.default.svc.cluster.local".
std::string service_of(const std::vector<std::string>& clusters) {
  for (const std::string& name : clusters) {
    const std::size_t port = name.find('|'), host = name.rfind('|');
    if (port == std::string::npos || host == port) continue;
    return name.substr(host + 1) + ":" + name.substr(port + 1, name.find('|', port + 1) - port - 1);
  }
  return {};
}

void add_telemetry(const RouteContext& context, const std::vector<std::string>& clusters,
                   route::Route& out) {
  std::string operation = service_of(clusters);
  if (!context.service.empty()) {
    auto& fields =
        *(*out.mutable_metadata()->mutable_filter_metadata())[kMetadata].mutable_fields();
    fields["service"].set_string_value(context.service);
    fields["namespace"].set_string_value(context.service_ns);
    fields["name"].set_string_value(context.service_name);
    operation = context.service + ":" + std::to_string(context.port);
  }
  if (!operation.empty()) {
    out.mutable_decorator()->set_operation(operation + "/*");
    out.mutable_decorator()->mutable_propagate()->set_value(false);  // no header for clients
  }
  if (!context.trace_sampling_percent) return;
  const double percent = std::clamp(*context.trace_sampling_percent, 0.0, 100.0);
  set_ppm(static_cast<std::uint32_t>(std::lround(percent * 10'000)),
          *out.mutable_tracing()->mutable_random_sampling());
}

bool takes_everything(const route::Route& one) {
  const route::RouteMatch& match = one.match();
  return match.prefix() == "/" && match.headers().empty() && match.query_parameters().empty() &&
         match.dynamic_metadata().empty() && match.filter_state().empty();
}

// A request whose authority has a port, which is not this one.
void only_with_another_port(std::uint16_t port, route::RouteMatch& out) {
  route::HeaderMatcher& any = *out.add_headers();
  any.set_name(":authority");
  any.mutable_string_match()->mutable_safe_regex()->set_regex(".*:[0-9]+");
  route::HeaderMatcher& own = *out.add_headers();
  own.set_name(":authority");
  own.mutable_string_match()->set_suffix(":" + std::to_string(port));
  own.set_invert_match(true);
}

// A location keeps the authority of the request, port included, unless another port is written.
bool must_write_port(const std::optional<model::Redirect>& redirect) {
  return redirect && redirect->port && redirect->port_unsaid && redirect->authority.empty();
}

}  // namespace

void add_authz(const model::PlanAuthz& authz, const AuthzContext& context, FilterConfigs& out) {
  Rbac rbac = make_rbac(authz, context);
  ::envoy::extensions::filters::http::rbac::v3::RBACPerRoute wire;
  if (rbac.deny) *wire.mutable_rbac()->mutable_rules() = std::move(*rbac.deny);
  pack(wire, out[kDenyFilter]);
  wire.Clear();
  if (rbac.allow) *wire.mutable_rbac()->mutable_rules() = std::move(*rbac.allow);
  pack(wire, out[kAllowFilter]);
}

void add_jwt(const std::vector<model::JwtRule>& rules, FilterConfigs& out) {
  if (rules.empty()) return;
  ::envoy::extensions::filters::http::jwt_authn::v3::PerRouteConfig wire;
  wire.set_requirement_name(requirement_name(rules));
  pack(wire, out[kJwtFilter]);
}

void encode(const model::PlanRoute& plan, const RouteContext& context,
            google::protobuf::RepeatedPtrField<route::Route>& out) {
  const std::vector<model::RequestMatch> everything(1);
  const auto& matches = plan.rule.matches.empty() ? everything : plan.rule.matches;
  for (const model::RequestMatch& match : matches) {
    route::Route wire;
    if (!encode(match, context.port, plan.client_namespaces, *wire.mutable_match())) continue;
    if (!plan.client_principals.empty())
      only_principals(plan.client_principals, *wire.mutable_match());
    const std::string name = plan.rule.name.empty() ? match.name : plan.rule.name;
    wire.set_name(name.empty() ? "default" : name);
    encode_action(plan, match.path, wire);
    FilterConfigs& filters = *wire.mutable_typed_per_filter_config();
    if (plan.authz) add_authz(*plan.authz, context.authz, filters);
    if (plan.rule.fault) add_fault(*plan.rule.fault, filters);
    if (plan.rule.cors) add_cors(*plan.rule.cors, filters);
    add_telemetry(context, plan.clusters, wire);
    if (must_write_port(plan.rule.redirect)) {
      route::Route& written = *out.Add();
      written = wire;
      only_with_another_port(*plan.rule.redirect->port, *written.mutable_match());
      written.mutable_redirect()->set_port_redirect(*plan.rule.redirect->port);
    }
    *out.Add() = std::move(wire);
  }
}

void encode(const std::vector<model::PlanRoute>& routes, const RouteContext& context,
            route::VirtualHost& out) {
  for (const model::PlanRoute& one : routes) encode(one, context, *out.mutable_routes());
  if (!out.routes().empty() && takes_everything(*out.routes().rbegin())) return;
  route::Route& rest = *out.add_routes();
  rest.set_name("no-route");
  rest.mutable_match()->set_prefix("/");
  rest.mutable_direct_response()->set_status(404);
  add_telemetry(context, {}, rest);
  // For telemetry it is what Envoy calls "no route" (NR).
  (*(*rest.mutable_metadata()->mutable_filter_metadata())[kMetadata].mutable_fields())["no_route"]
      .set_bool_value(true);
}

}  // namespace weft::controlplane::envoy
