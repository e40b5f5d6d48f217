// Access logs of an Envoy (gRPC ALS) into the collector: whatever an entry says, each is counted
// once or counted as dropped, in no more series than there may be, and no number goes back.
#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

#include "base/assert.h"
#include "controlplane/telemetry/collector.h"
#include "envoy/service/accesslog/v3/als.pb.h"

namespace {

using namespace weft::controlplane;

constexpr std::size_t kSeriesMax = 16;

// One pod and one service are known.
struct Known : telemetry::Directory {
  std::optional<telemetry::Workload> by_address(const weft::IpAddress& ip) const override {
    if (ip.str() != "10.244.1.2") return std::nullopt;
    return telemetry::Workload{.workload = "page-v1", .ns = "shop"};
  }
  std::optional<telemetry::Service> service_at(const weft::SocketAddress& vip) const override {
    if (vip.ip.str() != "10.96.0.9") return std::nullopt;
    return telemetry::Service{"reviews.shop.svc.cluster.local", "reviews", "shop"};
  }
  std::optional<telemetry::Service> service_by_host(const std::string& host) const override {
    if (host != "reviews.shop.svc.cluster.local") return std::nullopt;
    return telemetry::Service{host, "reviews", "shop"};
  }
};

struct Sums {
  std::map<std::string, double> counts;  // of counters, and of histograms' samples
  std::size_t requests_series = 0;
};

Sums sums_of(const telemetry::Collector& collector) {
  Sums out;
  for (const auto& family : collector.collectable()->Collect()) {
    double& sum = out.counts[family.name];
    for (const auto& metric : family.metric) {
      if (family.type != prometheus::MetricType::Histogram) {
        WEFT_ASSERT(metric.counter.value >= 0);
        sum += metric.counter.value;
        continue;
      }
      WEFT_ASSERT(metric.histogram.sample_sum >= 0);
      sum += static_cast<double>(metric.histogram.sample_count);
    }
    if (family.name == "istio_requests_total") out.requests_series = family.metric.size();
  }
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const Known known;
  telemetry::Collector collector(
      {.compat_reporters = false, .series_max = kSeriesMax, .access_log = false}, known);
  const std::string reporter = (data[0] & 1) != 0 ? "gateway~shop/edge" : "waypoint~shop/w";
  ::envoy::service::accesslog::v3::StreamAccessLogsMessage message;
  if (!message.ParseFromArray(data + 1, static_cast<int>(size - 1))) {
    collector.lost(1);
    WEFT_ASSERT(sums_of(collector).counts["weft_telemetry_dropped_total"] == 1);
    return 0;
  }
  for (const auto& entry : message.http_logs().log_entry()) collector.record(reporter, entry);
  for (const auto& entry : message.tcp_logs().log_entry()) collector.record(reporter, entry);
  Sums sums = sums_of(collector);
  WEFT_ASSERT(sums.requests_series <= kSeriesMax);
  WEFT_ASSERT(sums.counts["istio_requests_total"] ==
              sums.counts["istio_request_duration_milliseconds"]);
  const int entries = message.http_logs().log_entry_size() + message.tcp_logs().log_entry_size();
  WEFT_ASSERT(sums.counts["istio_requests_total"] +
                  sums.counts["istio_tcp_connections_opened_total"] +
                  sums.counts["weft_telemetry_dropped_total"] ==
              entries);
  return 0;
}
