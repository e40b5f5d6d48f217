#include "controlplane/backends/envoy/clusters.h"

#include <algorithm>
#include <limits>
#include <tuple>

#include "controlplane/backends/envoy/routes.h"
#include "controlplane/backends/envoy/wire.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls.pb.h"
#include "envoy/extensions/upstreams/http/v3/http_protocol_options.pb.h"

namespace weft::controlplane::envoy {
namespace {

namespace cluster = ::envoy::config::cluster::v3;
namespace core = ::envoy::config::core::v3;
namespace endpoint = ::envoy::config::endpoint::v3;
namespace tls = ::envoy::extensions::transport_sockets::tls::v3;
using model::Milliseconds;
using Discovery = model::PlanCluster::Discovery;

constexpr Milliseconds kConnectTimeout{10'000};
constexpr Milliseconds kIdleTimeout{3'600'000};
constexpr Milliseconds kDnsRefresh{60'000};
constexpr std::uint32_t kUnlimited = std::numeric_limits<std::uint32_t>::max();
constexpr const char* kSystemRoots = "/etc/ssl/certs/ca-certificates.crt";

bool is_http(mesh::AppProtocol protocol) {
  return protocol != mesh::AppProtocol::kTcp && protocol != mesh::AppProtocol::kTls;
}

bool is_http2(const model::PlanCluster& plan) {
  if (plan.protocol == mesh::AppProtocol::kHttp2 || plan.protocol == mesh::AppProtocol::kGrpc)
    return true;
  return plan.policy.pool && plan.policy.pool->http2_upgrade.value_or(false);
}

void set_percent(std::uint32_t value, google::protobuf::UInt32Value& out) {
  out.set_value(std::min(value, 100u));
}

void encode_balancer(const model::PlanCluster& plan, cluster::Cluster& out) {
  const model::LoadBalancer balancer = plan.policy.load_balancer.value_or(model::LoadBalancer{});
  auto slow_start = [&](auto& config) {
    if (!balancer.warmup) return;
    set_duration(*balancer.warmup,
                 *config.mutable_slow_start_config()->mutable_slow_start_window());
    config.mutable_slow_start_config()->mutable_aggression()->set_default_value(1);
    config.mutable_slow_start_config()->mutable_aggression()->set_runtime_key(
        "weft.slow_start_aggression");
    config.mutable_slow_start_config()->mutable_min_weight_percent()->set_value(10);
  };
  switch (balancer.kind) {
    case model::LoadBalancer::Kind::kLeastRequest:
      out.set_lb_policy(cluster::Cluster::LEAST_REQUEST);
      if (balancer.warmup) slow_start(*out.mutable_least_request_lb_config());
      return;
    case model::LoadBalancer::Kind::kRoundRobin:
      out.set_lb_policy(cluster::Cluster::ROUND_ROBIN);
      if (balancer.warmup) slow_start(*out.mutable_round_robin_lb_config());
      return;
    case model::LoadBalancer::Kind::kRandom:
      out.set_lb_policy(cluster::Cluster::RANDOM);
      return;
    case model::LoadBalancer::Kind::kPassthrough:
      out.set_lb_policy(cluster::Cluster::CLUSTER_PROVIDED);
      return;
    case model::LoadBalancer::Kind::kRingHash:
      out.set_lb_policy(cluster::Cluster::RING_HASH);
      out.mutable_ring_hash_lb_config()->mutable_minimum_ring_size()->set_value(
          std::min<std::uint64_t>(balancer.ring_size, 8'388'608));
      return;
    case model::LoadBalancer::Kind::kMaglev:
      out.set_lb_policy(cluster::Cluster::MAGLEV);
  }
}

// Limits are this Envoy's, for all its clients together.
void encode_limits(const model::ConnectionPool& pool,
                   const std::optional<model::RetryBudget>& budget, cluster::Cluster& out) {
  cluster::CircuitBreakers::Thresholds& limits = *out.mutable_circuit_breakers()->add_thresholds();
  limits.mutable_max_connections()->set_value(pool.connections_max.value_or(kUnlimited));
  limits.mutable_max_pending_requests()->set_value(pool.pending_max.value_or(kUnlimited));
  limits.mutable_max_requests()->set_value(pool.requests_max.value_or(kUnlimited));
  limits.mutable_max_retries()->set_value(pool.retries_max.value_or(kUnlimited));
  limits.set_track_remaining(true);
  if (budget) {  // then max_retries is not looked at
    limits.mutable_retry_budget()->mutable_budget_percent()->set_value(budget->ppm / 10'000.0);
    limits.mutable_retry_budget()->mutable_min_retry_concurrency()->set_value(
        budget->concurrency_min);
  }
  set_duration(std::max(pool.connect_timeout.value_or(kConnectTimeout), Milliseconds{1}),
               *out.mutable_connect_timeout());
  if (!pool.keepalive) return;
  core::TcpKeepalive& keep = *out.mutable_upstream_connection_options()->mutable_tcp_keepalive();
  if (pool.keepalive->probes) keep.mutable_keepalive_probes()->set_value(*pool.keepalive->probes);
  if (pool.keepalive->time_s) keep.mutable_keepalive_time()->set_value(*pool.keepalive->time_s);
  if (pool.keepalive->interval_s)
    keep.mutable_keepalive_interval()->set_value(*pool.keepalive->interval_s);
}

void encode_http(const model::PlanCluster& plan, const model::ConnectionPool& pool,
                 cluster::Cluster& out) {
  ::envoy::extensions::upstreams::http::v3::HttpProtocolOptions options;
  core::HttpProtocolOptions& common = *options.mutable_common_http_protocol_options();
  set_duration(pool.idle_timeout.value_or(kIdleTimeout), *common.mutable_idle_timeout());
  if (pool.requests_per_connection_max && *pool.requests_per_connection_max > 0)
    common.mutable_max_requests_per_connection()->set_value(*pool.requests_per_connection_max);
  if (pool.connection_duration_max)
    set_duration(*pool.connection_duration_max, *common.mutable_max_connection_duration());
  if (is_http2(plan)) {
    options.mutable_explicit_http_config()->mutable_http2_protocol_options();
  } else {
    options.mutable_explicit_http_config()->mutable_http_protocol_options();
  }
  pack(options, (*out.mutable_typed_extension_protocol_options())
                    ["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"]);
}

// Consecutive failures eject; rates never do. Without a floor no endpoint is used in panic.
void encode_outliers(const model::OutlierDetection& rule, cluster::Cluster& out) {
  cluster::OutlierDetection& wire = *out.mutable_outlier_detection();
  auto consecutive = [&](std::optional<std::uint32_t> value, google::protobuf::UInt32Value& limit,
                         google::protobuf::UInt32Value& enforced) {
    if (value && *value > 0) limit.set_value(*value);
    enforced.set_value(!value || *value > 0 ? 100 : 0);
  };
  consecutive(rule.consecutive_5xx, *wire.mutable_consecutive_5xx(),
              *wire.mutable_enforcing_consecutive_5xx());
  if (!rule.consecutive_5xx) wire.mutable_consecutive_5xx()->set_value(5);
  if (rule.consecutive_gateway_errors)
    consecutive(rule.consecutive_gateway_errors, *wire.mutable_consecutive_gateway_failure(),
                *wire.mutable_enforcing_consecutive_gateway_failure());
  if (rule.split_local_errors.value_or(false)) {
    wire.set_split_external_local_origin_errors(true);
    if (rule.consecutive_local_failures)
      consecutive(rule.consecutive_local_failures, *wire.mutable_consecutive_local_origin_failure(),
                  *wire.mutable_enforcing_consecutive_local_origin_failure());
    wire.mutable_enforcing_local_origin_success_rate()->set_value(0);
  }
  wire.mutable_enforcing_success_rate()->set_value(0);
  set_duration(std::max(rule.interval, Milliseconds{1}), *wire.mutable_interval());
  set_duration(std::max(rule.base_ejection, Milliseconds{1}), *wire.mutable_base_ejection_time());
  set_percent(rule.ejection_max_percent, *wire.mutable_max_ejection_percent());
}

// mTLS of the mesh is ztunnel's; this is TLS that the endpoint itself speaks.
void encode_tls(const model::ClientTls& rule, bool http2, cluster::Cluster& out) {
  if (rule.mode != model::ClientTls::Mode::kSimple && rule.mode != model::ClientTls::Mode::kMutual)
    return;
  tls::UpstreamTlsContext context;
  context.set_sni(rule.sni);
  tls::CommonTlsContext& common = *context.mutable_common_tls_context();
  if (http2) common.add_alpn_protocols("h2");
  if (rule.mode == model::ClientTls::Mode::kMutual && !rule.credential_name.empty()) {
    tls::SdsSecretConfig& secret = *common.add_tls_certificate_sds_secret_configs();
    secret.set_name(rule.credential_name);
    from_ads(*secret.mutable_sds_config());
  }
  if (!rule.skip_verify) {
    tls::CertificateValidationContext& roots = *common.mutable_validation_context();
    if (rule.ca_pem.empty()) {
      roots.mutable_trusted_ca()->set_filename(kSystemRoots);
    } else {
      roots.mutable_trusted_ca()->set_inline_string(rule.ca_pem);
    }
    std::vector<std::string> names = rule.san;
    if (names.empty() && !rule.sni.empty()) names.push_back(rule.sni);
    for (const std::string& name : names) {
      for (const auto type : {tls::SubjectAltNameMatcher::DNS, tls::SubjectAltNameMatcher::URI}) {
        tls::SubjectAltNameMatcher& san = *roots.add_match_typed_subject_alt_names();
        san.set_san_type(type);
        san.mutable_matcher()->set_exact(name);
      }
    }
  }
  out.mutable_transport_socket()->set_name("envoy.transport_sockets.tls");
  pack(context, *out.mutable_transport_socket()->mutable_typed_config());
}

void add_endpoints(const model::PlanCluster& plan, endpoint::ClusterLoadAssignment& out) {
  out.set_cluster_name(plan.name);
  std::map<std::tuple<std::string, std::string, std::string>, endpoint::LocalityLbEndpoints*>
      groups;
  for (const model::PlanEndpoint& one : plan.endpoints) {
    if (one.weight == 0) continue;
    const mesh::Locality& where = one.locality;
    endpoint::LocalityLbEndpoints*& group = groups[{where.region, where.zone, where.subzone}];
    if (group == nullptr) {
      group = out.add_endpoints();
      if (where != mesh::Locality{}) {
        group->mutable_locality()->set_region(where.region);
        group->mutable_locality()->set_zone(where.zone);
        group->mutable_locality()->set_sub_zone(where.subzone);
      }
    }
    endpoint::LbEndpoint& wire = *group->add_lb_endpoints();
    core::SocketAddress& address =
        *wire.mutable_endpoint()->mutable_address()->mutable_socket_address();
    address.set_address(one.address);
    address.set_port_value(one.port);
    if (!one.healthy) wire.set_health_status(core::UNHEALTHY);
    if (one.weight != 1) wire.mutable_load_balancing_weight()->set_value(one.weight);
  }
}

}  // namespace

void encode(const model::PlanCluster& plan, cluster::Cluster& out) {
  out.set_name(plan.name);
  Discovery discovery = plan.discovery;
  // A VIP dialled from here is balanced by ztunnel, which is what passing through means.
  if (plan.policy.load_balancer &&
      plan.policy.load_balancer->kind == model::LoadBalancer::Kind::kPassthrough)
    discovery = Discovery::kOriginalDestination;
  encode_balancer(plan, out);
  switch (discovery) {
    case Discovery::kEndpoints:
      out.set_type(cluster::Cluster::EDS);
      from_ads(*out.mutable_eds_cluster_config()->mutable_eds_config());
      break;
    case Discovery::kDns:
    case Discovery::kDnsLogical:
      out.set_type(discovery == Discovery::kDns ? cluster::Cluster::STRICT_DNS
                                                : cluster::Cluster::LOGICAL_DNS);
      out.set_dns_lookup_family(cluster::Cluster::V4_PREFERRED);
      set_duration(kDnsRefresh, *out.mutable_dns_refresh_rate());
      out.set_respect_dns_ttl(true);
      add_endpoints(plan, *out.mutable_load_assignment());
      break;
    case Discovery::kOriginalDestination:
      out.set_type(cluster::Cluster::ORIGINAL_DST);
      out.set_lb_policy(cluster::Cluster::CLUSTER_PROVIDED);
      out.clear_ring_hash_lb_config();
      break;
  }
  const model::ConnectionPool pool = plan.policy.pool.value_or(model::ConnectionPool{});
  encode_limits(pool, plan.policy.retry_budget, out);
  if (is_http(plan.protocol)) encode_http(plan, pool, out);
  out.mutable_common_lb_config()->mutable_healthy_panic_threshold()->set_value(
      plan.policy.outlier ? std::min(plan.policy.outlier->healthy_min_percent, 100u) : 0);
  if (plan.policy.outlier) encode_outliers(*plan.policy.outlier, out);
  if (plan.policy.tls) encode_tls(*plan.policy.tls, is_http2(plan), out);
  auto& fields = *(*out.mutable_metadata()->mutable_filter_metadata())[kMetadata].mutable_fields();
  fields["service"].set_string_value(plan.service.hostname);
  fields["namespace"].set_string_value(plan.service.ns);
}

void encode(const model::PlanCluster& plan, endpoint::ClusterLoadAssignment& out) {
  add_endpoints(plan, out);
}

}  // namespace weft::controlplane::envoy
