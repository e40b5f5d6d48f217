#include "ztunnel/proxy/record.h"

#include <gtest/gtest.h>

#include "tests/unit/mesh/world.h"

namespace weft::proxy {
namespace {

using namespace std::chrono_literals;

struct Kept final : AccessLog {
  void write(bool bad, std::string_view text) override {
    failed = bad;
    line = text;
    ++count;
  }
  bool failed = false;
  std::string line;
  int count = 0;
};

struct Record : testing::Test {
  const Clock::time_point start = Clock::now();
  MetricsShard metrics;
  Kept log;

  void fill(ConnectionRecord& record) {
    auto client = mesh::pod("client-7f", "10.244.1.2");
    client.workload_name = client.canonical_name = "client";
    client.canonical_revision = "v1";
    auto server = mesh::pod("server-9c", "10.244.2.3");
    server.workload_name = server.canonical_name = "server";
    record.source = *SocketAddress::parse("10.244.1.2:40000");
    record.destination = *SocketAddress::parse("10.244.2.3:8080");
    record.hbone = *SocketAddress::parse("10.244.2.3:15008");
    record.source_workload = std::make_shared<mesh::Workload>(client);
    record.destination_workload = std::make_shared<mesh::Workload>(server);
    record.service =
        std::make_shared<mesh::Service>(mesh::service("web", "10.96.0.5", {{80, 8080}}));
    record.mutual_tls = true;
  }
  // The values of the only series whose response_flags are `flags`.
  std::vector<std::string> labels(std::string_view flags) {
    std::vector<std::string> out;
    metrics.visit_traffic([&](auto values, const TrafficSeries&) {
      if (values[21] == flags) out.assign(values.begin(), values.end());
    });
    return out;
  }
};

TEST_F(Record, ACompleteConnectionIsOneLineWithEveryField) {
  ConnectionRecord record(metrics, log, Direction::kOutbound, start);
  fill(record);
  record.established();
  record.client_to_server.add(10);
  record.server_to_client.add(200);
  record.finish_ok(start + 12ms);
  EXPECT_EQ(log.count, 1);
  EXPECT_FALSE(log.failed);
  EXPECT_EQ(
      log.line,
      "connection complete src.addr=10.244.1.2:40000 src.workload=\"client-7f\" "
      "src.namespace=\"default\" "
      "src.identity=\"spiffe://cluster.local/ns/default/sa/client-7f\" src.cluster=\"Kubernetes\" "
      "dst.addr=10.244.2.3:8080 "
      "dst.hbone_addr=10.244.2.3:15008 dst.service=\"web.default.svc.cluster.local\" "
      "dst.workload=\"server-9c\" "
      "dst.namespace=\"default\" dst.identity=\"spiffe://cluster.local/ns/default/sa/server-9c\" "
      "dst.cluster=\"Kubernetes\" "
      "direction=\"outbound\" bytes_sent=10 bytes_recv=200 duration=\"12ms\"");
}

TEST_F(Record, TheLabelsAreIstiosInOrder) {
  ConnectionRecord record(metrics, log, Direction::kOutbound, start);
  fill(record);
  record.established();
  record.finish_ok(start);
  const std::vector<std::string> expected = {"source",
                                             "client",
                                             "client",
                                             "v1",
                                             "default",
                                             "spiffe://cluster.local/ns/default/sa/client-7f",
                                             "client",
                                             "v1",
                                             "Kubernetes",
                                             "web.default.svc.cluster.local",
                                             "default",
                                             "web",
                                             "server",
                                             "server",
                                             "unknown",
                                             "default",
                                             "spiffe://cluster.local/ns/default/sa/server-9c",
                                             "server",
                                             "unknown",
                                             "Kubernetes",
                                             "tcp",
                                             "-",
                                             "mutual_tls"};
  EXPECT_EQ(labels("-"), expected);
}

TEST_F(Record, BytesCountWhileTheConnectionIsOpenInTheSameDirectionOnBothReporters) {
  for (auto direction : {Direction::kOutbound, Direction::kInbound}) {
    MetricsShard shard;
    ConnectionRecord record(shard, log, direction, start);
    record.established();
    record.client_to_server.add(7);
    record.server_to_client.add(9);
    shard.visit_traffic([&](auto, const TrafficSeries& series) {
      EXPECT_EQ(series.received.get(), 7u);
      EXPECT_EQ(series.sent.get(), 9u);
      EXPECT_EQ(series.opened.get(), 1u);
      EXPECT_EQ(series.closed.get(), 0u);
    });
    EXPECT_EQ(shard.sockets_open[direction == Direction::kOutbound ? 0 : 1].get(), 1u);
    record.finish_ok(start);
    EXPECT_EQ(shard.sockets_open[direction == Direction::kOutbound ? 0 : 1].get(), 0u);
  }
}

TEST_F(Record, TheLogCountsBytesFromTheApplicationsPointOfView) {
  ConnectionRecord record(metrics, log, Direction::kInbound, start);
  record.established();
  record.client_to_server.add(10);
  record.server_to_client.add(200);
  record.finish_ok(start);
  EXPECT_NE(log.line.find("bytes_sent=200 bytes_recv=10"), std::string::npos) << log.line;
}

TEST_F(Record, ADenialNamesBothIdentitiesAndThePolicy) {
  ConnectionRecord record(metrics, log, Direction::kInbound, start);
  fill(record);
  record.finish_denied(
      start,
      {.allowed = false, .policy = "default/no", .reason = mesh::Verdict::Reason::kDeniedByPolicy});
  EXPECT_TRUE(log.failed);
  for (const char* part : {"connection failed", "sa/client-7f", "sa/server-9c",
                           "policy=\"default/no\"", "flags=\"DENY\""}) {
    EXPECT_NE(log.line.find(part), std::string::npos) << part << " in " << log.line;
  }
  metrics.visit_traffic([&](auto values, const TrafficSeries& series) {
    EXPECT_EQ(values[21], "DENY");
    EXPECT_EQ(series.failed.get(), 1u);
    EXPECT_EQ(series.opened.get() + series.closed.get(), 0u);
  });
}

TEST_F(Record, AnEarlyFailureIsLoggedWithReasonAndHint) {
  ConnectionRecord record(metrics, log, Direction::kOutbound, start);
  record.source = *SocketAddress::parse("[fd00::2]:4000");
  record.finish_error(start, Outcome::kNetworkPolicy, Error{Code::kTimedOut, 0, "connect"},
                      "is 15008 blocked?");
  EXPECT_TRUE(log.failed);
  EXPECT_EQ(log.line,
            "connection failed src.addr=[fd00::2]:4000 direction=\"outbound\" bytes_sent=0 "
            "bytes_recv=0 duration=\"0ms\" "
            "flags=\"NETWORK_POLICY\" error=\"timed out: connect\" hint=\"is 15008 blocked?\"");
}

TEST_F(Record, AResetByTheApplicationIsAnErrorTextButNoFailure) {
  ConnectionRecord record(metrics, log, Direction::kOutbound, start);
  record.established();
  record.finish_error(start, Outcome::kOk, Error{Code::kClosed, ECONNRESET, "receive"});
  EXPECT_FALSE(log.failed);
  EXPECT_NE(log.line.find("error=\"closed: receive"), std::string::npos);
  metrics.visit_traffic(
      [&](auto, const TrafficSeries& series) { EXPECT_EQ(series.failed.get(), 0u); });
}

TEST_F(Record, NamesFromTheNetworkCannotBreakTheLine) {
  ConnectionRecord record(metrics, log, Direction::kOutbound, start);
  fill(record);
  auto service = *record.service;
  service.hostname = "a\"b\nc\\d";
  record.service = std::make_shared<mesh::Service>(service);
  record.finish_ok(start);
  EXPECT_EQ(log.line.find('\n'), std::string::npos);
  EXPECT_NE(log.line.find("dst.service=\"a\\\"b\\x0ac\\\\d\""), std::string::npos) << log.line;
}

TEST_F(Record, AMetricThatWouldBeOneTooManySharesASeries) {
  std::array<std::string, kTrafficLabels.size()> values;
  for (std::size_t i = 0; i < MetricsShard::kSeriesMax + 50; ++i) {
    values[1] = std::to_string(i);
    std::array<std::string_view, kTrafficLabels.size()> views;
    std::ranges::copy(values, views.begin());
    metrics.traffic(views).opened.add(1);
  }
  std::size_t series = 0, total = 0;
  metrics.visit_traffic([&](auto, const TrafficSeries& each) {
    ++series;
    total += each.opened.get();
  });
  EXPECT_EQ(series, MetricsShard::kSeriesMax + 1);
  EXPECT_EQ(total, MetricsShard::kSeriesMax + 50) << "nothing is lost, only its labels";
  EXPECT_EQ(metrics.overflowed.get(), 50u);
}

}  // namespace
}  // namespace weft::proxy
