#include "controlplane/backends/envoy/resources.h"

#include <set>
#include <utility>

#include "controlplane/backends/envoy/authn.h"
#include "controlplane/backends/envoy/clusters.h"
#include "controlplane/backends/envoy/listeners.h"
#include "controlplane/backends/envoy/routes.h"
#include "controlplane/backends/envoy/wire.h"
#include "envoy/config/core/v3/extension.pb.h"
#include "envoy/extensions/filters/http/lua/v3/lua.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/secret.pb.h"

namespace weft::controlplane::envoy {
namespace {

namespace route = ::envoy::config::route::v3;
namespace tls = ::envoy::extensions::transport_sockets::tls::v3;
using Made = std::vector<xds::ResourcePtr>;

constexpr std::uint32_t kBodyBytesMax = 1 << 20;

std::string name_of(const model::ServiceKey& key) {
  return key.hostname + ":" + std::to_string(key.port);
}

void start(const std::string& name, route::RouteConfiguration& out) {
  out.set_name(name);
  out.add_request_headers_to_remove(kScopeHeader);
  out.mutable_validate_clusters()->set_value(false);
  out.set_ignore_port_in_host_matching(true);
}

void allow_bodies(const std::vector<model::PlanRoute>& routes, route::RouteConfiguration& out) {
  for (const model::PlanRoute& one : routes) {
    if (one.rule.direct && one.rule.direct->body.size() > 4096)
      out.mutable_max_direct_response_body_size_bytes()->set_value(kBodyBytesMax);
  }
}

// The connection ends with this answer: "connection: close", GOAWAY. (Envoy drains listeners, not
// routes.)
void end_connections(route::VirtualHost& out) {
  ::envoy::extensions::filters::http::lua::v3::LuaPerRoute config;
  config.mutable_source_code()->set_inline_string(
      "function envoy_on_response(handle)\n"
      "  handle:streamInfo():drainConnectionUponCompletion()\n"
      "end\n");
  pack(config, (*out.mutable_typed_per_filter_config())[kLeaveFilter]);
}

// Spans about the sending of spans would never end.
std::optional<double> sampling_of(const model::PlanService& service, const Tracing& tracing) {
  const bool collects = tracing.kind != Tracing::Kind::kOff &&
                        (tracing.names(service.key.hostname) ||
                         std::ranges::any_of(service.addresses, [&](const SocketAddress& address) {
                           return address.ip.str() == tracing.host && address.port == tracing.port;
                         }));
  return collects ? 0 : service.trace_sampling_percent;
}

// One scope for every address of the service: a scope has one key.
Made make_service(const model::PlanService& service, const Tracing& tracing) {
  if (is_connection(service.protocol)) return {};
  const std::string name = name_of(service.key);
  const AuthzContext authz{.port = service.target_port};
  route::RouteConfiguration config;
  start(name, config);
  allow_bodies(service.routes, config);
  route::VirtualHost& host = *config.add_virtual_hosts();
  host.set_name(name);
  host.add_domains("*");
  add_authz(service.authz, authz, *host.mutable_typed_per_filter_config());
  add_jwt(service.jwt, *host.mutable_typed_per_filter_config());
  if (service.leaving) end_connections(host);
  encode(service.routes,
         {.service = service.key.hostname,
          .service_ns = service.service_ns,
          .service_name = service.service_name,
          .port = service.key.port,
          .trace_sampling_percent = sampling_of(service, tracing),
          .authz = authz},
         host);
  Made out;
  for (const SocketAddress& address : service.addresses) {
    route::ScopedRouteConfiguration scope;
    scope.set_name(name + "|" + address.str());
    scope.mutable_key()->add_fragments()->set_string_key(address.str());
    *scope.mutable_route_configuration() = config;
    out.push_back(make_resource(xds::kScopedRouteType, scope.name(), scope));
  }
  return out;
}

void encode_host(const model::PlanHost& plan, const model::PlanListener::Chain& chain,
                 const model::PlanListener& listener, std::set<std::string>& taken,
                 route::RouteConfiguration& config) {
  std::vector<std::string> domains;
  for (const std::string& name : plan.hosts) {
    if (taken.insert(name).second) domains.push_back(name);
  }
  if (domains.empty()) return;
  const AuthzContext authz{.edge = true};
  route::VirtualHost& host = *config.add_virtual_hosts();
  host.set_name(domains.front() + ":" + std::to_string(listener.port));
  for (const std::string& name : domains) host.add_domains(name);
  add_authz(chain.authz, authz, *host.mutable_typed_per_filter_config());
  add_jwt(chain.jwt, *host.mutable_typed_per_filter_config());
  if (!plan.https_redirect)
    return encode(plan.routes,
                  {.port = listener.port,
                   .trace_sampling_percent = listener.trace_sampling_percent,
                   .authz = authz},
                  host);
  // As a route, and not as the host's require_tls: policy is asked first, and has its say.
  route::Route& to_https = *host.add_routes();
  to_https.mutable_match()->set_prefix("/");
  to_https.mutable_redirect()->set_https_redirect(true);
}

Made make_chain(const model::PlanListener& listener, const model::PlanListener::Chain& chain) {
  if (!chain.tcp_clusters.empty()) return {};
  const std::string name = scope_of(listener, chain);
  route::ScopedRouteConfiguration scope;
  scope.set_name(name);
  scope.mutable_key()->add_fragments()->set_string_key(name);
  route::RouteConfiguration& config = *scope.mutable_route_configuration();
  start(name, config);
  std::set<std::string> taken;
  for (const model::PlanHost& host : chain.http) {
    allow_bodies(host.routes, config);
    encode_host(host, chain, listener, taken, config);
  }
  // Hosts that nobody has: 404, after the policy.
  encode_host({.hosts = {"*"}}, chain, listener, taken, config);
  return {make_resource(xds::kScopedRouteType, name, scope)};
}

Made make_listener(const model::PlanListener& plan, const std::string& owner,
                   const Settings& settings, const std::string& token) {
  ::envoy::config::listener::v3::Listener listener;
  encode_gateway(plan, owner, settings, token, listener);
  Made out{make_resource(xds::kListenerType, plan.name, listener)};
  for (const model::PlanListener::Chain& chain : plan.chains) {
    for (xds::ResourcePtr& one : make_chain(plan, chain)) out.push_back(std::move(one));
  }
  return out;
}

Made make_cluster(const model::PlanCluster& plan) {
  ::envoy::config::cluster::v3::Cluster cluster;
  encode(plan, cluster);
  Made out{make_resource(xds::kClusterType, plan.name, cluster)};
  if (cluster.type() == ::envoy::config::cluster::v3::Cluster::EDS) {
    ::envoy::config::endpoint::v3::ClusterLoadAssignment endpoints;
    encode(plan, endpoints);
    out.push_back(make_resource(xds::kEndpointsType, plan.name, endpoints));
  }
  return out;
}

Made make_certificate(const model::PlanCertificate& plan) {
  Made out;
  if (!plan.chain_pem.empty()) {
    tls::Secret secret;
    secret.set_name(plan.name);
    secret.mutable_tls_certificate()->mutable_certificate_chain()->set_inline_string(
        plan.chain_pem);
    secret.mutable_tls_certificate()->mutable_private_key()->set_inline_string(plan.key_pem);
    out.push_back(make_resource(xds::kSecretType, plan.name, secret));
  }
  if (!plan.ca_pem.empty()) {
    tls::Secret roots;
    roots.set_name(plan.name + "-cacert");
    roots.mutable_validation_context()->mutable_trusted_ca()->set_inline_string(plan.ca_pem);
    out.push_back(make_resource(xds::kSecretType, roots.name(), roots));
  }
  return out;
}

xds::ResourcePtr make_filter(const Requirements& requirements) {
  ::envoy::config::core::v3::TypedExtensionConfig config;
  config.set_name(kJwtFilter);
  pack(make_jwt_filter(requirements), *config.mutable_typed_config());
  return make_resource(xds::kExtensionType, kJwtFilter, config);
}

Made make_tracing_cluster(const Tracing& tracing) {
  const bool is_ip = IpAddress::parse(tracing.host).has_value();
  model::PlanCluster plan{.name = kTracingCluster,
                          .protocol = tracing.kind == Tracing::Kind::kOtlp
                                          ? mesh::AppProtocol::kGrpc
                                          : mesh::AppProtocol::kHttp11,
                          .discovery = is_ip ? model::PlanCluster::Discovery::kEndpoints
                                             : model::PlanCluster::Discovery::kDns,
                          .endpoints = {{.address = tracing.host, .port = tracing.port}}};
  if (is_ip) return make_cluster(plan);
  ::envoy::config::cluster::v3::Cluster cluster;
  encode(plan, cluster);
  // A name that does not resolve is a reason to lose spans, not to wait with everything else.
  cluster.mutable_wait_for_warm_on_init()->set_value(false);
  return {make_resource(xds::kClusterType, plan.name, cluster)};
}

Requirements requirements_of(const model::Plan& plan) {
  Requirements out;
  auto add = [&](const std::vector<model::JwtRule>& rules) {
    if (!rules.empty()) out.emplace(requirement_name(rules), rules);
  };
  for (const model::PlanService& service : plan.services) add(service.jwt);
  for (const model::PlanListener& listener : plan.listeners) {
    for (const model::PlanListener::Chain& chain : listener.chains) add(chain.jwt);
  }
  return out;
}

}  // namespace

class Compiler::State {
 public:
  State(Settings settings, std::string token)
      : settings_(std::move(settings)), token_(std::move(token)) {}

