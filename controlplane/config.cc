#include "controlplane/config.h"

#include <CLI/CLI.hpp>

#include "base/net.h"

namespace weft::controlplane {
namespace {

// "NAMESPACE/NAME", of what Kubernetes allows in both.
bool is_name_of_namespace(const std::string& text) {
  const auto slash = text.find('/');
  const auto good = [](std::string_view part) {
    return !part.empty() && part.size() <= 253 &&
           part.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-.") ==
               std::string_view::npos;
  };
  return slash != std::string::npos && good(std::string_view(text).substr(0, slash)) &&
         good(std::string_view(text).substr(slash + 1));
}

std::optional<Problem> check_tracing(Config& config, const std::string& tracing,
                                     const std::string& sampling) {
  auto parsed = mesh::parse_tracing(tracing);
  if (!parsed) return Problem{"--tracing: " + parsed.error().text};
  config.tracing = std::move(*parsed);
  const auto percent = mesh::parse_sampling(sampling);
  if (!percent) return Problem{"--tracing-sampling: " + percent.error().text};
  config.tracing.sampling_percent = *percent;
  return std::nullopt;
}

std::optional<Problem> check(Config& config, const std::string& source, const std::string& out,
                             const std::string& ttl) {
  constexpr std::string_view kFiles = "files:";
  // Not CLI11's required(): that would speak before an unknown flag is named.
  if (source.empty()) return Problem{"--source is required"};
  constexpr std::string_view kKube = "kube:";
  if (source.starts_with(kKube) && source.size() > kKube.size()) {
    config.kubeconfig = source.substr(kKube.size());
  } else if (source.starts_with(kFiles) && source.size() > kFiles.size()) {
    config.source_dir = source.substr(kFiles.size());
  } else if (source != "kube") {
    return Problem{"--source: must be files:DIR, kube or kube:KUBECONFIG, got " + source};
  }
  config.out_kube = out == "kube";
  if (config.out_kube && !config.source_dir.empty())
    return Problem{"--out: kube goes with --source=kube, got --source=" + source};
  if (!out.empty() && !config.out_kube) {
    if (!out.starts_with(kFiles) || out.size() == kFiles.size())
      return Problem{"--out: must be files:DIR or kube, got " + out};
    config.out_dir = out.substr(kFiles.size());
  }
  if (!config.state_secret.empty()) {
    if (!is_name_of_namespace(config.state_secret))
      return Problem{"--state-secret: must be NAMESPACE/NAME, got " + config.state_secret};
    if (!config.source_dir.empty()) return Problem{"--state-secret: needs --source kube"};
    if (!config.root_cert.empty())
      return Problem{"--state-secret: keeps a root of its own, not --root-cert's"};
  }
  if (!is_name_of_namespace(config.lease))
    return Problem{"--lease: must be NAMESPACE/NAME, got " + config.lease};
  for (const std::string& account : config.node_accounts) {
    if (!is_name_of_namespace(account))
      return Problem{"--node-accounts: must be NAMESPACE/NAME, got " + account};
  }
  if (config.token_audience.empty()) return Problem{"--token-audience: must not be empty"};
  const auto life = parse_duration(ttl);
  if (!life || *life < std::chrono::seconds(5) || *life > std::chrono::hours(24)) {
    return Problem{"--certificate-ttl: must be from 5s to 24h, got " + ttl};
  }
  config.certificate_ttl = *life;
  const std::pair<const char*, const std::string*> addresses[] = {
      {"--tls", &config.tls_address},
      {"--plaintext", &config.plaintext_address},
      {"--metrics", &config.metrics_address},
      {"--envoy-server", &config.envoy_server}};
  for (const auto& [flag, address] : addresses) {
    if (!address->empty() && !SocketAddress::parse(*address))
      return Problem{std::string(flag) + ": must be ADDRESS:PORT, got " + *address};
  }
  const auto plaintext = SocketAddress::parse(config.plaintext_address);
  if (plaintext && config.tokens_file.empty() && !plaintext->ip.is_loopback()) {
    return Problem{
        "--plaintext: without --tokens whoever reaches it is given any identity: must be a "
        "loopback address, got " +
        config.plaintext_address};
  }
  for (const std::string& ip : config.tls_ips) {
    if (!IpAddress::parse(ip)) return Problem{"--tls-ip: must be an IP address, got " + ip};
  }
  if (config.root_namespaces.empty()) return Problem{"--root-namespaces: at least one"};
  for (const std::string& ns : config.root_namespaces) {
    if (ns.empty()) return Problem{"--root-namespaces: must not hold an empty name"};
  }
  if (config.trust_domain.empty()) return Problem{"--trust-domain: must not be empty"};
  if (config.root_cert.empty() != config.root_key.empty())
    return Problem{"--root-cert and --root-key come together"};
  return std::nullopt;
}

}  // namespace

std::optional<std::chrono::seconds> parse_duration(const std::string& text) {
  std::chrono::seconds total{0};
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t unit = text.find_first_not_of("0123456789", at);
    if (unit == std::string::npos || unit == at || unit - at > 9) return std::nullopt;
    const long number = std::stol(text.substr(at, unit - at));
    if (text[unit] == 'h') {
      total += std::chrono::hours(number);
    } else if (text[unit] == 'm') {
      total += std::chrono::minutes(number);
    } else if (text[unit] == 's') {
      total += std::chrono::seconds(number);
    } else {
      return std::nullopt;
    }
    at = unit + 1;
  }
  if (text.empty()) return std::nullopt;
  return total;
}

