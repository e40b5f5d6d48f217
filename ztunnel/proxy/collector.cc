#include "ztunnel/proxy/collector.h"

#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

#include <map>
#include <vector>

#include "ztunnel/proxy/metrics.h"

namespace weft::proxy {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

struct Traffic {
  std::uint64_t opened = 0, closed = 0, failed = 0, received = 0, sent = 0;
};
struct Dns {
  std::uint64_t requests = 0, upstream = 0, failures = 0, count = 0, ns = 0;
  std::array<std::uint64_t, DnsSeries::kBuckets.size()> buckets{};
};
using Values = std::vector<std::string>;

template <class Names>
std::vector<ClientMetric::Label> labels(const Names& names, const Values& values) {
  std::vector<ClientMetric::Label> out;
  for (std::size_t i = 0; i < names.size(); ++i) out.push_back({std::string(names[i]), values[i]});
  return out;
}

MetricFamily family(const char* name, const char* help, MetricType type = MetricType::Counter) {
  MetricFamily made;
  made.name = name;
  made.help = help;
  made.type = type;
  return made;
}

void add(MetricFamily& family, double value, std::vector<ClientMetric::Label> labels = {}) {
  ClientMetric metric;
  metric.label = std::move(labels);
  if (family.type == MetricType::Gauge)
    metric.gauge.value = value;
  else
    metric.counter.value = value;
  family.metric.push_back(std::move(metric));
}

class Collector final : public prometheus::Collectable {
 public:
  Collector(const Metrics& metrics, std::string version)
      : metrics_(metrics), version_(std::move(version)) {}

  std::vector<MetricFamily> Collect() const override {
    std::vector<MetricFamily> out;
    collect_traffic(out);
    collect_dns(out);
    collect_loops(out);
    auto build = family("istio_build", "The build of this component.", MetricType::Gauge);
    add(build, 1, {{"component", "ztunnel"}, {"tag", version_}});
    out.push_back(std::move(build));
    return out;
  }

 private:
  void collect_traffic(std::vector<MetricFamily>& out) const {
    std::map<Values, Traffic> merged;
    for (const auto& shard : metrics_.shards()) {
      shard->visit_traffic([&](auto values, const TrafficSeries& series) {
        auto& sum = merged[Values(values.begin(), values.end())];
        sum.opened += series.opened.get();
        sum.closed += series.closed.get();
        sum.failed += series.failed.get();
        sum.received += series.received.get();
        sum.sent += series.sent.get();
      });
    }
    auto opened =
        family("istio_tcp_connections_opened_total", "The total number of TCP connections opened.");
    auto closed =
        family("istio_tcp_connections_closed_total", "The total number of TCP connections closed.");
    auto failed = family("istio_tcp_connections_failed_total",
                         "The total number of TCP connections that failed or were denied.");
    auto received =
        family("istio_tcp_received_bytes_total",
               "The size of total bytes received during request in case of a TCP connection.");
    auto sent = family("istio_tcp_sent_bytes_total",
                       "The size of total bytes sent during response in case of a TCP connection.");
    for (const auto& [values, sum] : merged) {
      auto label = labels(kTrafficLabels, values);
      // A series that never opened only says what failed; it has no bytes to tell.
      if (sum.opened != 0) add(opened, static_cast<double>(sum.opened), label);
      if (sum.opened != 0 || sum.closed != 0) add(closed, static_cast<double>(sum.closed), label);
      if (sum.failed != 0) add(failed, static_cast<double>(sum.failed), label);
      if (sum.opened != 0) add(received, static_cast<double>(sum.received), label);
      if (sum.opened != 0) add(sent, static_cast<double>(sum.sent), label);
    }
    for (auto* each : {&opened, &closed, &failed, &received, &sent})
      out.push_back(std::move(*each));
  }