  xds::SnapshotPtr compile(const model::Plan& plan) {
    out_ = std::make_shared<xds::Snapshot>();
    for (const auto& [name, one] : plan.clusters)
      put(clusters_, name, one, [&] { return make_cluster(one); });
    for (const model::PlanService& one : plan.services)
      put(services_, name_of(one.key), one, [&] { return make_service(one, settings_.tracing); });
    for (const model::PlanListener& one : plan.listeners)
      put(listeners_, one.name, one,
          [&] { return make_listener(one, plan.ns + "/" + plan.name, settings_, token_); });
    for (const model::PlanCertificate& one : plan.certificates) add(make_certificate(one));
    Requirements now = requirements_of(plan), both = now;
    both.insert(requirements_.begin(), requirements_.end());
    requirements_ = std::move(now);
    add({make_filter(both)});
    if (settings_.tracing.kind != Tracing::Kind::kOff) add(make_tracing_cluster(settings_.tracing));
    if (plan.kind == model::Plan::Kind::kWaypoint) {
      ::envoy::config::listener::v3::Listener listener;
      encode_waypoint(plan, settings_, token_, listener);
      add({make_resource(xds::kListenerType, listener.name(), listener)});
    }
    clusters_.sweep();
    services_.sweep();
    listeners_.sweep();
    return std::exchange(out_, nullptr);
  }