Parsed<Usage> parse_flags(int argc, const char* const* argv) {
  Config config;
  std::string source, out, ttl = "24h", tracing, sampling = "1";
  CLI::App app("Weft's control plane: manifests in, xDS and certificates out.",
               "weft-controlplane");
  app.set_version_flag("--version", std::string("weft-controlplane ") + WEFT_VERSION);
  app.add_option("--source", source,
                 "Where the objects are: files:DIR, kube:KUBECONFIG, or kube (in a pod); needed");
  app.add_option("--tls", config.tls_address, "Where xDS and the CA are served with TLS")
      ->capture_default_str();
  app.add_option("--tls-ip", config.tls_ips,
                 "An IP address for the serving certificate (repeatable)");
  app.add_option("--plaintext", config.plaintext_address,
                 "Where they are served without TLS (sandboxes only)");
  app.add_option("--tokens", config.tokens_file,
                 "YAML list of {token, node}: which node a bearer token speaks for");
  app.add_option("--state-dir", config.state_dir, "The CA's keys and root-cert.pem")
      ->capture_default_str();
  app.add_option("--trust-domain", config.trust_domain, "SPIFFE trust domain")
      ->capture_default_str();
  app.add_option("--cluster-domain", config.cluster_domain, "DNS domain of services")
      ->capture_default_str();
  app.add_option("--cluster-id", config.cluster_id, "First part of every workload's uid")
      ->capture_default_str();
  app.add_option("--root-namespaces", config.root_namespaces, "Policies in these are mesh-wide")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--certificate-ttl", ttl, "Life of a workload's certificate, at most 24h")
      ->capture_default_str();
  app.add_option("--root-cert", config.root_cert, "PEM of a given root (or intermediate and root)");
  app.add_option("--root-key", config.root_key, "PEM of its key");
  app.add_option("--metrics", config.metrics_address, "Where Prometheus scrapes")
      ->capture_default_str();
  app.add_option("--api", config.api, "JSON API: a Unix socket's path, or ADDRESS:PORT")
      ->capture_default_str();
  app.add_option(
      "--out", out,
      "Where deployments and statuses are written: files:DIR (DIR/objects and DIR/status "
      "exist), or kube (to the API server of --source, by the replica that has the lease)");
  app.add_option(
      "--state-secret", config.state_secret,
      "NAMESPACE/NAME of the Secret that keeps the CA's keys (with --source kube); the roots "
      "go into the ConfigMap NAME-root-cert beside it");
  app.add_option("--lease", config.lease,
                 "NAMESPACE/NAME of the Lease that says which replica writes")
      ->capture_default_str();
  app.add_option("--replica", config.replica, "Our name in the lease, unlike every other's");
  app.add_option("--token-audience", config.token_audience,
                 "With --source=kube: the audience that a service account's token must have")
      ->capture_default_str();
  app.add_option("--node-accounts", config.node_accounts,
                 "With --source=kube: NAMESPACE/NAME of the service accounts that speak for the "
                 "node of their pod")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--envoy-server", config.envoy_server,
                 "ADDRESS:PORT of --tls as waypoints and gateways reach it");
  app.add_option("--tracing", tracing,
                 "Where waypoints and gateways send spans: zipkin://HOST:PORT[/PATH] or "
                 "otlp://HOST:PORT (gRPC); HOST is an IP address or SERVICE.NAMESPACE");
  app.add_option("--tracing-sampling", sampling,
                 "Percent of the requests that bring no trace of their own for which a trace is "
                 "begun, where no Telemetry says otherwise")
      ->capture_default_str();
  app.add_option("--log-level", config.log_level, "error, warn, info, debug, trace or off")
      ->check(CLI::IsMember({"error", "warn", "info", "debug", "trace", "off"}))
      ->capture_default_str();
  app.add_flag("--log-json", config.log_json, "One JSON object a line");
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    return Usage{.config = std::nullopt, .text = app.help()};
  } catch (const CLI::CallForVersion&) {
    return Usage{.config = std::nullopt, .text = app.version() + "\n"};
  } catch (const CLI::ParseError& error) {
    return problem(error.what());
  }
  if (auto bad = check(config, source, out, ttl)) return std::unexpected(*bad);
  if (auto bad = check_tracing(config, tracing, sampling)) return std::unexpected(*bad);
  return Usage{.config = std::move(config), .text = ""};
}

}  // namespace weft::controlplane
