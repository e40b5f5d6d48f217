#include "controlplane/frontends/istio/traffic_policy.h"

namespace weft::controlplane::istio {
namespace {

using model::LoadBalancer;
using source::Field;

// A limit; 0 means none, as in Istio.
std::optional<std::uint32_t> limit(const Field& field) {
  const auto value = static_cast<std::uint32_t>(field.integer(0, INT32_MAX));
  return value == 0 ? std::nullopt : std::optional(value);
}

std::optional<std::uint32_t> seconds(const Field& field) {
  const auto value = read::duration(field, model::Milliseconds(1000));
  if (!value) return std::nullopt;
  return static_cast<std::uint32_t>(
      std::chrono::duration_cast<std::chrono::seconds>(*value).count());
}

LoadBalancer::Kind simple(const Field& field) {
  const std::string text = field.string("UNSPECIFIED");
  if (text == "ROUND_ROBIN") return LoadBalancer::Kind::kRoundRobin;
  if (text == "RANDOM") return LoadBalancer::Kind::kRandom;
  if (text == "PASSTHROUGH") return LoadBalancer::Kind::kPassthrough;
  if (text != "UNSPECIFIED" && text != "LEAST_REQUEST" && text != "LEAST_CONN")
    field.refuse("must be LEAST_REQUEST, ROUND_ROBIN, RANDOM or PASSTHROUGH");
  return LoadBalancer::Kind::kLeastRequest;
}

void consistent_hash(const Field& field, read::Notes& notes, LoadBalancer& out) {
  using From = model::HashKey::From;
  field.only({"httpHeaderName", "httpCookie", "useSourceIp", "httpQueryParameterName", "ringHash",
              "maglev", "minimumRingSize"});
  const Field header = field["httpHeaderName"], cookie = field["httpCookie"],
              address = field["useSourceIp"], query = field["httpQueryParameterName"];
  const int given =
      int{header.present()} + int{cookie.present()} + int{address.present()} + int{query.present()};
  if (given != 1)
    field.refuse(
        "must have one of httpHeaderName, httpCookie, useSourceIp, httpQueryParameterName");
  model::HashKey key;
  if (header.present()) {
    key = {.from = From::kHeader, .name = read::lower(header.string())};
    if (!read::is_header_name(key.name)) header.refuse("must be a header's name");
  } else if (cookie.present()) {
    cookie.only({"name", "path", "ttl", "attributes"});
    key = {.from = From::kCookie, .name = cookie["name"].string(), .path = cookie["path"].string()};
    if (key.name.empty()) cookie["name"].refuse("is required");
    if (const auto ttl = read::duration(cookie["ttl"]))
      key.ttl = std::chrono::duration_cast<std::chrono::seconds>(*ttl);
    notes.beyond(cookie["attributes"], "the cookie is set without them");
  } else if (query.present()) {
    key = {.from = From::kQuery, .name = query.string()};
  } else if (!address.boolean()) {
    address.refuse("must be true");
  }
  out.hash = std::move(key);
  out.kind = LoadBalancer::Kind::kRingHash;
  const Field ring = field["ringHash"], maglev = field["maglev"], old = field["minimumRingSize"];
  ring.only({"minimumRingSize"});
  maglev.only({"tableSize"});
  if (ring.present() && maglev.present()) maglev.refuse("cannot be set together with ringHash");
  notes.warn(old, "deprecated: use ringHash.minimumRingSize");
  constexpr std::int64_t kRingMax = 8 * 1024 * 1024;  // Envoy's
  if (old.present()) out.ring_size = static_cast<std::uint64_t>(old.integer(1, kRingMax, 1024));
  if (ring["minimumRingSize"].present())
    out.ring_size = static_cast<std::uint64_t>(ring["minimumRingSize"].integer(1, kRingMax, 1024));
  if (maglev.present()) {
    out.kind = LoadBalancer::Kind::kMaglev;
    out.ring_size = static_cast<std::uint64_t>(maglev["tableSize"].integer(1, 5'000'011, 65537));
  }
}

LoadBalancer load_balancer(const Field& field, read::Notes& notes) {
  field.only({"simple", "consistentHash", "localityLbSetting", "warmupDurationSecs", "warmup"});
  LoadBalancer out;
  if (field["simple"].present() && field["consistentHash"].present())
    field["consistentHash"].refuse("cannot be set together with simple");
  out.kind = simple(field["simple"]);
  if (field["consistentHash"].present()) consistent_hash(field["consistentHash"], notes, out);
  const Field warmup = field["warmup"], old = field["warmupDurationSecs"];
  warmup.only({"duration", "minimumPercent", "aggression"});
  notes.warn(old, "deprecated: use warmup.duration");
  if (warmup.present() && old.present()) old.refuse("cannot be set together with warmup");
  out.warmup = read::duration(old, model::Milliseconds(1));
  if (warmup.present()) {
    if (!warmup["duration"].present()) warmup["duration"].refuse("is required");
    out.warmup = read::duration(warmup["duration"], model::Milliseconds(1));
  }
  notes.beyond(warmup["minimumPercent"], "10 is used");
  notes.beyond(warmup["aggression"], "1 is used");
  notes.beyond(field["localityLbSetting"], "preferring localities");
  return out;
}

model::ConnectionPool connection_pool(const Field& field, read::Notes& notes) {
  field.only({"tcp", "http"});
  const Field tcp = field["tcp"], http = field["http"];
  tcp.only(
      {"maxConnections", "connectTimeout", "tcpKeepalive", "maxConnectionDuration", "idleTimeout"});
  http.only({"http1MaxPendingRequests", "http2MaxRequests", "maxRequestsPerConnection",
             "maxRetries", "idleTimeout", "h2UpgradePolicy", "useClientProtocol",
             "maxConcurrentStreams"});
  model::ConnectionPool out;
  out.connections_max = limit(tcp["maxConnections"]);
  out.connect_timeout = read::duration(tcp["connectTimeout"], model::Milliseconds(1));
  out.connection_duration_max =
      read::duration(tcp["maxConnectionDuration"], model::Milliseconds(1));
  notes.beyond(tcp["idleTimeout"], "connections of TCP are not closed for being idle");
  if (const Field keepalive = tcp["tcpKeepalive"]; keepalive.present()) {
    keepalive.only({"probes", "time", "interval"});
    out.keepalive = model::ConnectionPool::Keepalive{.probes = limit(keepalive["probes"]),
                                                     .time_s = seconds(keepalive["time"]),
                                                     .interval_s = seconds(keepalive["interval"])};
  }
  out.pending_max = limit(http["http1MaxPendingRequests"]);
  out.requests_max = limit(http["http2MaxRequests"]);
  out.requests_per_connection_max = limit(http["maxRequestsPerConnection"]);
  out.retries_max = limit(http["maxRetries"]);
  out.idle_timeout = read::duration(http["idleTimeout"]);
  const std::string upgrade = http["h2UpgradePolicy"].string("DEFAULT");
  if (upgrade == "UPGRADE") {
    out.http2_upgrade = true;
  } else if (upgrade == "DO_NOT_UPGRADE") {
    out.http2_upgrade = false;
  } else if (upgrade != "DEFAULT") {
    http["h2UpgradePolicy"].refuse("must be DEFAULT, UPGRADE or DO_NOT_UPGRADE");
  }
  notes.beyond(http["useClientProtocol"], "the port's protocol decides");
  notes.beyond(http["maxConcurrentStreams"], "the peer's limit decides");
  return out;
}

model::OutlierDetection outlier_detection(const Field& field, read::Notes& notes) {
  field.only({"consecutiveErrors", "splitExternalLocalOriginErrors",
              "consecutiveLocalOriginFailures", "consecutiveGatewayErrors", "consecutive5xxErrors",
              "interval", "baseEjectionTime", "maxEjectionPercent", "minHealthPercent"});
  model::OutlierDetection out{.consecutive_5xx = 5};
  auto count = [&](const char* name) -> std::optional<std::uint32_t> {
    if (!field[name].present()) return std::nullopt;
    return static_cast<std::uint32_t>(field[name].integer(0, INT32_MAX));
  };
  notes.warn(field["consecutiveErrors"],
             "deprecated: stands for consecutive5xxErrors and consecutiveGatewayErrors");
  if (const auto old = count("consecutiveErrors"))
    out.consecutive_5xx = out.consecutive_gateway_errors = old;
  if (const auto given = count("consecutive5xxErrors")) out.consecutive_5xx = given;
  if (const auto given = count("consecutiveGatewayErrors")) out.consecutive_gateway_errors = given;
  out.consecutive_local_failures = count("consecutiveLocalOriginFailures");
  if (field["splitExternalLocalOriginErrors"].present())
    out.split_local_errors = field["splitExternalLocalOriginErrors"].boolean();
  constexpr model::Milliseconds kLeast(1);
  out.interval = read::duration(field["interval"], kLeast).value_or(out.interval);
  out.base_ejection = read::duration(field["baseEjectionTime"], kLeast).value_or(out.base_ejection);
  const auto ejected = static_cast<std::uint32_t>(field["maxEjectionPercent"].integer(0, 100));
  if (ejected > 0) out.ejection_max_percent = ejected;
  out.healthy_min_percent = static_cast<std::uint32_t>(field["minHealthPercent"].integer(0, 100));
  return out;
}

model::ClientTls client_tls(const Field& field, read::Notes& notes) {
  using Mode = model::ClientTls::Mode;
  field.only({"mode", "clientCertificate", "privateKey", "caCertificates", "credentialName",
              "subjectAltNames", "sni", "insecureSkipVerify", "caCrl"});
  model::ClientTls out;
  const std::string mode = field["mode"].string("DISABLE");
  if (mode == "SIMPLE") {
    out.mode = Mode::kSimple;
  } else if (mode == "MUTUAL") {
    out.mode = Mode::kMutual;
  } else if (mode == "ISTIO_MUTUAL") {
    out.mode = Mode::kIstioMutual;
  } else if (mode != "DISABLE") {
    field["mode"].refuse("must be DISABLE, SIMPLE, MUTUAL or ISTIO_MUTUAL");
  }
  for (const char* name : {"clientCertificate", "privateKey", "caCertificates", "caCrl"}) {
    if (field[name].present())
      field[name].refuse("a file is not there in a shared proxy: use credentialName");
  }
  if (out.mode == Mode::kIstioMutual)
    notes.warn(field["mode"], "nothing to do: the mesh's connections are mTLS already");
  out.sni = field["sni"].string();
  out.credential_name = field["credentialName"].string();
  out.san = field["subjectAltNames"].strings();
  out.skip_verify = field["insecureSkipVerify"].boolean();
  if (out.mode == Mode::kMutual && out.credential_name.empty())
    field["credentialName"].refuse("is required for MUTUAL");
  if (out.mode != Mode::kMutual && out.mode != Mode::kSimple)
    notes.warn(field["credentialName"], "ignored: only SIMPLE and MUTUAL use one");
  return out;
}

model::RetryBudget retry_budget(const Field& field) {
  field.only({"percent", "minRetryConcurrency"});
  model::RetryBudget out;
  if (field["percent"].present()) out.ppm = read::percent(field["percent"]);
  const Field least = field["minRetryConcurrency"];
  if (least.present())
    out.concurrency_min = static_cast<std::uint32_t>(least.integer(0, UINT32_MAX));
  return out;
}

model::TrafficPolicy blocks(const Field& field, read::Notes& notes) {
  model::TrafficPolicy out;
  if (field["loadBalancer"].present())
    out.load_balancer = load_balancer(field["loadBalancer"], notes);
  if (field["connectionPool"].present()) out.pool = connection_pool(field["connectionPool"], notes);
  if (field["outlierDetection"].present())
    out.outlier = outlier_detection(field["outlierDetection"], notes);
  if (field["tls"].present()) out.tls = client_tls(field["tls"], notes);
  return out;
}

}  // namespace

TrafficPolicies traffic_policies(const Field& field, read::Notes& notes) {
  field.only({"loadBalancer", "connectionPool", "outlierDetection", "tls", "portLevelSettings",
              "tunnel", "proxyProtocol", "retryBudget"});
  TrafficPolicies out{.all = blocks(field, notes), .ports = {}};
  for (const Field& one : field["portLevelSettings"].list()) {
    one.only({"port", "loadBalancer", "connectionPool", "outlierDetection", "tls"});
    one["port"].only({"number"});
    if (!one["port"]["number"].present()) one["port"]["number"].refuse("is required");
    const std::uint16_t port = one["port"]["number"].port();
    if (out.ports.contains(port)) one["port"]["number"].refuse("is there twice");
    out.ports[port] = blocks(one, notes);
  }
  notes.beyond(field["tunnel"], "tunnels of TCP over HTTP");
  notes.beyond(field["proxyProtocol"], "a PROXY header to the endpoints");
  if (field["retryBudget"].present()) out.all.retry_budget = retry_budget(field["retryBudget"]);
  return out;
}

}  // namespace weft::controlplane::istio
