#include <google/protobuf/wrappers.pb.h>
#include <gtest/gtest.h>
#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

#include <set>

#include "controlplane/telemetry/collector.h"
#include "controlplane/telemetry/labels.h"
#include "envoy/data/accesslog/v3/accesslog.pb.h"
#include "envoy/extensions/filters/http/grpc_stats/v3/config.pb.h"

namespace weft::controlplane::telemetry {
namespace {

namespace accesslog = ::envoy::data::accesslog::v3;

struct Known : Directory {
  std::optional<Workload> by_address(const IpAddress& ip) const override {
    if (ip.str() == "10.244.1.2")
      return Workload{.workload = "page-v1",
                      .ns = "shop",
                      .app = "page",
                      .version = "v1",
                      .principal = "spiffe://cluster.local/ns/shop/sa/page"};
    if (ip.str() == "10.244.2.3")
      return Workload{.workload = "reviews-v2",
                      .ns = "shop",
                      .app = "reviews",
                      .version = "v2",
                      .principal = "spiffe://cluster.local/ns/shop/sa/reviews"};
    if (ip.str() == "10.244.1.9")
      return Workload{.workload = "edge",
                      .ns = "shop",
                      .principal = "spiffe://cluster.local/ns/shop/sa/edge",
                      .gateway = true};
    return std::nullopt;
  }
  std::optional<Service> service_at(const SocketAddress& vip) const override {
    if (vip.ip.str() != "10.96.0.9") return std::nullopt;
    return Service{"reviews.shop.svc.cluster.local", "reviews", "shop"};
  }
  std::optional<Service> service_by_host(const std::string& host) const override {
    if (host != "reviews.shop.svc.cluster.local") return std::nullopt;
    return Service{host, "reviews", "shop"};
  }
};

void set(::envoy::config::core::v3::Address& address, const char* ip, std::uint32_t port) {
  address.mutable_socket_address()->set_address(ip);
  address.mutable_socket_address()->set_port_value(port);
}

accesslog::HTTPAccessLogEntry request() {
  accesslog::HTTPAccessLogEntry entry;
  auto& common = *entry.mutable_common_properties();
  set(*common.mutable_downstream_remote_address(), "10.244.1.2", 40000);
  set(*common.mutable_downstream_local_address(), "10.96.0.9", 9080);
  set(*common.mutable_upstream_remote_address(), "10.244.2.3", 9080);
  common.set_upstream_cluster("outbound|9080|v2|reviews.shop.svc.cluster.local");
  google::protobuf::StringValue peer;
  peer.set_value("spiffe://cluster.local/ns/shop/sa/page");
  (*common.mutable_filter_state_objects())["weft.peer"].PackFrom(peer);
  common.mutable_duration()->set_nanos(7'000'000);
  entry.mutable_response()->mutable_response_code()->set_value(200);
  return entry;
}

using Samples = std::vector<std::pair<Labels, double>>;

// The samples of a counter, or of a histogram's count.
Samples samples(const Collector& collector, const std::string& name) {
  Samples out;
  for (const auto& family : collector.collectable()->Collect()) {
    if (family.name != name) continue;
    for (const auto& metric : family.metric) {
      Labels labels;
      for (const auto& label : metric.label) labels[label.name] = label.value;
      const bool histogram = family.type == prometheus::MetricType::Histogram;
      out.emplace_back(labels, histogram ? static_cast<double>(metric.histogram.sample_count)
                                         : metric.counter.value);
    }
  }
  return out;
}

const Options kQuiet{.compat_reporters = false, .access_log = false};

TEST(Telemetry, ARequestHasEveryLabelOfTheContract) {
  const Known known;
  Collector collector(kQuiet, known);
  collector.record("waypoint~shop/w", request());
  const auto found = samples(collector, "istio_requests_total");
  ASSERT_EQ(found.size(), 1u);
  const Labels& labels = found[0].first;
  const Labels wanted = {{"reporter", "waypoint"},
                         {"source_workload", "page-v1"},
                         {"source_workload_namespace", "shop"},
                         {"source_app", "page"},
                         {"source_version", "v1"},
                         {"source_principal", "spiffe://cluster.local/ns/shop/sa/page"},
                         {"destination_workload", "reviews-v2"},
                         {"destination_workload_namespace", "shop"},
                         {"destination_app", "reviews"},
                         {"destination_version", "v2"},
                         {"destination_principal", "spiffe://cluster.local/ns/shop/sa/reviews"},
                         {"destination_service", "reviews.shop.svc.cluster.local"},
                         {"destination_service_name", "reviews"},
                         {"destination_service_namespace", "shop"},
                         {"request_protocol", "http"},
                         {"response_code", "200"},
                         {"response_flags", "-"},
                         {"connection_security_policy", "mutual_tls"}};
  for (const auto& [name, value] : wanted)
    EXPECT_EQ(labels.contains(name) ? labels.at(name) : "(none)", value) << name;
  for (const char* name :
       {"source_canonical_service", "source_canonical_revision", "source_cluster",
        "destination_canonical_service", "destination_canonical_revision", "destination_cluster",
        "grpc_response_status"})
    EXPECT_TRUE(labels.contains(name)) << name;
  EXPECT_EQ(samples(collector, "istio_request_duration_milliseconds")[0].second, 1);
}

TEST(Telemetry, WhoProvedNothingIsUnknownAndNotMutualTls) {
  const Known known;
  Collector collector(kQuiet, known);
  auto entry = request();
  entry.mutable_common_properties()->clear_filter_state_objects();
  collector.record("waypoint~shop/w", entry);
  const Labels labels = samples(collector, "istio_requests_total")[0].first;
  EXPECT_EQ(labels.at("source_principal"), "unknown");
  EXPECT_EQ(labels.at("connection_security_policy"), "none");
}

TEST(Telemetry, AnApplicationMakesNoSeriesByWhatItAnswers) {
  const Known known;
  Collector collector(kQuiet, known);
  auto entry = request();
  (*entry.mutable_request()->mutable_request_headers())["content-type"] = "application/grpc";
  auto& status = (*entry.mutable_response()->mutable_response_trailers())["grpc-status"];
  std::set<std::string> seen;
  for (const char* text : {"0", "16", "17", "-1", "007", "4\n", "x", "99999999999999999999"}) {
    status = text;
    collector.record("waypoint~shop/w", entry);
  }
  for (const auto& [labels, count] : samples(collector, "istio_requests_total"))
    seen.insert(labels.at("grpc_response_status"));
  EXPECT_EQ(seen, (std::set<std::string>{"0", "16", "7", "unknown"}));
}

TEST(Telemetry, MessagesAreOfGrpcAlone) {
  const Known known;
  Collector collector(kQuiet, known);
  auto entry = request();
  ::envoy::extensions::filters::http::grpc_stats::v3::FilterObject messages;
  messages.set_request_message_count(2);
  messages.set_response_message_count(3);
  (*entry.mutable_common_properties()
        ->mutable_filter_state_objects())["envoy.filters.http.grpc_stats"]
      .PackFrom(messages);
  collector.record("waypoint~shop/w", entry);
  EXPECT_TRUE(samples(collector, "istio_request_messages_total").empty());
  (*entry.mutable_request()->mutable_request_headers())["content-type"] = "application/grpc+proto";
  for (int i = 0; i < 2; ++i) collector.record("waypoint~shop/w", entry);
  ASSERT_EQ(samples(collector, "istio_request_messages_total").size(), 1u);
  EXPECT_EQ(samples(collector, "istio_request_messages_total")[0].second, 4);
  EXPECT_EQ(samples(collector, "istio_response_messages_total")[0].second, 6);
}

TEST(Telemetry, ADeniedRequestIsCountedForTheServiceThatItAskedFor) {
  const Known known;
  Collector collector(kQuiet, known);
  auto entry = request();
  entry.mutable_common_properties()->clear_upstream_cluster();
  entry.mutable_common_properties()->clear_upstream_remote_address();
  entry.mutable_response()->mutable_response_code()->set_value(403);
  collector.record("waypoint~shop/w", entry);
  const Labels labels = samples(collector, "istio_requests_total")[0].first;
  EXPECT_EQ(labels.at("destination_service_name"), "reviews");
  EXPECT_EQ(labels.at("destination_workload"), "unknown");
  EXPECT_EQ(labels.at("response_code"), "403");
}

TEST(Telemetry, FlagsAreEnvoysAbbreviations) {
  accesslog::ResponseFlags flags;
  EXPECT_EQ(flags_of(flags), "-");
  flags.set_delay_injected(true);
  flags.set_upstream_request_timeout(true);
  EXPECT_EQ(flags_of(flags), "UT,DI");
}

TEST(Telemetry, TheSidecarErasReportersAreCountedBesideTheWaypoint) {
  const Known known;
  Collector collector({.compat_reporters = true, .access_log = false}, known);
  collector.record("waypoint~shop/w", request());
  std::map<std::string, double> by;
  for (const auto& [labels, value] : samples(collector, "istio_requests_total"))
    by[labels.at("reporter")] = value;
  EXPECT_EQ(by,
            (std::map<std::string, double>{{"waypoint", 1}, {"source", 1}, {"destination", 1}}));
}

using Row = std::map<std::string, std::string>;

// Those labels of each sample of a counter, with how much was counted.
std::map<Row, double> rows(const Collector& collector, const std::vector<std::string>& names,
                           const std::string& metric = "istio_requests_total") {
  std::map<Row, double> out;
  for (const auto& [labels, value] : samples(collector, metric)) {
    Row row;
    for (const std::string& name : names) row[name] = labels.at(name);
    out[row] += value;
  }
  return out;
}

TEST(Telemetry, ASourceDoesNotKnowHowItsConnectionIsSecured) {
  const Known known;
  Collector collector({.access_log = false}, known);
  collector.record("waypoint~shop/w", request());
  EXPECT_EQ(rows(collector, {"reporter", "connection_security_policy"}),
            (std::map<Row, double>{
                {{{"reporter", "waypoint"}, {"connection_security_policy", "mutual_tls"}}, 1},
                {{{"reporter", "destination"}, {"connection_security_policy", "mutual_tls"}}, 1},
                {{{"reporter", "source"}, {"connection_security_policy", "unknown"}}, 1}}));
}

TEST(Telemetry, AGatewayIsTheSourceOfWhatItAsksAndIsCountedOnce) {
  const Known known;
  Collector collector({.access_log = false}, known);
  auto entry = request();  // at the gateway: from a client outside, to its own pod
  entry.mutable_common_properties()->clear_filter_state_objects();
  set(*entry.mutable_common_properties()->mutable_downstream_remote_address(), "192.0.2.7", 5000);
  set(*entry.mutable_common_properties()->mutable_downstream_local_address(), "10.244.1.9", 80);
  collector.record("gateway~shop/edge", entry);
  entry = request();  // the same, at the waypoint behind
  set(*entry.mutable_common_properties()->mutable_downstream_remote_address(), "10.244.1.9", 4000);
  collector.record("waypoint~shop/w", entry);
  const auto found = rows(collector, {"reporter", "source_workload", "destination_service_name"});
  const auto row = [](const char* reporter) {
    return Row{{"reporter", reporter},
               {"source_workload", "edge"},
               {"destination_service_name", "reviews"}};
  };
  EXPECT_EQ(found, (std::map<Row, double>{
                       {row("source"), 1}, {row("waypoint"), 1}, {row("destination"), 1}}));
  for (const auto& [labels, value] : samples(collector, "istio_requests_total")) {
    if (labels.at("reporter") != "source") continue;
    EXPECT_EQ(labels.at("source_principal"), "spiffe://cluster.local/ns/shop/sa/edge");
  }
}

TEST(Telemetry, OurLastRouteIsNoRouteAndADirectAnswerIsNot) {
  const Known known;
  Collector collector(kQuiet, known);
  auto entry = request();
  entry.mutable_response()->set_response_code_details("direct_response");
  collector.record("waypoint~shop/w", entry);
  (*entry.mutable_common_properties()->mutable_custom_tags())["no_route"] = "true";
  collector.record("waypoint~shop/w", entry);
  entry.mutable_response()->set_response_code_details("rbac_access_denied_matched_policy[none]");
  collector.record("waypoint~shop/w", entry);
  EXPECT_EQ(
      rows(collector, {"response_flags"}),
      (std::map<Row, double>{{{{"response_flags", "-"}}, 2}, {{{"response_flags", "NR"}}, 1}}));
}

TEST(Telemetry, ATraceIsWhatEitherKindOfHeaderSays) {
  google::protobuf::Map<std::string, std::string> headers;
  EXPECT_EQ(trace_of(headers), "");
  headers["traceparent"] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  EXPECT_EQ(trace_of(headers), "0af7651916cd43dd8448eb211c80319c");
  headers["x-b3-traceid"] = "463ac35c9f6413ad";
  EXPECT_EQ(trace_of(headers), "463ac35c9f6413ad");
  headers["x-b3-traceid"] = "463ac35c9f6413a\"";
  headers["traceparent"] = "00-0af7651916cd43dd8448eb211c80319\n-b7ad6b7169203331-01";
  EXPECT_EQ(trace_of(headers), "") << "it would end the line";
}

TEST(Telemetry, TooManySeriesAreCountedAsDropped) {
  const Known known;
  Collector collector({.compat_reporters = false, .series_max = 2, .access_log = false}, known);
  for (std::uint32_t code : {200, 201, 202, 203}) {
    auto entry = request();
    entry.mutable_response()->mutable_response_code()->set_value(code);
    collector.record("waypoint~shop/w", entry);
  }
  EXPECT_EQ(samples(collector, "istio_requests_total").size(), 2u);
  EXPECT_EQ(samples(collector, "weft_telemetry_dropped_total")[0].second, 2);
}

TEST(Telemetry, AConnectionCountsItsBytes) {
  const Known known;
  Collector collector(kQuiet, known);
  accesslog::TCPAccessLogEntry entry;
  *entry.mutable_common_properties() = request().common_properties();
  entry.mutable_connection_properties()->set_sent_bytes(70);
  entry.mutable_connection_properties()->set_received_bytes(30);
  collector.record("waypoint~shop/w", entry);
  EXPECT_EQ(samples(collector, "istio_tcp_sent_bytes_total")[0].second, 70);
  EXPECT_EQ(samples(collector, "istio_tcp_received_bytes_total")[0].second, 30);
  EXPECT_EQ(samples(collector, "istio_tcp_connections_closed_total")[0].second, 1);
}

TEST(Telemetry, AConnectionIsTheWaypointsAlone) {
  const Known known;
  Collector collector({.access_log = false}, known);
  accesslog::TCPAccessLogEntry entry;
  *entry.mutable_common_properties() = request().common_properties();
  collector.record("waypoint~shop/w", entry);
  EXPECT_EQ(rows(collector, {"reporter"}, "istio_tcp_connections_opened_total"),
            (std::map<Row, double>{{{{"reporter", "waypoint"}}, 1}}));
}

}  // namespace
}  // namespace weft::controlplane::telemetry
