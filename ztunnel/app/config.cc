#include "ztunnel/app/config.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

namespace weft::app {
namespace {

constexpr std::uint32_t kThreadsMax = 31;  // a pod's listeners of all loops travel in one message: 8 kinds, 253 descriptors

struct Variable {
  const char* name;
  const char* fallback;
  const char* meaning;
};

constexpr std::array kVariables = {
    Variable{"NODE_NAME", "", "this node's name; needed"},
    Variable{"POD_NAME", "weft-ztunnel", "this pod's name"},
    Variable{"POD_NAMESPACE", "weft-system", "this pod's namespace"},
    Variable{"INSTANCE_IP", "1.1.1.1", "this pod's address"},
    Variable{"CLUSTER_ID", "Kubernetes", "also ISTIO_META_CLUSTER_ID"},
    Variable{"CLUSTER_DOMAIN", "cluster.local", "DNS domain of the cluster"},
    Variable{"TRUST_DOMAIN", "cluster.local", "SPIFFE trust domain"},
    Variable{"NETWORK", "", "the network this node is in"},
    Variable{"INPOD_UDS", "/var/run/ztunnel/ztunnel.sock", "the agent's socket"},
    Variable{"XDS_ADDRESS", "https://weft-controlplane.weft-system.svc:15012",
             "control plane; http:// for plain text"},
    Variable{"CA_ADDRESS", "https://weft-controlplane.weft-system.svc:15012",
             "certificate authority"},
    Variable{"XDS_ROOT_CA", "./var/run/secrets/istio/root-cert.pem",
             "PEM file, literal PEM or SYSTEM"},
    Variable{"CA_ROOT_CA", "./var/run/secrets/istio/root-cert.pem",
             "PEM file (watched), literal PEM or SYSTEM"},
    Variable{"ALT_XDS_HOSTNAME", "", "name to verify instead of XDS_ADDRESS's host"},
    Variable{"ALT_CA_HOSTNAME", "", "name to verify instead of CA_ADDRESS's host"},
    Variable{"AUTH_TOKEN", "./var/run/secrets/tokens/istio-token",
             "bearer token file, read at each call; \"\" for none"},
    Variable{"XDS_ON_DEMAND", "false", "ask the control plane only for what connections need"},
    Variable{"SECRET_TTL", "24h", "life of the certificates that are asked for"},
    Variable{"WEFT_STATE_DIR", "",
             "directory (tmpfs) for the last good state and certificates; \"\" for none"},
    Variable{"ZTUNNEL_WORKER_THREADS", "",
             "loops: a number, a percentage of the CPUs, 0 for all; default max(2, 25%)"},
    Variable{"WEFT_IO", "auto", "auto, uring or epoll"},
    Variable{"WEFT_LOG_LEVEL", "info", "error, warn, info, debug, trace, off; also RUST_LOG"},
    Variable{"LOG_FORMAT", "plain", "plain or json"},
    Variable{"TERMINATION_GRACE_PERIOD_SECONDS", "30",
             "how long connections may go on after SIGTERM"},
    Variable{"ISTIO_META_DNS_CAPTURE", "", "answer DNS; default true, false with XDS_ON_DEMAND"},
    Variable{"WEFT_DNS_UPSTREAM", "",
             "address:port of the cluster's DNS server, or auto: the first of /etc/resolv.conf"},
    Variable{"WEFT_ADMIN_ADDR", "127.0.0.1:15000", "admin"},
    Variable{"WEFT_METRICS_ADDR", "0.0.0.0:15020", "metrics"},
    Variable{"WEFT_READY_ADDR", "0.0.0.0:15021", "readiness"},
    Variable{"WEFT_READY_SOCKET", "",
             "Unix socket for readiness, of this process whoever has the address; \"\" for none"},
    Variable{"WEFT_TAKE_OVER", "false",
             "another ztunnel of this node may still be there: its addresses are waited for, and "
             "the agent is greeted when this one can serve"},
};

// Reads variables, and collects what is wrong with them.
class Reader {
 public:
  explicit Reader(const Environment& environment) : environment_(environment) {}

