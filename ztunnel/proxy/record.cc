#include "ztunnel/proxy/record.h"

#include <fmt/format.h>

#include <array>
#include <iterator>

#include "base/assert.h"
#include "base/log.h"

namespace weft::proxy {
namespace {

using Line = fmt::memory_buffer;

// Values are quoted and escaped: names come from the network, a line must stay one line.
void add(Line& line, std::string_view key, std::string_view value) {
  if (value.empty()) return;
  fmt::format_to(std::back_inserter(line), " {}=\"", key);
  for (char c : value) {
    if (c == '"' || c == '\\') {
      line.push_back('\\');
      line.push_back(c);
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      fmt::format_to(std::back_inserter(line), "\\x{:02x}", static_cast<unsigned char>(c));
    } else {
      line.push_back(c);
    }
  }
  line.push_back('"');
}

void add_address(Line& line, std::string_view key, const SocketAddress& address) {
  if (address.ip.is_set()) fmt::format_to(std::back_inserter(line), " {}={}", key, address.str());
}

void add_end(Line& line, std::string_view end, const mesh::WorkloadPtr& workload,
             const std::string& identity) {
  auto key = [&](std::string_view name) { return fmt::format("{}.{}", end, name); };
  if (workload) {
    add(line, key("workload"), workload->name);
    add(line, key("namespace"), workload->ns);
  }
  add(line, key("identity"), identity);
  if (workload) add(line, key("cluster"), workload->cluster_id);
}

// The ten labels of one end, in Istio's order.
struct End {
  std::string_view workload, canonical, revision, ns, app, version, cluster;
  std::string principal;

  End(const mesh::WorkloadPtr& from, const std::string& identity) : principal(identity) {
    if (!from) return;
    workload = from->workload_name.empty() ? from->name : from->workload_name;
    canonical = app = from->canonical_name;
    revision = version = from->canonical_revision;
    ns = from->ns;
    cluster = from->cluster_id;
  }
};

// Shown only when proven.
std::string principal_of(bool mutual_tls, const std::shared_ptr<const mesh::Identity>& identity,
                         const mesh::WorkloadPtr& workload) {
  if (!mutual_tls) return {};
  if (identity) return identity->str();
  return workload ? workload->identity().str() : std::string();
}

class ToLog final : public AccessLog {
 public:
  void write(bool failed, std::string_view line) override {
    spdlog::log(failed ? spdlog::level::err : spdlog::level::info, "access {}", line);
  }
};

}  // namespace

std::string_view response_flags(Outcome outcome) {
  switch (outcome) {
    case Outcome::kOk:
      return "-";
    case Outcome::kDenied:
      return "DENY";
    case Outcome::kConnect:
      return "CONNECT";
    case Outcome::kTlsFailure:
      return "TLS_FAILURE";
    case Outcome::kH2Handshake:
      return "H2_HANDSHAKE_FAILURE";
    case Outcome::kNetworkPolicy:
      return "NETWORK_POLICY";
    case Outcome::kIdentity:
      return "IDENTITY_ERROR";
  }
  return "-";
}

AccessLog& AccessLog::to_log() {
  static ToLog log;
  return log;
}

ConnectionRecord::~ConnectionRecord() { WEFT_ASSERT(finished_); }

TrafficSeries& ConnectionRecord::series(Outcome outcome) {
  const End from(source_workload, principal_of(mutual_tls, source_identity, source_workload));
  const End to(destination_workload,
               principal_of(mutual_tls, destination_identity, destination_workload));
  // Istio's destination labels of an unknown workload behind a known service stay unknown; the
  // service's own are filled.
  std::string_view hostname, service_ns, service_name;
  if (service) {
    hostname = service->hostname;
    service_ns = service->ns;
    service_name = service->name;
  }
  const std::array<std::string_view, kTrafficLabels.size()> values = {
      direction_ == Direction::kOutbound ? "source" : "destination",
      from.workload,
      from.canonical,
      from.revision,
      from.ns,
      from.principal,
      from.app,
      from.version,
      from.cluster,
      hostname,
      service_ns,
      service_name,
      to.workload,
      to.canonical,
      to.revision,
      to.ns,
      to.principal,
      to.app,
      to.version,
      to.cluster,
      "tcp",
      response_flags(outcome),
      mutual_tls ? "mutual_tls" : "unknown"};
  return metrics_.traffic(values);
}

void ConnectionRecord::established() {
  WEFT_ASSERT(series_ == nullptr);
  series_ = &series(Outcome::kOk);
  series_->opened.add(1);
  client_to_server.attach(series_->received);
  server_to_client.attach(series_->sent);
  metrics_.sockets_open[direction_ == Direction::kOutbound ? 0 : 1].add(1);
}

void ConnectionRecord::finish_ok(Clock::time_point now) {
  finish(now, Outcome::kOk, {}, {}, nullptr);
}

void ConnectionRecord::finish_error(Clock::time_point now, Outcome outcome, const Error& error,
                                    std::string_view hint) {
  finish(now, outcome, describe(error), hint, nullptr);
}

void ConnectionRecord::finish_denied(Clock::time_point now, const mesh::Verdict& verdict) {
  finish(now, Outcome::kDenied, verdict.text(), {}, &verdict);
}

void ConnectionRecord::finish(Clock::time_point now, Outcome outcome, std::string_view reason,
                              std::string_view hint, const mesh::Verdict* verdict) {
  WEFT_ASSERT(!finished_);
  finished_ = true;
  const bool opened = series_ != nullptr;
  if (opened) metrics_.sockets_open[direction_ == Direction::kOutbound ? 0 : 1].sub(1);
  auto& ended = outcome == Outcome::kOk && opened ? *series_ : series(outcome);
  if (opened) ended.closed.add(1);
  if (outcome != Outcome::kOk) ended.failed.add(1);

  std::uint64_t missing = 0;
  if (outcome != Outcome::kOk && failures_ != nullptr && !failures_->take(now, missing))
    return metrics_.lines_suppressed.add(1);
  Line line;
  const std::string_view message =
      opened || outcome == Outcome::kOk ? "connection complete" : "connection failed";
  line.append(message);
  const std::string from = principal_of(mutual_tls, source_identity, source_workload);
  const std::string to = principal_of(mutual_tls, destination_identity, destination_workload);
  add_address(line, "src.addr", source);
  add_end(line, "src", source_workload, from);
  add_address(line, "dst.addr", destination);
  add_address(line, "dst.hbone_addr", hbone);
  if (service) add(line, "dst.service", service->hostname);
  add_end(line, "dst", destination_workload, to);
  // "From the application's point of view": what the pod on this side sent and received.
  const bool outbound = direction_ == Direction::kOutbound;
  fmt::format_to(
      std::back_inserter(line), " direction=\"{}\" bytes_sent={} bytes_recv={} duration=\"{}ms\"",
      outbound ? "outbound" : "inbound", (outbound ? client_to_server : server_to_client).total(),
      (outbound ? server_to_client : client_to_server).total(),
      std::chrono::duration_cast<std::chrono::milliseconds>(now - opened_).count());
  if (verdict != nullptr)
    add(line, "policy", verdict->policy.empty() ? "none matched" : verdict->policy);
  if (outcome != Outcome::kOk) add(line, "flags", response_flags(outcome));
  add(line, "error", reason);
  add(line, "hint", hint);
  if (missing != 0) fmt::format_to(std::back_inserter(line), " lines_suppressed={}", missing);
  log_.write(outcome != Outcome::kOk, std::string_view(line.data(), line.size()));
}

}  // namespace weft::proxy