 private:
  // What became of a part of the plan, by its name.
  template <class Part>
  struct Memory {
    struct Entry {
      Part part;
      Made made;
      bool used = true;
    };
    std::map<std::string, Entry> entries;
    void sweep() {
      for (auto one = entries.begin(); one != entries.end();)
        one = std::exchange(one->second.used, false) ? std::next(one) : entries.erase(one);
    }
  };

  template <class Part, class Make>
  void put(Memory<Part>& memory, const std::string& name, const Part& part, Make make) {
    auto found = memory.entries.find(name);
    if (found == memory.entries.end()) {
      found = memory.entries.emplace(name, typename Memory<Part>::Entry{part, make()}).first;
    } else if (!(found->second.part == part)) {
      found->second = {part, make()};
    }
    found->second.used = true;
    add(found->second.made);
  }

  void add(const Made& made) {
    for (const xds::ResourcePtr& one : made) out_->types[one->type][one->name] = one;
  }

  const Settings settings_;
  const std::string token_;
  Memory<model::PlanCluster> clusters_;
  Memory<model::PlanService> services_;
  Memory<model::PlanListener> listeners_;
  Requirements requirements_;  // of the plan before
  std::shared_ptr<xds::Snapshot> out_;
};

Compiler::Compiler(Settings settings, std::string token)
    : state_(std::make_unique<State>(std::move(settings), std::move(token))) {}
Compiler::~Compiler() = default;
xds::SnapshotPtr Compiler::compile(const model::Plan& plan) { return state_->compile(plan); }

xds::SnapshotPtr resources(const model::Plan& plan, const Settings& settings,
                           const std::string& token) {
  return Compiler(settings, token).compile(plan);
}

}  // namespace weft::controlplane::envoy
