#include "controlplane/backends/envoy/listeners.h"

#include "controlplane/backends/envoy/actions.h"
#include "controlplane/backends/envoy/authz.h"
#include "controlplane/backends/envoy/http.h"
#include "controlplane/backends/envoy/match.h"
#include "controlplane/backends/envoy/wire.h"
#include "envoy/extensions/filters/listener/proxy_protocol/v3/proxy_protocol.pb.h"
#include "envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector.pb.h"
#include "envoy/extensions/filters/network/rbac/v3/rbac.pb.h"
#include "envoy/extensions/filters/network/set_filter_state/v3/set_filter_state.pb.h"
#include "envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.pb.h"
#include "envoy/extensions/matching/common_inputs/network/v3/network_inputs.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls.pb.h"
#include "google/protobuf/wrappers.pb.h"

namespace weft::controlplane::envoy {
namespace {

namespace listener = ::envoy::config::listener::v3;
namespace core = ::envoy::config::core::v3;
namespace tls = ::envoy::extensions::transport_sockets::tls::v3;
namespace inputs = ::envoy::extensions::matching::common_inputs::network::v3;
namespace matcher = ::xds::type::matcher::v3;
using Tags = std::vector<std::pair<std::string, std::string>>;

constexpr std::uint32_t kPeerTlv = 0xD0;
constexpr const char* kHttpChain = "http";

listener::Filter& add_filter(const char* name, const google::protobuf::Message& config,
                             listener::FilterChain& out) {
  listener::Filter& filter = *out.add_filters();
  filter.set_name(name);
  pack(config, *filter.mutable_typed_config());
  return filter;
}

// The identity that ztunnel verified, and the client's address, for policy and routes. Without both
// flags a missing identity would be "-" or "", which presence matches.
void add_client(listener::FilterChain& out) {
  ::envoy::extensions::filters::network::set_filter_state::v3::Config config;
  auto add = [&](const char* key, const char* format) {
    auto& value = *config.add_on_new_connection();
    value.set_object_key(key);
    value.set_factory_key("envoy.string");
    value.set_read_only(true);
    value.set_skip_if_empty(true);
    value.mutable_format_string()->mutable_text_format_source()->set_inline_string(format);
    value.mutable_format_string()->set_omit_empty_values(true);
  };
  add(kPeerKey, "%DYNAMIC_METADATA(weft:peer)%");
  add(kClientKey, "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%");
  add_filter("envoy.filters.network.set_filter_state", config, out);
}

void add_http(const HttpOptions& options, const Settings& settings, const std::string& token,
              listener::FilterChain& out) {
  ::envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager config;
  encode_http(options, settings, token, config);
  add_filter("envoy.filters.network.http_connection_manager", config, out);
}

void add_tcp(const std::vector<std::string>& clusters, const std::vector<std::uint64_t>& weights,
             const Tags& tags, const Settings& settings, const std::string& token,
             listener::FilterChain& out) {
  ::envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy config;
  config.set_stat_prefix("tcp");
  if (clusters.size() == 1) {
    config.set_cluster(clusters.front());
  } else {
    for (std::size_t i = 0; i < clusters.size(); ++i) {
      const std::uint64_t weight = i < weights.size() ? weights[i] : 1;
      if (weight == 0 || clusters[i].empty()) continue;
      auto& wire = *config.mutable_weighted_clusters()->add_clusters();
      wire.set_name(clusters[i]);
      wire.set_weight(static_cast<std::uint32_t>(std::min<std::uint64_t>(weight, 1'000'000)));
    }
    if (config.weighted_clusters().clusters().empty()) config.set_cluster("weft.broken");
  }
  if (settings.access_log_service) encode_tcp_log(tags, token, *config.add_access_log());
  add_filter("envoy.filters.network.tcp_proxy", config, out);
}

// ztunnel judged the client already; this is for what only the plan knows (a policy that could not
// be programmed). Who may not goes first.
void add_authz(const model::PlanAuthz& authz, const AuthzContext& context,
               listener::FilterChain& out) {
  Rbac rules = make_rbac(authz, context);
  for (auto* one : {&rules.deny, &rules.allow}) {
    if (!*one) continue;
    ::envoy::extensions::filters::network::rbac::v3::RBAC config;
    config.set_stat_prefix("tcp");
    *config.mutable_rules() = std::move(**one);
    add_filter("envoy.filters.network.rbac", config, out);
  }
}

void set_action(const std::string& chain, matcher::Matcher::OnMatch& out) {
  google::protobuf::StringValue name;
  name.set_value(chain);
  out.mutable_action()->set_name("chain");
  pack(name, *out.mutable_action()->mutable_typed_config());
}

using ChainsByPort = std::map<std::string, std::string>;
void encode_ports(const ChainsByPort& ports, matcher::Matcher& out) {
  auto& tree = *out.mutable_matcher_tree();
  tree.mutable_input()->set_name("port");
  pack(inputs::DestinationPortInput(), *tree.mutable_input()->mutable_typed_config());
  for (const auto& [port, chain] : ports)
    set_action(chain, (*tree.mutable_exact_match_map()->mutable_map())[port]);
  set_action(kHttpChain, *out.mutable_on_no_match());
}

// Original destination → chain. Changing this alone drains nothing.
void encode_matcher(const model::Plan& plan, matcher::Matcher& out) {
  std::map<std::string, ChainsByPort> chains;
  for (const model::PlanService& service : plan.services) {
    if (!is_connection(service.protocol)) continue;
    for (const SocketAddress& address : service.addresses)
      chains[address.ip.str()][std::to_string(address.port)] =
          "tcp|" + service.key.hostname + ":" + std::to_string(service.key.port);
  }
  auto& tree = *out.mutable_matcher_tree();
  tree.mutable_input()->set_name("ip");
  pack(inputs::DestinationIPInput(), *tree.mutable_input()->mutable_typed_config());
  auto& map = *tree.mutable_exact_match_map()->mutable_map();
  for (const auto& [ip, ports] : chains) encode_ports(ports, *map[ip].mutable_matcher());
  if (chains.empty()) set_action(kHttpChain, map["255.255.255.255"]);  // a map may not be empty
  set_action(kHttpChain, *out.mutable_on_no_match());
}

void set_address(const char* ip, std::uint16_t port, core::Address& out) {
  out.mutable_socket_address()->set_address(ip);
  out.mutable_socket_address()->set_port_value(port);
}

tls::TlsParameters::TlsProtocol version_of(const std::string& text) {
  if (text == "TLSV1_0") return tls::TlsParameters::TLSv1_0;
  if (text == "TLSV1_1") return tls::TlsParameters::TLSv1_1;
  if (text == "TLSV1_2") return tls::TlsParameters::TLSv1_2;
  if (text == "TLSV1_3") return tls::TlsParameters::TLSv1_3;
  return tls::TlsParameters::TLS_AUTO;
}

void encode_tls(const model::ServerTls& rule, bool http, core::TransportSocket& out) {
  tls::DownstreamTlsContext context;
  tls::CommonTlsContext& common = *context.mutable_common_tls_context();
  tls::TlsParameters& limits = *common.mutable_tls_params();
  limits.set_tls_minimum_protocol_version(
      version_of(rule.min_version.empty() ? "TLSV1_2" : rule.min_version));
  if (!rule.max_version.empty())
    limits.set_tls_maximum_protocol_version(version_of(rule.max_version));
  if (http) {
    common.add_alpn_protocols("h2");
    common.add_alpn_protocols("http/1.1");
  }
  for (const std::string& name : rule.secrets) {
    tls::SdsSecretConfig& secret = *common.add_tls_certificate_sds_secret_configs();
    secret.set_name(name);
    from_ads(*secret.mutable_sds_config());
  }
  const bool mutual = rule.mode == model::ServerTls::Mode::kMutual;
  if ((mutual || rule.mode == model::ServerTls::Mode::kOptionalMutual) && !rule.secrets.empty()) {
    tls::SdsSecretConfig& roots = *common.mutable_validation_context_sds_secret_config();
    roots.set_name(rule.secrets.front() + "-cacert");
    from_ads(*roots.mutable_sds_config());
    context.mutable_require_client_certificate()->set_value(mutual);
  }
  out.set_name("envoy.transport_sockets.tls");
  pack(context, *out.mutable_typed_config());
}

bool is_terminated(const model::PlanListener::Chain& chain) {
  return chain.tls && chain.tls->mode != model::ServerTls::Mode::kPassthrough;
}

}  // namespace

bool is_connection(mesh::AppProtocol protocol) {
  return protocol == mesh::AppProtocol::kTcp || protocol == mesh::AppProtocol::kTls;
}

std::string scope_of(const model::PlanListener& plan, const model::PlanListener::Chain& chain) {
  std::string out = plan.name;
  for (const std::string& name : chain.sni) out += "|" + name;
  return chain.sni.empty() ? out + "|" : out;
}

void encode_waypoint(const model::Plan& plan, const Settings& settings, const std::string& token,
                     listener::Listener& out) {
  out.set_name("waypoint");
  // A listener that changes beyond its chains drains all of its connections.
  if (plan.draining) out.set_stat_prefix("waypoint_draining");
  set_address("127.0.0.1", kWaypointPort, *out.mutable_address());
  ::envoy::extensions::filters::listener::proxy_protocol::v3::ProxyProtocol proxy;
  proxy.set_stat_prefix("waypoint");
  proxy.add_disallowed_versions(core::ProxyProtocolConfig::V1);
  auto& rule = *proxy.add_rules();
  rule.set_tlv_type(kPeerTlv);
  rule.mutable_on_tlv_present()->set_metadata_namespace("weft");
  rule.mutable_on_tlv_present()->set_key("peer");
  auto& filter = *out.add_listener_filters();
  filter.set_name("envoy.filters.listener.proxy_protocol");
  pack(proxy, *filter.mutable_typed_config());
  encode_matcher(plan, *out.mutable_filter_chain_matcher());

  listener::FilterChain& http = *out.add_filter_chains();
  http.set_name(kHttpChain);
  add_client(http);
  add_http({.scope = "%DOWNSTREAM_LOCAL_ADDRESS%", .ns = plan.ns, .name = plan.name}, settings,
           token, http);
  for (const model::PlanService& service : plan.services) {
    if (!is_connection(service.protocol)) continue;
    listener::FilterChain& chain = *out.add_filter_chains();
    chain.set_name("tcp|" + service.key.hostname + ":" + std::to_string(service.key.port));
    add_client(chain);
    add_authz(service.authz, {.http = false, .port = service.target_port}, chain);
    add_tcp(service.tcp_clusters, service.tcp_weights,
            {{"service", service.key.hostname},
             {"service_namespace", service.service_ns},
             {"service_name", service.service_name}},
            settings, token, chain);
  }
}

void encode_gateway(const model::PlanListener& plan, const std::string& owner,
                    const Settings& settings, const std::string& token, listener::Listener& out) {
  const std::size_t slash = owner.find('/');
  out.set_name(plan.name);
  set_address("0.0.0.0", plan.port, *out.mutable_address());
  set_address("::", plan.port, *out.add_additional_addresses()->mutable_address());
  bool inspect = false;
  for (const model::PlanListener::Chain& one : plan.chains) {
    listener::FilterChain& chain = *out.add_filter_chains();
    chain.set_name(scope_of(plan, one));
    for (const std::string& name : one.sni) {
      if (name != "*") chain.mutable_filter_chain_match()->add_server_names(name);
    }
    if (one.tls) {
      chain.mutable_filter_chain_match()->set_transport_protocol("tls");
      inspect = true;
    }
    const bool http = one.tcp_clusters.empty();
    if (is_terminated(one)) encode_tls(*one.tls, http, *chain.mutable_transport_socket());
    if (http) {
      add_http({.scope = header_value(scope_of(plan, one)),
                .edge = true,
                .ns = owner.substr(0, slash),
                .name = owner.substr(slash + 1)},
               settings, token, chain);
    } else {
      add_authz(one.authz, {.http = false, .edge = true}, chain);
      add_tcp(one.tcp_clusters, one.tcp_weights, {}, settings, token, chain);
    }
  }
  if (!inspect) return;
  auto& filter = *out.add_listener_filters();
  filter.set_name("envoy.filters.listener.tls_inspector");
  pack(::envoy::extensions::filters::listener::tls_inspector::v3::TlsInspector(),
       *filter.mutable_typed_config());
}

}  // namespace weft::controlplane::envoy