  void collect_dns(std::vector<MetricFamily>& out) const {
    std::map<Values, Dns> merged;
    for (const auto& shard : metrics_.shards()) {
      shard->visit_dns([&](auto values, const DnsSeries& series) {
        auto& sum = merged[Values(values.begin(), values.end())];
        sum.requests += series.requests.get();
        sum.upstream += series.upstream_requests.get();
        sum.failures += series.upstream_failures.get();
        sum.count += series.duration_count.get();
        sum.ns += series.duration_ns.get();
        for (std::size_t i = 0; i < sum.buckets.size(); ++i)
          sum.buckets[i] += series.buckets[i].get();
      });
    }
    auto requests = family("istio_dns_requests_total", "Total number of DNS requests.");
    auto upstream = family("istio_dns_upstream_requests_total",
                           "Total number of DNS requests forwarded to upstream.");
    auto failures = family("istio_dns_upstream_failures_total",
                           "Total number of DNS requests forwarded to upstream that failed.");
    auto duration = family("istio_dns_upstream_request_duration_seconds",
                           "Total time in seconds Istio takes to get DNS response from upstream.",
                           MetricType::Histogram);
    for (const auto& [values, sum] : merged) {
      auto label = labels(kDnsLabels, values);
      add(requests, static_cast<double>(sum.requests), label);
      if (sum.upstream == 0) continue;
      add(upstream, static_cast<double>(sum.upstream), label);
      add(failures, static_cast<double>(sum.failures), label);
      duration.metric.push_back(histogram(sum, std::move(label)));
    }
    for (auto* each : {&requests, &upstream, &failures, &duration}) out.push_back(std::move(*each));
  }

  static ClientMetric histogram(const Dns& sum, std::vector<ClientMetric::Label> label) {
    ClientMetric metric;
    metric.label = std::move(label);
    metric.histogram.sample_count = sum.count;
    metric.histogram.sample_sum = static_cast<double>(sum.ns) / 1e9;
    std::uint64_t below = 0;
    for (std::size_t i = 0; i < sum.buckets.size(); ++i) {
      below += sum.buckets[i];
      metric.histogram.bucket.push_back({below, DnsSeries::kBuckets[i]});
    }
    metric.histogram.bucket.push_back({sum.count, std::numeric_limits<double>::infinity()});
    return metric;
  }

  void collect_loops(std::vector<MetricFamily>& out) const {
    auto open =
        family("istio_tcp_sockets_open", "Application connections open now.", MetricType::Gauge);
    auto gauge = [&](const char* name, const char* help, Count MetricsShard::* member,
                     MetricType type) {
      std::uint64_t sum = 0;
      for (const auto& shard : metrics_.shards()) sum += (shard.get()->*member).get();
      auto made = family(name, help, type);
      add(made, static_cast<double>(sum));
      out.push_back(std::move(made));
    };
    for (std::size_t reporter = 0; reporter < 2; ++reporter) {
      std::uint64_t sum = 0;
      for (const auto& shard : metrics_.shards()) sum += shard->sockets_open[reporter].get();
      add(open, static_cast<double>(sum), {{"reporter", reporter == 0 ? "source" : "destination"}});
    }
    out.push_back(std::move(open));
    gauge("weft_tunnels_open", "HBONE tunnels to peers open now.", &MetricsShard::tunnels_open,
          MetricType::Gauge);
    gauge("weft_tunnels_dialed_total", "HBONE tunnels dialed.", &MetricsShard::tunnels_dialed,
          MetricType::Counter);
    gauge("weft_tunnels_failed_total", "HBONE dials that failed.", &MetricsShard::tunnels_failed,
          MetricType::Counter);
    gauge("weft_accept_pauses_total", "Times accepting paused because the loop or the pod was full.",
          &MetricsShard::accept_pauses, MetricType::Counter);
    gauge("weft_access_log_suppressed_total",
          "Lines about failed connections that were not written because their pod wrote too many.",
          &MetricsShard::lines_suppressed, MetricType::Counter);
    gauge("weft_policy_cuts_total", "Live connections reset because policy changed.",
          &MetricsShard::policy_cuts, MetricType::Counter);
    gauge("weft_metrics_overflowed_total", "Look-ups of label combinations beyond the maximum.",
          &MetricsShard::overflowed, MetricType::Counter);
  }

  const Metrics& metrics_;
  const std::string version_;
};

}  // namespace

std::shared_ptr<prometheus::Collectable> make_collector(const Metrics& metrics,
                                                        std::string version) {
  return std::make_shared<Collector>(metrics, std::move(version));
}

}  // namespace weft::proxy
