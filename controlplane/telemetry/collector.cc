#include "controlplane/telemetry/collector.h"

#include <prometheus/collectable.h>
#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <algorithm>
#include <mutex>
#include <unordered_map>

#include "base/log.h"
#include "controlplane/telemetry/labels.h"
#include "envoy/data/accesslog/v3/accesslog.pb.h"

namespace weft::controlplane::telemetry {
namespace {

namespace accesslog = ::envoy::data::accesslog::v3;

const prometheus::Histogram::BucketBoundaries kMilliseconds = {
    0.5,  1,    5,     10,    25,    50,     100,    250,     500,    1000,
    2500, 5000, 10000, 30000, 60000, 300000, 600000, 1800000, 3600000};
const prometheus::Histogram::BucketBoundaries kBytes = {1,   10,  100, 1000, 10000,
                                                        1e5, 1e6, 1e7, 1e8};
constexpr auto kSweep = std::chrono::seconds(30);

// Never negative: a sum of them must not go back.
double milliseconds(const google::protobuf::Duration& duration) {
  return std::max(0.0, static_cast<double>(duration.seconds()) * 1e3 + duration.nanos() / 1e6);
}

std::string key_of(const char* kind, const Labels& labels) {
  std::string key = kind;
  for (const auto& [name, value] : labels) key += '\0' + value;
  return key;
}

std::string header(const google::protobuf::Map<std::string, std::string>& headers,
                   const char* name) {
  const auto found = headers.find(name);
  return found == headers.end() ? std::string() : found->second;
}

std::string address_text(const ::envoy::config::core::v3::Address& address) {
  const auto& socket = address.socket_address();
  const auto ip = IpAddress::parse(socket.address());
  if (!ip) return "unknown";
  return SocketAddress{*ip, static_cast<std::uint16_t>(socket.port_value())}.str();
}

std::string_view cut(std::string_view text, std::size_t most) { return text.substr(0, most); }

// One line, as ztunnel's: who asked whom for what, and what came of it. Values are quoted and cut,
// so that a path cannot end the line, nor fill the disk.
void write_line(const std::string& reporter, const accesslog::HTTPAccessLogEntry& entry,
                const Labels& labels) {
  const auto& request = entry.request();
  spdlog::info(
      "access reporter=\"{}\" src.addr=\"{}\" src.identity={:?} src.workload=\"{}\" "
      "src.namespace=\"{}\" "
      "dst.service=\"{}\" dst.workload=\"{}\" method={:?} authority={:?} path={:?} status={} "
      "flags=\"{}\" details={:?} route={:?} duration=\"{:.1f}ms\" request_id={:?} "
      "trace_id=\"{}\"",
      reporter, address_text(entry.common_properties().downstream_remote_address()),
      labels.at("source_principal"), labels.at("source_workload"),
      labels.at("source_workload_namespace"), labels.at("destination_service"),
      labels.at("destination_workload"),
      ::envoy::config::core::v3::RequestMethod_Name(request.request_method()),
      cut(request.authority(), 256), cut(request.path(), 1024),
      entry.response().response_code().value(), labels.at("response_flags"),
      entry.response().response_code_details(), entry.common_properties().route_name(),
      milliseconds(entry.common_properties().duration()), cut(request.request_id(), 128),
      trace_of(request.request_headers()));
}

}  // namespace

class Collector::State {
 public:
  State(Options options, const Directory& directory)
      : options_(options),
        directory_(directory),
        registry_(std::make_shared<prometheus::Registry>()),
        requests_(counter("istio_requests_total", "Requests, by who asked whom and the answer.")),
        duration_(histogram("istio_request_duration_milliseconds", "How long requests took.")),
        request_bytes_(histogram("istio_request_bytes", "Size of requests.")),
        response_bytes_(histogram("istio_response_bytes", "Size of responses.")),
        request_messages_(counter("istio_request_messages_total", "gRPC messages of clients.")),
        response_messages_(counter("istio_response_messages_total", "gRPC messages of servers.")),
        opened_(counter("istio_tcp_connections_opened_total", "Connections opened.")),
        closed_(counter("istio_tcp_connections_closed_total", "Connections closed.")),
        sent_(counter("istio_tcp_sent_bytes_total", "Bytes sent to clients.")),
        received_(counter("istio_tcp_received_bytes_total", "Bytes received from clients.")),
        dropped_(counter("weft_telemetry_dropped_total",
                         "Access log entries that were not counted, by reason.")) {}

