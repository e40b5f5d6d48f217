#include "controlplane/telemetry/labels.h"

#include <google/protobuf/wrappers.pb.h>

#include <charconv>

#include "envoy/data/accesslog/v3/accesslog.pb.h"

namespace weft::controlplane::telemetry {
namespace {

namespace accesslog = ::envoy::data::accesslog::v3;

constexpr const char* kPeerKey = "weft.peer";
constexpr const char* kUnknown = "unknown";

std::optional<SocketAddress> address_of(const ::envoy::config::core::v3::Address& address) {
  const auto& socket = address.socket_address();
  const auto ip = IpAddress::parse(socket.address());
  if (!ip) return std::nullopt;
  return SocketAddress{*ip, static_cast<std::uint16_t>(socket.port_value())};
}

std::string or_unknown(std::string text) { return text.empty() ? kUnknown : std::move(text); }

void add_workload(Labels& out, const std::string& side, const Workload& workload) {
  out[side + "_workload"] = workload.workload;
  out[side + "_workload_namespace"] = workload.ns;
  out[side + "_app"] = workload.app;
  out[side + "_version"] = workload.version;
  out[side + "_canonical_service"] = workload.canonical_service;
  out[side + "_canonical_revision"] = workload.canonical_revision;
  out[side + "_cluster"] = workload.cluster;
}

Workload workload_at(const std::optional<SocketAddress>& address, const Directory& directory) {
  if (!address) return {};
  return directory.by_address(address->ip).value_or(Workload{});
}

Service service_of(const accesslog::AccessLogCommon& common, const Directory& directory) {
  const std::string host = host_of_cluster(common.upstream_cluster());
  if (!host.empty()) {
    if (auto known = directory.service_by_host(host)) return *known;
    return {.host = host, .name = host, .ns = kUnknown};
  }
  const auto local = address_of(common.downstream_local_address());
  if (local) {
    if (auto known = directory.service_at(*local)) return *known;
  }
  return {};
}

}  // namespace

std::string flags_of(const accesslog::ResponseFlags& flags) {
  std::string out;
  const auto add = [&out](bool set, const char* name) {
    if (set) out += (out.empty() ? "" : ",") + std::string(name);
  };
  add(flags.failed_local_healthcheck(), "LH");
  add(flags.no_healthy_upstream(), "UH");
  add(flags.upstream_request_timeout(), "UT");
  add(flags.local_reset(), "LR");
  add(flags.upstream_remote_reset(), "UR");
  add(flags.upstream_connection_failure(), "UF");
  add(flags.upstream_connection_termination(), "UC");
  add(flags.upstream_overflow(), "UO");
  add(flags.no_route_found(), "NR");
  add(flags.delay_injected(), "DI");
  add(flags.fault_injected(), "FI");
  add(flags.rate_limited(), "RL");
  add(flags.has_unauthorized_details(), "UAEX");
  add(flags.rate_limit_service_error(), "RLSE");
  add(flags.downstream_connection_termination(), "DC");
  add(flags.upstream_retry_limit_exceeded(), "URX");
  add(flags.stream_idle_timeout(), "SI");
  add(flags.invalid_envoy_request_headers(), "IH");
  add(flags.downstream_protocol_error(), "DPE");
  add(flags.upstream_max_stream_duration_reached(), "UMSDR");
  add(flags.response_from_cache_filter(), "RFCF");
  add(flags.no_filter_config_found(), "NFCF");
  add(flags.duration_timeout(), "DT");
  add(flags.upstream_protocol_error(), "UPE");
  add(flags.no_cluster_found(), "NC");
  add(flags.overload_manager(), "OM");
  add(flags.dns_resolution_failure(), "DF");
  return out.empty() ? "-" : out;
}

std::string peer_of(const accesslog::AccessLogCommon& common) {
  const auto found = common.filter_state_objects().find(kPeerKey);
  if (found == common.filter_state_objects().end()) return {};
  google::protobuf::StringValue text;
  if (!found->second.UnpackTo(&text)) return {};
  return text.value();
}

std::string host_of_cluster(const std::string& cluster) {
  if (!cluster.starts_with("outbound|")) return {};
  const auto last = cluster.rfind('|');
  return cluster.substr(last + 1);
}

std::string grpc_status_label(const std::string& status) {
  constexpr int kLast = 16;  // UNAUTHENTICATED
  int code = 0;
  const char* end = status.data() + status.size();
  const auto parsed = std::from_chars(status.data(), end, code);
  const bool whole = parsed.ec == std::errc() && parsed.ptr == end;
  if (status.empty()) return "";
  return whole && code >= 0 && code <= kLast ? std::to_string(code) : kUnknown;
}

Labels describe(const accesslog::AccessLogCommon& common, const Directory& directory) {
  Labels out;
  const auto client = address_of(common.downstream_remote_address());
  const Workload source = workload_at(client, directory);
  const Workload destination = workload_at(address_of(common.upstream_remote_address()), directory);
  const Service service = service_of(common, directory);
  const std::string peer = peer_of(common);
  add_workload(out, "source", source);
  add_workload(out, "destination", destination);
  out["source_principal"] = or_unknown(peer);
  out["destination_principal"] = or_unknown(destination.principal);
  out["destination_service"] = or_unknown(service.host);
  out["destination_service_name"] = or_unknown(service.name);
  out["destination_service_namespace"] = or_unknown(service.ns);
  out["connection_security_policy"] = peer.empty() ? "none" : "mutual_tls";
  return out;
}

}  // namespace weft::controlplane::telemetry
