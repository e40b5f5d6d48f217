#include "controlplane/deploy/envoy.h"

#include <nlohmann/json.hpp>

#include "base/net.h"

namespace weft::controlplane::deploy {
namespace {

using nlohmann::json;

constexpr const char* kDirectory = "/etc/weft-envoy";
constexpr std::uint32_t kUser = 1337;

// A list of one. (A braced json in a braced list may be taken for a copy.)
json only(json element) {
  json list = json::array();
  list.push_back(std::move(element));
  return list;
}

json socket_address(const std::string& address, std::uint16_t port) {
  return {{"socket_address", {{"address", address}, {"port_value", port}}}};
}

json typed(const char* type, json config) {
  config["@type"] = std::string("type.googleapis.com/") + type;
  return config;
}

json one_endpoint(const std::string& name, const json& address) {
  return {{"cluster_name", name},
          {"endpoints", only({{"lb_endpoints", only({{"endpoint", {{"address", address}}}})}})}};
}

// Discovery and access logs: TLS, the server must be the control plane.
json server_cluster(const EnvoySettings& settings) {
  const auto address = SocketAddress::parse(settings.server);
  // From a file that is replaced when the roots rotate; Envoy watches it.
  const json validation = {
      {"name", "roots"},
      {"sds_config",
       {{"resource_api_version", "V3"},
        {"path_config_source", {{"path", std::string(kDirectory) + "/roots.json"}}}}}};
  const json tls = typed("envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
                         {{"sni", settings.server_name},
                          {"common_tls_context",
                           {{"alpn_protocols", only("h2")},
                            {"tls_params",
                             {{"tls_minimum_protocol_version", "TLSv1_3"},
                              {"tls_maximum_protocol_version", "TLSv1_3"}}},
                            {"validation_context_sds_secret_config", validation}}}});
  const json http2 =
      typed("envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            {{"explicit_http_config",
              {{"http2_protocol_options",
                {{"connection_keepalive", {{"interval", "10s"}, {"timeout", "5s"}}}}}}}});
  return {{"name", "weft-xds"},
          {"type", "STATIC"},
          {"connect_timeout", "1s"},
          {"load_assignment",
           one_endpoint("weft-xds", socket_address(address ? address->ip.str() : settings.server,
                                                   address ? address->port : 15012))},
          {"transport_socket", {{"name", "envoy.transport_sockets.tls"}, {"typed_config", tls}}},
          {"typed_extension_protocol_options",
           {{"envoy.extensions.upstreams.http.v3.HttpProtocolOptions", http2}}}};
}

// A port that answers one path with what the admin interface has there.
json admin_listener(const char* name, std::uint16_t port, const char* path,
                    const char* admin_path) {
  const json route = {{"match", {{"path", path}}},
                      {"route", {{"cluster", "weft-admin"}, {"prefix_rewrite", admin_path}}}};
  const json manager =
      typed("envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            {{"stat_prefix", name},
             {"route_config",
              {{"virtual_hosts",
                only({{"name", name}, {"domains", only("*")}, {"routes", only(route)}})}}},
             {"http_filters",
              only({{"name", "envoy.filters.http.router"},
                    {"typed_config",
                     typed("envoy.extensions.filters.http.router.v3.Router", json::object())}})}});
  json address = socket_address("::", port);
  address["socket_address"]["ipv4_compat"] = true;
  return {{"name", name},
          {"address", address},
          {"ignore_global_conn_limit", true},
          {"filter_chains",
           only({{"filters", only({{"name", "envoy.filters.network.http_connection_manager"},
                                   {"typed_config", manager}})}})}};
}

// The file that `validation` above names.
std::string roots_file(const EnvoySettings& settings) {
  const json context = {
      {"trusted_ca", {{"inline_string", settings.roots_pem}}},
      {"match_typed_subject_alt_names",
       only({{"san_type", "DNS"}, {"matcher", {{"exact", settings.server_name}}}})}};
  return json({{"resources", only(typed("envoy.extensions.transport_sockets.tls.v3.Secret",
                                        {{"name", "roots"}, {"validation_context", context}}))}})
      .dump(1);
}