  void record(const std::string& reporter, const accesslog::HTTPAccessLogEntry& entry) {
    const auto& common = entry.common_properties();
    auto [labels, from_gateway] = describe(common, directory_, is_edge(reporter));
    const auto& response = entry.response();
    const bool grpc =
        header(entry.request().request_headers(), "content-type").starts_with("application/grpc");
    labels["request_protocol"] = grpc ? "grpc" : "http";
    labels["response_code"] = std::to_string(response.response_code().value());
    labels["response_flags"] = flags_of(entry);
    std::string status = header(response.response_trailers(), "grpc-status");
    if (status.empty()) status = header(response.response_headers(), "grpc-status");
    labels["grpc_response_status"] = grpc ? grpc_status_label(status) : "";
    if (options_.access_log) write_line(reporter, entry, labels);
    const double took = milliseconds(common.duration());
    const double in = static_cast<double>(entry.request().request_headers_bytes() +
                                          entry.request().request_body_bytes());
    const double out =
        static_cast<double>(response.response_headers_bytes() + response.response_body_bytes());
    const Messages messages = messages_of(common);
    const std::scoped_lock lock(mutex_);
    for (const char* who : reporters(reporter, from_gateway)) {
      set_reporter(who, labels);
      Series* series = find("http", labels, [&](Series& made) {
        made.requests = &requests_.Add(labels);
        made.duration = &duration_.Add(labels, kMilliseconds);
        made.request_bytes = &request_bytes_.Add(labels, kBytes);
        made.response_bytes = &response_bytes_.Add(labels, kBytes);
        if (!grpc) return;
        made.request_messages = &request_messages_.Add(labels);
        made.response_messages = &response_messages_.Add(labels);
      });
      if (series == nullptr) return;
      series->requests->Increment();
      series->duration->Observe(took);
      series->request_bytes->Observe(in);
      series->response_bytes->Observe(out);
      if (!grpc) continue;
      series->request_messages->Increment(static_cast<double>(messages.requests));
      series->response_messages->Increment(static_cast<double>(messages.responses));
    }
  }

  void record(const std::string& reporter, const accesslog::TCPAccessLogEntry& entry) {
    const auto& common = entry.common_properties();
    Labels labels = describe(common, directory_, is_edge(reporter)).labels;
    labels["request_protocol"] = "tcp";
    labels["response_flags"] = flags_of(common.response_flags());
    const std::scoped_lock lock(mutex_);
    // Alone: as source and destination the ztunnels have counted it.
    set_reporter(is_edge(reporter) ? "source" : "waypoint", labels);
    Series* series = find("tcp", labels, [&](Series& made) {
      made.opened = &opened_.Add(labels);
      made.closed = &closed_.Add(labels);
      made.sent = &sent_.Add(labels);
      made.received = &received_.Add(labels);
    });
    if (series == nullptr) return;
    series->opened->Increment();
    series->closed->Increment();
    series->sent->Increment(static_cast<double>(entry.connection_properties().sent_bytes()));
    series->received->Increment(
        static_cast<double>(entry.connection_properties().received_bytes()));
  }

  void lost(std::uint64_t messages) {
    const std::scoped_lock lock(mutex_);
    dropped_.Add({{"reason", "malformed"}}).Increment(static_cast<double>(messages));
  }

  std::shared_ptr<prometheus::Collectable> collectable() const { return registry_; }

