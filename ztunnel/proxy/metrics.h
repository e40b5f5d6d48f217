// Traffic metrics: Istio's TCP names and labels. One shard per loop, written without locks on its
// thread; any thread may read. Source: ambient-protocol facts §7.1. Byte directions: received =
// client→server, sent = server→client, on both reporters.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace weft::proxy {

// The traffic label names, in Istio's order.
inline constexpr std::array<std::string_view, 23> kTrafficLabels = {
    "reporter",
    "source_workload",
    "source_canonical_service",
    "source_canonical_revision",
    "source_workload_namespace",
    "source_principal",
    "source_app",
    "source_version",
    "source_cluster",
    "destination_service",
    "destination_service_namespace",
    "destination_service_name",
    "destination_workload",
    "destination_canonical_service",
    "destination_canonical_revision",
    "destination_workload_namespace",
    "destination_principal",
    "destination_app",
    "destination_version",
    "destination_cluster",
    "request_protocol",
    "response_flags",
    "connection_security_policy"};
inline constexpr std::array<std::string_view, 4> kDnsLabels = {
    "request_query_type", "request_protocol", "source_canonical_service",
    "source_canonical_revision"};

enum class Reporter : std::uint8_t { kSource, kDestination };

// A number with one writer (its loop) and any number of readers: no locked instruction.
class Count {
 public:
  void add(std::uint64_t n) {
    value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  void sub(std::uint64_t n) {
    value_.store(value_.load(std::memory_order_relaxed) - n, std::memory_order_relaxed);
  }
  std::uint64_t get() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

// Bytes of one direction of one connection: a total of its own, and from established() on its
// series' counter.
class ByteCount {
 public:
  void add(std::uint64_t n) {
    total_ += n;
    if (series_ != nullptr) series_->add(n);
  }
  std::uint64_t total() const { return total_; }
  void attach(Count& series) {
    series_ = &series;
    series.add(total_);
  }

 private:
  std::uint64_t total_ = 0;
  Count* series_ = nullptr;
};

// One label combination's counters. Address is stable for the life of the shard, so a connection
// keeps a pointer.
struct TrafficSeries {
  Count opened, closed, failed, received, sent;
};
struct DnsSeries {
  static constexpr std::array<double, 6> kBuckets = {.0005, .001, .01, .1, 1, 5};
  Count requests, upstream_requests, upstream_failures;
  std::array<Count, kBuckets.size()> buckets;  // not cumulative
  Count duration_count, duration_ns;
};

class MetricsShard {
 public:
  // More label combinations than this share one series whose labels are "unknown"; `overflowed`
  // counts the look-ups.
  static constexpr std::size_t kSeriesMax = 10000;

  // `values` as kTrafficLabels / kDnsLabels. Loop thread. The lock is taken only for a combination
  // seen the first time.
  TrafficSeries& traffic(std::span<const std::string_view> values);
  DnsSeries& dns(std::span<const std::string_view> values);

  // Loop thread writes.
  std::array<Count, 2> sockets_open;  // by Reporter
  Count accept_pauses;                // overload: connections_max or the pod's part of it reached
  Count lines_suppressed;             // of the access log, beyond a pod's LineBudget
  Count tunnels_open, tunnels_dialed, tunnels_failed;
  Count policy_cuts;  // live connections reset by a new snapshot
  Count overflowed;

  // Any thread.
  using TrafficVisitor =
      std::function<void(std::span<const std::string_view> values, const TrafficSeries&)>;
  using DnsVisitor =
      std::function<void(std::span<const std::string_view> values, const DnsSeries&)>;
  void visit_traffic(const TrafficVisitor& visitor) const;
  void visit_dns(const DnsVisitor& visitor) const;

 private:
  template <class Series>
  struct Family {
    std::unordered_map<std::string, std::unique_ptr<Series>>
        by_key;  // key: the values joined with \x1f
    std::size_t label_count;
  };
  template <class Series>
  Series& find(Family<Series>& family, std::span<const std::string_view> values);

  mutable std::mutex shape_;  // guards insertion against visitors; the loop reads without it
  Family<TrafficSeries> traffic_{{}, kTrafficLabels.size()};
  Family<DnsSeries> dns_{{}, kDnsLabels.size()};
  std::string scratch_;  // the key being built
};

// All shards of the process. add_shard before the loops run; the rest any thread.
class Metrics {
 public:
  MetricsShard& add_shard();
  std::span<const std::unique_ptr<MetricsShard>> shards() const { return shards_; }

 private:
  std::vector<std::unique_ptr<MetricsShard>> shards_;
};

}  // namespace weft::proxy