  bool has(const std::string& name) const { return environment_.contains(name); }

  std::string text(const std::string& name) const {
    if (const auto it = environment_.find(name); it != environment_.end()) return it->second;
    const auto known = std::find_if(kVariables.begin(), kVariables.end(), [&](const Variable& v) { return v.name == name; });
    return known == kVariables.end() ? "" : known->fallback;
  }

  template <class Value, class Parse>
  Value value(const std::string& name, Parse parse, const char* wanted) {
    const auto given = text(name);
    if (const auto parsed = parse(given)) return *parsed;
    complain(name, given, wanted);
    return {};
  }

  std::string word(const std::string& name, std::initializer_list<std::string_view> allowed, const char* wanted) {
    const auto given = text(name);
    if (std::find(allowed.begin(), allowed.end(), given) == allowed.end()) complain(name, given, wanted);
    return given;
  }

  void complain(const std::string& name, const std::string& given, const char* wanted) {
    if (!errors_.empty()) errors_ += '\n';
    errors_ += fmt::format("{}=\"{}\": {}", name, given, wanted);
  }

  std::map<std::string, std::string> with_prefix(std::string_view prefix) const {
    std::map<std::string, std::string> out;
    for (const auto& [name, given] : environment_) {
      if (name.starts_with(prefix) && name.size() > prefix.size()) out.emplace(name.substr(prefix.size()), given);
    }
    return out;
  }

  const std::string& errors() const { return errors_; }

 private:
  const Environment& environment_;
  std::string errors_;
};

template <class Number>
std::optional<Number> parse_number(std::string_view text) {
  Number out{};
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), out);
  if (text.empty() || parsed.ec != std::errc() || parsed.ptr != text.data() + text.size()) return std::nullopt;
  return out;
}

std::optional<bool> parse_bool(std::string_view text) {
  if (text == "true" || text == "1") return true;
  if (text == "false" || text == "0") return false;
  return std::nullopt;
}

std::optional<std::uint32_t> parse_threads(std::string_view text, unsigned cpus) {
  if (text.empty()) return std::min(std::max(2u, cpus / 4), kThreadsMax);
  const bool percent = text.ends_with('%');
  if (percent) text.remove_suffix(1);
  const auto number = parse_number<std::uint32_t>(text);
  if (!number) return std::nullopt;
  if (percent) return *number > 100 ? std::nullopt : std::optional(std::clamp(cpus * *number / 100, 1u, kThreadsMax));
  if (*number > kThreadsMax) return std::nullopt;
  return *number == 0 ? std::clamp(cpus, 1u, kThreadsMax) : *number;
}

bool is_remote(std::string_view address) {
  const auto scheme = address.find("://");
  if (scheme != std::string_view::npos) {
    const auto word = address.substr(0, scheme);
    if (word != "http" && word != "https") return false;
    address.remove_prefix(scheme + 3);
  }
  const auto colon = address.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return false;
  const auto port = parse_number<std::uint16_t>(address.substr(colon + 1));
  return port && *port != 0;
}

std::map<std::string, std::string> read_headers(const Reader& reader, std::string_view prefix) {
  std::map<std::string, std::string> out;
  for (const auto& [name, value] : reader.with_prefix(prefix)) {
    std::string lower = name;
    std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return std::tolower(c); });
    out.emplace(lower, value);
  }
  return out;
}

Remote read_remote(Reader& reader, const std::string& prefix) {
  Remote out;
  out.address = reader.text(prefix + "_ADDRESS");
  if (!is_remote(out.address)) reader.complain(prefix + "_ADDRESS", out.address, "wanted https://host:port");
  out.root = reader.text(prefix + "_ROOT_CA");
  out.alt_name = reader.text("ALT_" + prefix + "_HOSTNAME");
  out.headers = read_headers(reader, prefix + "_HEADER_");
  return out;
}