 private:
  struct Series {
    prometheus::Counter* requests = nullptr;
    prometheus::Histogram *duration = nullptr, *request_bytes = nullptr, *response_bytes = nullptr;
    prometheus::Counter *request_messages = nullptr, *response_messages = nullptr;  // gRPC
    prometheus::Counter *opened = nullptr, *closed = nullptr, *sent = nullptr, *received = nullptr;
    Clock::time_point used;
  };

  prometheus::Family<prometheus::Counter>& counter(const char* name, const char* help) {
    return prometheus::BuildCounter().Name(name).Help(help).Register(*registry_);
  }
  prometheus::Family<prometheus::Histogram>& histogram(const char* name, const char* help) {
    return prometheus::BuildHistogram().Name(name).Help(help).Register(*registry_);
  }

  static bool is_edge(const std::string& reporter) { return reporter.starts_with("gateway~"); }

  // Of a request. What a gateway asks for it has counted as the source itself.
  std::vector<const char*> reporters(const std::string& reporter, bool from_gateway) const {
    if (is_edge(reporter)) return {"source"};
    if (!options_.compat_reporters) return {"waypoint"};
    if (from_gateway) return {"waypoint", "destination"};
    return {"waypoint", "destination", "source"};
  }

  // A source does not know what its connection becomes. (So "source" comes last.)
  static void set_reporter(const char* who, Labels& labels) {
    labels["reporter"] = who;
    if (labels["reporter"] == "source") labels["connection_security_policy"] = "unknown";
  }

  // The series of a label set, made when there is room; null when it was dropped.
  template <class Make>
  Series* find(const char* kind, const Labels& labels, Make make) {
    const std::string key = key_of(kind, labels);
    const auto now = Clock::now();
    auto found = series_.find(key);
    if (found == series_.end()) {
      sweep(now);
      if (series_.size() >= options_.series_max) {
        dropped_.Add({{"reason", "too_many_series"}}).Increment();
        return nullptr;
      }
      found = series_.emplace(key, Series{}).first;
      make(found->second);
    }
    found->second.used = now;
    return &found->second;
  }

  void sweep(Clock::time_point now) {
    if (now - swept_ < kSweep) return;
    swept_ = now;
    for (auto one = series_.begin(); one != series_.end();) {
      if (now - one->second.used < options_.series_idle) {
        ++one;
        continue;
      }
      forget(one->second);
      one = series_.erase(one);
    }
  }

  void forget(const Series& series) {
    if (series.requests != nullptr) {
      requests_.Remove(series.requests);
      duration_.Remove(series.duration);
      request_bytes_.Remove(series.request_bytes);
      response_bytes_.Remove(series.response_bytes);
      if (series.request_messages == nullptr) return;
      request_messages_.Remove(series.request_messages);
      response_messages_.Remove(series.response_messages);
    } else {
      opened_.Remove(series.opened);
      closed_.Remove(series.closed);
      sent_.Remove(series.sent);
      received_.Remove(series.received);
    }
  }

  const Options options_;
  const Directory& directory_;
  const std::shared_ptr<prometheus::Registry> registry_;
  prometheus::Family<prometheus::Counter>& requests_;
  prometheus::Family<prometheus::Histogram>&duration_, &request_bytes_, &response_bytes_;
  prometheus::Family<prometheus::Counter>&request_messages_, &response_messages_;
  prometheus::Family<prometheus::Counter>&opened_, &closed_, &sent_, &received_, &dropped_;
  std::mutex mutex_;
  std::unordered_map<std::string, Series> series_;
  Clock::time_point swept_{};
};

Collector::Collector(Options options, const Directory& directory)
    : state_(std::make_shared<State>(options, directory)) {}
Collector::~Collector() = default;
void Collector::record(const std::string& reporter, const accesslog::HTTPAccessLogEntry& entry) {
  state_->record(reporter, entry);
}
void Collector::record(const std::string& reporter, const accesslog::TCPAccessLogEntry& entry) {
  state_->record(reporter, entry);
}
void Collector::lost(std::uint64_t messages) { state_->lost(messages); }
std::shared_ptr<prometheus::Collectable> Collector::collectable() const {
  return state_->collectable();
}

}  // namespace weft::controlplane::telemetry
