// record(): the one exit of every connection. Each connection makes one ConnectionRecord, and every
// way it can end, good or bad, reaches finish(): one access-log line and its metrics. Source:
// ambient-protocol facts §7.1, §7.2. Loop thread. The record keeps what it points to alive.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/line_budget.h"
#include "base/net.h"
#include "base/result.h"
#include "mesh/policy.h"
#include "mesh/snapshot.h"
#include "ztunnel/proxy/metrics.h"

namespace weft::proxy {

enum class Direction : std::uint8_t { kOutbound, kInbound };

// Istio's response_flags, and what they say in the log.
enum class Outcome : std::uint8_t {
  kOk,
  kDenied,
  kConnect,
  kTlsFailure,
  kH2Handshake,
  kNetworkPolicy,
  kIdentity
};
std::string_view response_flags(Outcome outcome);  // "-" "DENY" "CONNECT" …

// Where access-log lines go. Any thread; never blocks for long.
class AccessLog {
 public:
  virtual ~AccessLog() = default;
  // `line` is "connection complete" or "connection failed" and key=value pairs, without time and
  // level.
  virtual void write(bool failed, std::string_view line) = 0;
  // To spdlog, as `access` lines: info, or error when failed.
  static AccessLog& to_log();
};

class ConnectionRecord {
 public:
  // `failures`: the pod's; null writes every line.
  ConnectionRecord(MetricsShard& metrics, AccessLog& log, Direction direction,
                   Clock::time_point opened, LineBudget* failures = nullptr)
      : metrics_(metrics),
        log_(log),
        failures_(failures),
        opened_(opened),
        direction_(direction) {}
  ConnectionRecord(const ConnectionRecord&) = delete;
  ConnectionRecord& operator=(const ConnectionRecord&) = delete;
  // REQUIRES: finish() was called.
  ~ConnectionRecord();

  // Known step by step; all optional.
  SocketAddress source, destination, hbone;
  mesh::WorkloadPtr source_workload, destination_workload;
  mesh::ServicePtr service;
  bool mutual_tls =
      false;  // both ends proved who they are: their workloads' identities are shown, or
  std::shared_ptr<const mesh::Identity> source_identity,
      destination_identity;  // these, where they differ

  // The connection is established: counted as opened; from here its bytes are in the metrics.
  // REQUIRES: everything above is set and stays.
  void established();
  // Bytes as they pass, the same on both reporters.
  ByteCount client_to_server;  // Istio's received
  ByteCount server_to_client;  // Istio's sent

  // Exactly one of these, once.
  void finish_ok(Clock::time_point now);
  // `outcome` may be kOk: the connection was served, and then broken off by one of its ends (a
  // reset by the application).
  void finish_error(Clock::time_point now, Outcome outcome, const Error& error,
                    std::string_view hint = {});
  void finish_denied(Clock::time_point now, const mesh::Verdict& verdict);

 private:
  TrafficSeries& series(Outcome outcome);
  void finish(Clock::time_point now, Outcome outcome, std::string_view reason,
              std::string_view hint, const mesh::Verdict* verdict);

  MetricsShard& metrics_;
  AccessLog& log_;
  LineBudget* failures_;
  TrafficSeries* series_ = nullptr;  // set by established()
  Clock::time_point opened_;
  Direction direction_;
  bool finished_ = false;
};

}  // namespace weft::proxy