void read_identity(Reader& reader, Config& out) {
  out.node_name = reader.text("NODE_NAME");
  if (out.node_name.empty()) reader.complain("NODE_NAME", "", "wanted the name of this node");
  out.pod_name = reader.text("POD_NAME");
  out.pod_namespace = reader.text("POD_NAMESPACE");
  out.instance_ip = reader.text("INSTANCE_IP");
  if (!IpAddress::parse(out.instance_ip)) reader.complain("INSTANCE_IP", out.instance_ip, "wanted an IP address");
  out.cluster_id = reader.has("CLUSTER_ID") || !reader.has("ISTIO_META_CLUSTER_ID") ? reader.text("CLUSTER_ID")
                                                                                    : reader.text("ISTIO_META_CLUSTER_ID");
  out.cluster_domain = reader.text("CLUSTER_DOMAIN");
  out.trust_domain = reader.text("TRUST_DOMAIN");
  if (out.trust_domain.empty()) reader.complain("TRUST_DOMAIN", "", "wanted a trust domain");
  out.network = reader.text("NETWORK");
  out.metadata = reader.with_prefix("ISTIO_META_");
  out.metadata["CLUSTER_ID"] = out.cluster_id;
  out.metadata_json = reader.with_prefix("ISTIO_METAJSON_");
}

void read_dns(Reader& reader, Config& out) {
  out.dns_capture = !out.on_demand;
  if (reader.has("ISTIO_META_DNS_CAPTURE")) {
    out.dns_capture = reader.value<bool>("ISTIO_META_DNS_CAPTURE", parse_bool, "wanted true or false");
    if (out.dns_capture && out.on_demand) {
      reader.complain("ISTIO_META_DNS_CAPTURE", "true", "DNS needs all services: not with XDS_ON_DEMAND");
    }
  }
  if (!reader.text("WEFT_DNS_UPSTREAM").empty()) {
    out.dns_upstream = reader.value<SocketAddress>("WEFT_DNS_UPSTREAM", SocketAddress::parse, "wanted address:port");
  }
}

}  // namespace

std::optional<std::chrono::seconds> parse_duration(std::string_view text) {
  if (const auto bare = parse_number<std::uint32_t>(text)) return std::chrono::seconds(*bare);
  std::uint64_t total_ms = 0;
  if (text.empty()) return std::nullopt;
  while (!text.empty()) {
    std::uint32_t number = 0;
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
    if (parsed.ec != std::errc()) return std::nullopt;
    text.remove_prefix(static_cast<std::size_t>(parsed.ptr - text.data()));
    std::uint64_t unit_ms = 0;
    if (text.starts_with("ms")) {
      unit_ms = 1;
      text.remove_prefix(1);
    } else if (text.starts_with('s')) {
      unit_ms = 1000;
    } else if (text.starts_with('m')) {
      unit_ms = 60'000;
    } else if (text.starts_with('h')) {
      unit_ms = 3'600'000;
    } else if (text.starts_with('d')) {
      unit_ms = 86'400'000;
    }
    if (unit_ms == 0) return std::nullopt;
    text.remove_prefix(1);
    total_ms += number * unit_ms;
  }
  return std::chrono::seconds((total_ms + 999) / 1000);
}

Maxima maxima_of(std::uint64_t files, std::uint32_t threads) {
  constexpr std::uint64_t kConnectionsMost = 32768, kPooledMost = 8192;
  const std::uint64_t a_loop = files / threads;
  return {.connections = std::clamp<std::uint64_t>((a_loop - a_loop / 4) / 2, 1, kConnectionsMost),
          .pooled_sockets = std::min(a_loop / 8, kPooledMost)};
}