json metadata(const Envoy& envoy, const std::string& name) {
  return {{"name", name},
          {"namespace", envoy.ns},
          {"labels", {{kManagedBy, kManager}, {kGatewayNameLabel, envoy.name}}}};
}

std::string base64(const std::string& text) {
  static constexpr char kAlphabet[] =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  std::uint32_t bits = 0;
  int held = 0;
  for (const unsigned char byte : text) {
    bits = (bits << 8) | byte;
    for (held += 8; held >= 6; held -= 6) out += kAlphabet[(bits >> (held - 6)) & 63];
  }
  if (held > 0) out += kAlphabet[(bits << (6 - held)) & 63];
  while (out.size() % 4 != 0) out += '=';
  return out;
}

json pod_labels(const Envoy& envoy) {
  json labels = json::object();
  for (const auto& [key, value] : envoy.pod_labels) labels[key] = value;
  labels[kManagedBy] = kManager;
  labels[kGatewayNameLabel] = envoy.name;
  labels[envoy.gateway ? kGatewayLabel : kWaypointLabel] = envoy.name;
  labels["weft.dev/mesh"] = "enabled";
  labels["app.kubernetes.io/name"] = envoy.gateway ? "gateway" : "waypoint";
  return labels;
}

// Ends connections with their next answers and waits until none is left, a second before the grace
// is over at the latest. Envoy's administration takes changes only by POST and on the loopback.
std::string drain_script(std::uint32_t seconds) {
  return "ask() { exec 3<>/dev/tcp/127.0.0.1/15000 || return; printf '%s HTTP/1.1\\r\\nhost: "
         "a\\r\\ncontent-length: 0\\r\\nconnection: close\\r\\n\\r\\n' \"$1\" >&3; cat <&3; exec "
         "3>&-; }\n"
         "ask 'POST /healthcheck/fail' >/dev/null\n"
         "ask 'POST /drain_listeners?graceful' >/dev/null\n"
         "for ((left = " +
         std::to_string(seconds) +
         "; left > 0; left--)); do\n"
         "  sleep 1\n"
         "  case $(ask 'GET /stats?filter=^listener[.][^a].*downstream_cx_active$') in\n"
         "    *'active: '[1-9]*) ;;\n"
         "    *) break ;;\n"
         "  esac\n"
         "done\n";
}

json pod_spec(const Envoy& envoy, const EnvoySettings& settings) {
  const std::string drain = std::to_string(settings.drain_seconds);
  const json container = {
      {"name", "envoy"},
      {"image", settings.image},
      {"command", only("envoy")},
      {"args",
       {"-c", std::string(kDirectory) + "/bootstrap.json", "--log-level", "warning",
        "--component-log-level", "misc:error", "--concurrency",
        std::to_string(settings.concurrency), "--drain-time-s", drain, "--drain-strategy",
        "immediate", "--disable-hot-restart"}},
      {"volumeMounts", only({{"name", "config"}, {"mountPath", kDirectory}, {"readOnly", true}})},
      {"securityContext",
       {{"allowPrivilegeEscalation", false},
        {"readOnlyRootFilesystem", true},
        {"runAsNonRoot", true},
        {"capabilities", {{"drop", only("ALL")}}}}},
      {"lifecycle",
       {{"preStop",
         {{"exec", {{"command", {"/bin/bash", "-c", drain_script(settings.drain_seconds)}}}}}}}},
      {"ports", only({{"name", "status-port"}, {"containerPort", kReadyPort}})},
      {"readinessProbe",
       {{"httpGet", {{"path", "/healthz/ready"}, {"port", kReadyPort}}},
        {"periodSeconds", 1},
        {"failureThreshold", 3}}},
      {"resources",
       {{"requests", {{"cpu", "100m"}, {"memory", "128Mi"}}}, {"limits", {{"memory", "1Gi"}}}}}};
  return {
      {"serviceAccountName", envoy.name},
      {"terminationGracePeriodSeconds", settings.drain_seconds + 5},
      {"securityContext", {{"runAsUser", kUser}, {"runAsGroup", kUser}, {"fsGroup", kUser}}},
      {"containers", only(container)},
      {"volumes", only({{"name", "config"}, {"secret", {{"secretName", envoy.name + "-envoy"}}}})}};
}

