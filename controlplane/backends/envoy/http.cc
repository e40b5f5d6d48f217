#include "controlplane/backends/envoy/http.h"

#include <algorithm>
#include <chrono>

#include "controlplane/backends/envoy/authn.h"
#include "controlplane/backends/envoy/match.h"
#include "controlplane/backends/envoy/routes.h"
#include "controlplane/backends/envoy/wire.h"
#include "envoy/config/trace/v3/opentelemetry.pb.h"
#include "envoy/config/trace/v3/zipkin.pb.h"
#include "envoy/extensions/access_loggers/grpc/v3/als.pb.h"
#include "envoy/extensions/filters/http/cors/v3/cors.pb.h"
#include "envoy/extensions/filters/http/fault/v3/fault.pb.h"
#include "envoy/extensions/filters/http/grpc_stats/v3/config.pb.h"
#include "envoy/extensions/filters/http/lua/v3/lua.pb.h"
#include "envoy/extensions/filters/http/rbac/v3/rbac.pb.h"
#include "envoy/extensions/filters/http/router/v3/router.pb.h"
#include "envoy/extensions/http/early_header_mutation/header_mutation/v3/header_mutation.pb.h"
#include "envoy/extensions/request_id/uuid/v3/uuid.pb.h"

namespace weft::controlplane::envoy {
namespace {

namespace hcm = ::envoy::extensions::filters::network::http_connection_manager::v3;
namespace als = ::envoy::extensions::access_loggers::grpc::v3;
namespace core = ::envoy::config::core::v3;
namespace trace = ::envoy::config::trace::v3;
using std::chrono::milliseconds;

constexpr milliseconds kIdleTimeout{3'600'000};
// What one connection from outside may make Envoy hold: the windows are granted before anything is
// known of who it is.
constexpr std::uint32_t kEdgeStreamsMax = 128;
constexpr std::uint32_t kEdgeStreamWindow = 256 << 10;
constexpr std::uint32_t kEdgeConnectionWindow = 1 << 20;
constexpr const char* kGrpcStats = "envoy.filters.http.grpc_stats";  // and its filter state
constexpr milliseconds kLogFlush{200};
constexpr std::uint32_t kLogBuffer = 16 << 10;

void encode_log_common(const char* name, const std::string& token,
                       als::CommonGrpcAccessLogConfig& out) {
  out.set_log_name(name);
  out.set_transport_api_version(core::V3);
  set_duration(kLogFlush, *out.mutable_buffer_flush_interval());
  out.mutable_buffer_size_bytes()->set_value(kLogBuffer);
  out.mutable_grpc_service()->mutable_envoy_grpc()->set_cluster_name(kXdsCluster);
  if (!token.empty()) {
    core::HeaderValue& header = *out.mutable_grpc_service()->add_initial_metadata();
    header.set_key("authorization");
    header.set_value("Bearer " + token);
  }
  out.add_filter_state_objects_to_log(kPeerKey);
}

// Which service was asked for, and which one answered.
void add_tags(als::CommonGrpcAccessLogConfig& out) {
  auto add = [&](const char* tag, const char* field, bool of_cluster) {
    auto& wire = *out.add_custom_tags();
    wire.set_tag(tag);
    auto& metadata = *wire.mutable_metadata();
    if (of_cluster) {
      metadata.mutable_kind()->mutable_cluster();
    } else {
      metadata.mutable_kind()->mutable_route();
    }
    metadata.mutable_metadata_key()->set_key(kMetadata);
    metadata.mutable_metadata_key()->add_path()->set_key(field);
  };
  add("service", "service", false);
  add("service_namespace", "namespace", false);
  add("service_name", "name", false);
  add("no_route", "no_route", false);
  add("cluster_service", "service", true);
  add("cluster_namespace", "namespace", true);
}

void encode_http_log(const std::string& token, bool traced, hcm::HttpConnectionManager& out) {
  als::HttpGrpcAccessLogConfig config;
  encode_log_common("weft-http", token, *config.mutable_common_config());
  add_tags(*config.mutable_common_config());
  config.mutable_common_config()->add_filter_state_objects_to_log(kGrpcStats);
  config.add_additional_request_headers_to_log("content-type");
  if (traced) {
    config.add_additional_request_headers_to_log("x-b3-traceid");
    config.add_additional_request_headers_to_log("traceparent");
  }
  config.add_additional_response_headers_to_log("grpc-status");
  config.add_additional_response_trailers_to_log("grpc-status");
  auto& log = *out.add_access_log();
  log.set_name("envoy.access_loggers.http_grpc");
  pack(config, *log.mutable_typed_config());
}

// Names of spans and tags are Istio's, where it has one.
void add_span_tags(const HttpOptions& options, const Settings& settings,
                   hcm::HttpConnectionManager::Tracing& out) {
  auto literal = [&](const char* name, const std::string& value) {
    if (value.empty()) return;
    auto& tag = *out.add_custom_tags();
    tag.set_tag(name);
    tag.mutable_literal()->set_value(value);
  };
  literal("istio.canonical_revision", "latest");
  literal("istio.canonical_service", options.name);
  literal("istio.cluster_id", settings.cluster_id);
  literal("istio.mesh_id", settings.trust_domain);
  literal("istio.namespace", options.ns);
  if (options.edge) return;
  auto of_route = [&](const char* name, const char* field) {
    auto& tag = *out.add_custom_tags();
    tag.set_tag(name);
    tag.mutable_metadata()->mutable_kind()->mutable_route();
    tag.mutable_metadata()->mutable_metadata_key()->set_key(kMetadata);
    tag.mutable_metadata()->mutable_metadata_key()->add_path()->set_key(field);
  };
  of_route("istio.destination_service", "service");
  of_route("istio.destination_service_name", "name");
  of_route("istio.destination_namespace", "namespace");
}

void encode_tracing(const HttpOptions& options, const Settings& settings,
                    hcm::HttpConnectionManager::Tracing& out) {
  const Tracing& tracing = settings.tracing;
  auto& provider = *out.mutable_provider();
  if (tracing.kind == Tracing::Kind::kZipkin) {
    trace::ZipkinConfig config;
    config.set_collector_cluster(kTracingCluster);
    config.set_collector_endpoint(tracing.path);
    config.set_collector_hostname(tracing.authority());
    config.set_collector_endpoint_version(trace::ZipkinConfig::HTTP_JSON);
    config.set_trace_id_128bit(true);
    config.mutable_shared_span_context()->set_value(false);
    config.set_trace_context_option(trace::ZipkinConfig::USE_B3_WITH_W3C_PROPAGATION);
    provider.set_name("envoy.tracers.zipkin");
    pack(config, *provider.mutable_typed_config());
  } else {
    trace::OpenTelemetryConfig config;
    config.mutable_grpc_service()->mutable_envoy_grpc()->set_cluster_name(kTracingCluster);
    config.set_service_name(options.name + "." + options.ns);
    provider.set_name("envoy.tracers.opentelemetry");
    pack(config, *provider.mutable_typed_config());
  }
  out.mutable_random_sampling()->set_value(std::clamp(tracing.sampling_percent, 0.0, 100.0));
  out.mutable_overall_sampling()->set_value(100);
  out.mutable_client_sampling()->set_value(100);
  add_span_tags(options, settings, out);
}

// A client's x-request-id stays what it was: the decision to trace travels in the trace's own
// headers, and is not written into it.
void keep_request_id(hcm::HttpConnectionManager& out) {
  ::envoy::extensions::request_id::uuid::v3::UuidRequestIdConfig config;
  config.mutable_pack_trace_reason()->set_value(false);
  pack(config, *out.mutable_request_id_extension()->mutable_typed_config());
}

hcm::HttpFilter& add_filter(const char* name, hcm::HttpConnectionManager& out) {
  hcm::HttpFilter& filter = *out.add_http_filters();
  filter.set_name(name);
  return filter;
}

// In order: tokens, who may not, who may, faults, CORS; messages of gRPC are counted. What is not
// said for a virtual host or a route is what is here, and that lets nobody through.
void encode_filters(hcm::HttpConnectionManager& out) {
  namespace rbac = ::envoy::extensions::filters::http::rbac::v3;
  auto& discovery = *add_filter(kJwtFilter, out).mutable_config_discovery();
  from_ads(*discovery.mutable_config_source());
  pack(make_jwt_filter({}), *discovery.mutable_default_config());
  discovery.set_apply_default_config_without_warming(true);
  discovery.add_type_urls(
      "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication");
  pack(::envoy::extensions::filters::http::lua::v3::Lua(),
       *add_filter(kLeaveFilter, out).mutable_typed_config());
  pack(rbac::RBAC(), *add_filter(kDenyFilter, out).mutable_typed_config());
  rbac::RBAC nobody;
  nobody.mutable_rules()->set_action(::envoy::config::rbac::v3::RBAC::ALLOW);
  pack(nobody, *add_filter(kAllowFilter, out).mutable_typed_config());
  pack(::envoy::extensions::filters::http::fault::v3::HTTPFault(),
       *add_filter("envoy.filters.http.fault", out).mutable_typed_config());
  pack(::envoy::extensions::filters::http::cors::v3::Cors(),
       *add_filter("envoy.filters.http.cors", out).mutable_typed_config());
  ::envoy::extensions::filters::http::grpc_stats::v3::FilterConfig messages;
  messages.set_emit_filter_state(true);
  pack(messages, *add_filter(kGrpcStats, out).mutable_typed_config());
  pack(::envoy::extensions::filters::http::router::v3::Router(),
       *add_filter("envoy.filters.http.router", out).mutable_typed_config());
}

void encode_scopes(const std::string& scope, bool traced, hcm::HttpConnectionManager& out) {
  ::envoy::extensions::http::early_header_mutation::header_mutation::v3::HeaderMutation mutation;
  auto& append = *mutation.add_mutations()->mutable_append();
  append.mutable_header()->set_key(kScopeHeader);
  append.mutable_header()->set_value(scope);
  append.set_append_action(core::HeaderValueOption::OVERWRITE_IF_EXISTS_OR_ADD);
  // Or a client would name the spans.
  if (traced) mutation.add_mutations()->set_remove("x-envoy-decorator-operation");
  auto& early = *out.add_early_header_mutation_extensions();
  early.set_name("envoy.http.early_header_mutation.header_mutation");
  pack(mutation, *early.mutable_typed_config());
  hcm::ScopedRoutes& routes = *out.mutable_scoped_routes();
  routes.set_name("weft");
  auto& value =
      *routes.mutable_scope_key_builder()->add_fragments()->mutable_header_value_extractor();
  value.set_name(kScopeHeader);
  value.set_index(0);
  from_ads(*routes.mutable_rds_config_source());
  from_ads(*routes.mutable_scoped_rds()->mutable_scoped_rds_config_source());
}

}  // namespace

void encode_http(const HttpOptions& options, const Settings& settings, const std::string& token,
                 hcm::HttpConnectionManager& out) {
  out.set_stat_prefix("http");
  const bool traced = settings.tracing.kind != Tracing::Kind::kOff;
  encode_scopes(options.scope, traced, out);
  encode_filters(out);
  // False would let a client choose its address by x-forwarded-for.
  out.mutable_use_remote_address()->set_value(true);
  out.set_skip_xff_append(!options.edge);
  out.set_preserve_external_request_id(true);
  out.mutable_normalize_path()->set_value(true);
  out.set_merge_slashes(true);
  out.set_path_with_escaped_slashes_action(hcm::HttpConnectionManager::UNESCAPE_AND_REDIRECT);
  out.set_strip_trailing_host_dot(true);
  out.set_server_header_transformation(hcm::HttpConnectionManager::PASS_THROUGH);
  out.mutable_http_protocol_options()->set_accept_http_10(true);
  set_duration(milliseconds{0}, *out.mutable_stream_idle_timeout());
  set_duration(kIdleTimeout, *out.mutable_common_http_protocol_options()->mutable_idle_timeout());
  set_duration(settings.headers_timeout, *out.mutable_request_headers_timeout());
  if (options.edge) {
    core::Http2ProtocolOptions& http2 = *out.mutable_http2_protocol_options();
    http2.mutable_max_concurrent_streams()->set_value(kEdgeStreamsMax);
    http2.mutable_initial_stream_window_size()->set_value(kEdgeStreamWindow);
    http2.mutable_initial_connection_window_size()->set_value(kEdgeConnectionWindow);
  }
  out.add_upgrade_configs()->set_upgrade_type("websocket");
  if (settings.access_log_service) encode_http_log(token, traced, out);
  if (!traced) return;
  encode_tracing(options, settings, *out.mutable_tracing());
  keep_request_id(out);
}

void encode_tcp_log(const std::vector<std::pair<std::string, std::string>>& tags,
                    const std::string& token, ::envoy::config::accesslog::v3::AccessLog& out) {
  als::TcpGrpcAccessLogConfig config;
  encode_log_common("weft-tcp", token, *config.mutable_common_config());
  for (const auto& [tag, value] : tags) {
    auto& wire = *config.mutable_common_config()->add_custom_tags();
    wire.set_tag(tag);
    wire.mutable_literal()->set_value(value);
  }
  out.set_name("envoy.access_loggers.tcp_grpc");
  pack(config, *out.mutable_typed_config());
}

}  // namespace weft::controlplane::envoy