Parsed<Config> parse_config(const Environment& environment, unsigned cpus) {
  Reader reader(environment);
  Config out;
  read_identity(reader, out);
  out.agent_socket = reader.text("INPOD_UDS");
  if (!out.agent_socket.starts_with('/')) reader.complain("INPOD_UDS", out.agent_socket, "wanted an absolute path");
  out.xds = read_remote(reader, "XDS");
  out.ca = read_remote(reader, "CA");
  out.token = reader.text("AUTH_TOKEN");
  out.on_demand = reader.value<bool>("XDS_ON_DEMAND", parse_bool, "wanted true or false");
  out.secret_ttl = reader.value<std::chrono::seconds>("SECRET_TTL", parse_duration, "wanted a duration such as 24h or 20s");
  if (out.secret_ttl == std::chrono::seconds::zero() && reader.errors().find("SECRET_TTL") == std::string::npos) {
    reader.complain("SECRET_TTL", reader.text("SECRET_TTL"), "wanted more than nothing");
  }
  out.state_dir = reader.text("WEFT_STATE_DIR");
  if (!out.state_dir.empty() && !out.state_dir.starts_with('/')) {
    reader.complain("WEFT_STATE_DIR", out.state_dir, "wanted an absolute path");
  }
  out.threads = reader.value<std::uint32_t>(
      "ZTUNNEL_WORKER_THREADS", [cpus](std::string_view text) { return parse_threads(text, cpus); },
      "wanted 1..31, a percentage, or 0 for all CPUs");
  out.io = reader.word("WEFT_IO", {"auto", "uring", "epoll"}, "wanted auto, uring or epoll");
  const char* level = reader.has("WEFT_LOG_LEVEL") || !reader.has("RUST_LOG") ? "WEFT_LOG_LEVEL" : "RUST_LOG";
  out.log_level = reader.word(level, {"error", "warn", "info", "debug", "trace", "off"},
                              "wanted error, warn, info, debug, trace or off");
  out.log_format = reader.word("LOG_FORMAT", {"plain", "json"}, "wanted plain or json");
  out.grace = std::chrono::seconds(reader.value<std::uint32_t>("TERMINATION_GRACE_PERIOD_SECONDS",
                                                              parse_number<std::uint32_t>, "wanted a number of seconds"));
  read_dns(reader, out);
  out.admin = reader.value<SocketAddress>("WEFT_ADMIN_ADDR", SocketAddress::parse, "wanted address:port");
  out.metrics = reader.value<SocketAddress>("WEFT_METRICS_ADDR", SocketAddress::parse, "wanted address:port");
  out.ready = reader.value<SocketAddress>("WEFT_READY_ADDR", SocketAddress::parse, "wanted address:port");
  out.ready_socket = reader.text("WEFT_READY_SOCKET");
  if (!out.ready_socket.empty() && !out.ready_socket.starts_with('/'))
    reader.complain("WEFT_READY_SOCKET", out.ready_socket, "wanted an absolute path");
  out.take_over = reader.value<bool>("WEFT_TAKE_OVER", parse_bool, "wanted true or false");
  if (!reader.errors().empty()) return problem(reader.errors());
  return out;
}

std::string describe_variables() {
  std::string out;
  for (const auto& variable : kVariables) {
    out += fmt::format("  {:34} {}{}\n", variable.name, variable.meaning,
                       *variable.fallback == '\0' ? "" : fmt::format(" [{}]", variable.fallback));
  }
  return out;
}

std::map<std::string, std::string> Config::shown() const {
  return {{"nodeName", node_name},
          {"podName", pod_name},
          {"podNamespace", pod_namespace},
          {"instanceIp", instance_ip},
          {"clusterId", cluster_id},
          {"clusterDomain", cluster_domain},
          {"trustDomain", trust_domain},
          {"network", network},
          {"inpodUds", agent_socket},
          {"xdsAddress", xds.address},
          {"caAddress", ca.address},
          {"altXdsHostname", xds.alt_name},
          {"altCaHostname", ca.alt_name},
          {"xdsOnDemand", on_demand ? "true" : "false"},
          {"secretTtlSeconds", std::to_string(secret_ttl.count())},
          {"stateDir", state_dir},
          {"numWorkerThreads", std::to_string(threads)},
          {"io", io},
          {"logLevel", log_level},
          {"terminationGraceSeconds", std::to_string(grace.count())},
          {"dnsProxy", dns_capture ? "true" : "false"},
          {"dnsUpstream", dns_upstream.port == 0 ? "" : dns_upstream.str()},
          {"adminAddress", admin.str()},
          {"metricsAddress", metrics.str()},
          {"readyAddress", ready.str()},
          {"readySocket", ready_socket},
          {"takeOver", take_over ? "true" : "false"}};
}

}  // namespace weft::app