json service_ports(const Envoy& envoy) {
  json ports = json::array();
  if (!envoy.gateway)
    ports.push_back({{"name", "mesh"}, {"port", 15008}, {"appProtocol", "hbone"}});
  for (const ServicePort& port : envoy.ports)
    ports.push_back({{"name", port.name}, {"port", port.port}});
  ports.push_back({{"name", "status-port"}, {"port", kReadyPort}, {"appProtocol", "tcp"}});
  return ports;
}

}  // namespace

std::string bootstrap(const Envoy& envoy, const EnvoySettings& settings) {
  const json ads = {{"resource_api_version", "V3"}, {"ads", json::object()}};
  const json server = {
      {"envoy_grpc",
       {{"cluster_name", "weft-xds"},
        // A restarted control plane waits a little for those who were there before (app.cc).
        {"retry_policy",
         {{"retry_back_off", {{"base_interval", "0.1s"}, {"max_interval", "1s"}}}}}}},
      {"initial_metadata", only({{"key", "authorization"}, {"value", "Bearer " + envoy.token}})}};
  json out = {
      // Zipkin's name of the service whose spans these are.
      {"node", {{"id", envoy.id}, {"cluster", envoy.name + "." + envoy.ns}}},
      {"admin", {{"address", socket_address("127.0.0.1", 15000)}}},
      {"dynamic_resources",
       {{"lds_config", ads},
        {"cds_config", ads},
        {"ads_config",
         {{"api_type", "DELTA_GRPC"},
          {"transport_api_version", "V3"},
          {"set_node_on_first_message_only", true},
          {"grpc_services", only(server)}}}}},
      {"static_resources",
       {{"clusters",
         {server_cluster(settings),
          {{"name", "weft-admin"},
           {"type", "STATIC"},
           {"load_assignment", one_endpoint("weft-admin", socket_address("127.0.0.1", 15000))}}}},
        {"listeners",
         {admin_listener("weft-ready", kReadyPort, "/healthz/ready", "/ready"),
          admin_listener("weft-metrics", kEnvoyMetricsPort, "/stats/prometheus",
                         "/stats/prometheus")}}}},
      {"layered_runtime",
       {{"layers", only({{"name", "weft"},
                         {"static_layer", {{"re2.max_program_size.error_level", 32768}}}})}}}};
  return out.dump(1);
}

std::vector<json> manifests(const Envoy& envoy, const EnvoySettings& settings) {
  json account = {
      {"apiVersion", "v1"}, {"kind", "ServiceAccount"}, {"metadata", metadata(envoy, envoy.name)}};
  json secret = {{"apiVersion", "v1"},
                 {"kind", "Secret"},
                 {"metadata", metadata(envoy, envoy.name + "-envoy")},
                 {"type", "Opaque"},
                 {"data",
                  {{"bootstrap.json", base64(bootstrap(envoy, settings))},
                   {"roots.json", base64(roots_file(settings))}}}};
  const json selector = {{kGatewayNameLabel, envoy.name}};
  json deployment = {
      {"apiVersion", "apps/v1"},
      {"kind", "Deployment"},
      {"metadata", metadata(envoy, envoy.name)},
      {"spec",
       {{"replicas", envoy.replicas},
        {"selector", {{"matchLabels", selector}}},
        {"strategy",
         {{"type", "RollingUpdate"}, {"rollingUpdate", {{"maxSurge", 1}, {"maxUnavailable", 0}}}}},
        {"template",
         {{"metadata", {{"labels", pod_labels(envoy)}}}, {"spec", pod_spec(envoy, settings)}}}}}};
  json service = {{"apiVersion", "v1"},
                  {"kind", "Service"},
                  {"metadata", metadata(envoy, envoy.name)},
                  {"spec",
                   {{"type", envoy.gateway ? "LoadBalancer" : "ClusterIP"},
                    {"selector", selector},
                    {"ipFamilyPolicy", "PreferDualStack"},
                    {"ports", service_ports(envoy)}}}};
  return {std::move(account), std::move(secret), std::move(deployment), std::move(service)};
}

}  // namespace weft::controlplane::deploy
