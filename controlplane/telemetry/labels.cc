#include "controlplane/telemetry/labels.h"

#include <google/protobuf/wrappers.pb.h>

#include <charconv>
#include <string_view>

#include "envoy/data/accesslog/v3/accesslog.pb.h"
#include "envoy/extensions/filters/http/grpc_stats/v3/config.pb.h"

namespace weft::controlplane::telemetry {
namespace {

namespace accesslog = ::envoy::data::accesslog::v3;

constexpr const char* kPeerKey = "weft.peer";
constexpr const char* kMessagesKey = "envoy.filters.http.grpc_stats";
constexpr const char* kNoRouteTag = "no_route";  // of our last route (backends/envoy/routes.cc)
constexpr const char* kDirectResponse = "direct_response";
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

std::string flags_of(const accesslog::HTTPAccessLogEntry& entry) {
  const accesslog::AccessLogCommon& common = entry.common_properties();
  const std::string flags = flags_of(common.response_flags());
  const bool unrouted = common.custom_tags().contains(kNoRouteTag) &&
                        entry.response().response_code_details() == kDirectResponse;
  return unrouted && flags == "-" ? "NR" : flags;
}

std::string peer_of(const accesslog::AccessLogCommon& common) {
  const auto found = common.filter_state_objects().find(kPeerKey);
  if (found == common.filter_state_objects().end()) return {};
  google::protobuf::StringValue text;
  if (!found->second.UnpackTo(&text)) return {};
  return text.value();
}

Messages messages_of(const accesslog::AccessLogCommon& common) {
  const auto found = common.filter_state_objects().find(kMessagesKey);
  ::envoy::extensions::filters::http::grpc_stats::v3::FilterObject counted;
  if (found == common.filter_state_objects().end() || !found->second.UnpackTo(&counted)) return {};
  return {.requests = counted.request_message_count(),
          .responses = counted.response_message_count()};
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

std::string trace_of(const google::protobuf::Map<std::string, std::string>& headers) {
  const auto is_id = [](std::string_view text) {
    return (text.size() == 32 || text.size() == 16) &&
           text.find_first_not_of("0123456789abcdefABCDEF") == std::string_view::npos;
  };
  if (const auto b3 = headers.find("x-b3-traceid"); b3 != headers.end() && is_id(b3->second))
    return b3->second;
  const auto w3c = headers.find("traceparent");  // "00-TRACE-SPAN-FLAGS"
  if (w3c == headers.end() || w3c->second.size() != 55) return {};
  const std::string id = w3c->second.substr(3, 32);
  return is_id(id) ? id : std::string();
}

Described describe(const accesslog::AccessLogCommon& common, const Directory& directory,
                   bool edge) {
  Described described;
  Labels& out = described.labels;
  // Clients of a gateway reach it at its pod's own address.
  const auto client =
      address_of(edge ? common.downstream_local_address() : common.downstream_remote_address());
  const Workload source = workload_at(client, directory);
  described.from_gateway = source.gateway;
  const Workload destination = workload_at(address_of(common.upstream_remote_address()), directory);
  const Service service = service_of(common, directory);
  const std::string peer = edge ? source.principal : peer_of(common);
  add_workload(out, "source", source);
  add_workload(out, "destination", destination);
  out["source_principal"] = or_unknown(peer);
  out["destination_principal"] = or_unknown(destination.principal);
  out["destination_service"] = or_unknown(service.host);
  out["destination_service_name"] = or_unknown(service.name);
  out["destination_service_namespace"] = or_unknown(service.ns);
  out["connection_security_policy"] = peer.empty() ? "none" : "mutual_tls";
  return described;
}

}  // namespace weft::controlplane::telemetry
