#include "ztunnel/app/config.h"

#include <gtest/gtest.h>

namespace weft::app {
namespace {

using namespace std::chrono_literals;

Environment good() { return {{"NODE_NAME", "n1"}}; }

TEST(Config, HasADefaultForAllButTheNode) {
  const auto config = parse_config(good(), 2);
  ASSERT_TRUE(config) << config.error().text;
  EXPECT_EQ(config->threads, 2u);
  EXPECT_EQ(config->secret_ttl, 24h);
  EXPECT_EQ(config->trust_domain, "cluster.local");
  EXPECT_EQ(config->admin.str(), "127.0.0.1:15000");
  EXPECT_EQ(config->metrics.port, 15020);
  EXPECT_EQ(config->ready.port, 15021);
  EXPECT_TRUE(config->dns_capture);
  EXPECT_EQ(config->dns_upstream.port, 0);
  EXPECT_EQ(config->metadata.at("CLUSTER_ID"), "Kubernetes");
  EXPECT_EQ(parse_config({}, 2).error().text, "NODE_NAME=\"\": wanted the name of this node");
}

TEST(Config, TakesOverOnlyWhenItIsTold) {
  auto in = good();
  EXPECT_FALSE(parse_config(in, 2)->take_over);
  EXPECT_EQ(parse_config(in, 2)->ready_socket, "");
  in["WEFT_TAKE_OVER"] = "true";
  in["WEFT_READY_SOCKET"] = "/run/weft/ready.sock";
  EXPECT_TRUE(parse_config(in, 2)->take_over);
  EXPECT_EQ(parse_config(in, 2)->ready_socket, "/run/weft/ready.sock");
  in["WEFT_READY_SOCKET"] = "ready.sock";
  EXPECT_EQ(parse_config(in, 2).error().text,
            "WEFT_READY_SOCKET=\"ready.sock\": wanted an absolute path");
}

TEST(Config, TakesIstiosVariables) {
  auto in = good();
  in["ISTIO_META_CLUSTER_ID"] = "east";
  in["ISTIO_META_NETWORK"] = "net";
  in["ISTIO_METAJSON_LABELS"] = "{}";
  in["XDS_HEADER_X-Tenant"] = "t";
  in["RUST_LOG"] = "debug";
  in["SECRET_TTL"] = "20s";
  const auto config = parse_config(in, 2);
  ASSERT_TRUE(config) << config.error().text;
  EXPECT_EQ(config->cluster_id, "east");
  EXPECT_EQ(config->metadata.at("NETWORK"), "net");
  EXPECT_EQ(config->metadata_json.at("LABELS"), "{}");
  EXPECT_EQ(config->xds.headers.at("x-tenant"), "t");
  EXPECT_EQ(config->log_level, "debug");
  EXPECT_EQ(config->secret_ttl, 20s);
}

TEST(Config, ThreadsAreANumberAShareOrAll) {
  const auto threads = [](const char* text, unsigned cpus) {
    auto in = good();
    in["ZTUNNEL_WORKER_THREADS"] = text;
    const auto config = parse_config(in, cpus);
    return config ? static_cast<int>(config->threads) : -1;
  };
  EXPECT_EQ(threads("3", 2), 3);
  EXPECT_EQ(threads("0", 8), 8);
  EXPECT_EQ(threads("50%", 8), 4);
  EXPECT_EQ(threads("1%", 8), 1);
  EXPECT_EQ(threads("", 16), 4);
  EXPECT_EQ(threads("", 2), 2);
  EXPECT_EQ(threads("200%", 8), -1);
  EXPECT_EQ(threads("99", 8), -1);
  EXPECT_EQ(threads("many", 8), -1);
}

TEST(Config, DnsNeedsEverything) {
  auto in = good();
  in["XDS_ON_DEMAND"] = "true";
  EXPECT_FALSE(parse_config(in, 2)->dns_capture);
  in["ISTIO_META_DNS_CAPTURE"] = "true";
  EXPECT_FALSE(parse_config(in, 2));
}

TEST(Config, ABadValueIsOneLineThatNamesVariableAndValue) {
  const std::pair<const char*, const char*> bad[] = {
      {"INSTANCE_IP", "localhost"},   {"XDS_ADDRESS", "istiod"},        {"XDS_ADDRESS", "ftp://a:1"},   {"CA_ADDRESS", "https://a:0"},
      {"CA_ADDRESS", ""},             {"INPOD_UDS", "relative.sock"},   {"XDS_ON_DEMAND", "yes"},       {"SECRET_TTL", "soon"},
      {"SECRET_TTL", "0s"},           {"WEFT_IO", "aio"},               {"WEFT_LOG_LEVEL", "loud"},     {"LOG_FORMAT", "xml"},
      {"WEFT_STATE_DIR", "state"},    {"WEFT_DNS_UPSTREAM", "10.0.0.1"}, {"WEFT_ADMIN_ADDR", "15000"},  {"WEFT_METRICS_ADDR", "x:1"},
      {"WEFT_READY_ADDR", "[::]"},    {"TRUST_DOMAIN", ""},             {"TERMINATION_GRACE_PERIOD_SECONDS", "-1"},
      {"ISTIO_META_DNS_CAPTURE", "maybe"}, {"ZTUNNEL_WORKER_THREADS", "-2"}};
  for (const auto& [name, value] : bad) {
    auto in = good();
    in[name] = value;
    const auto config = parse_config(in, 2);
    ASSERT_FALSE(config) << name << "=" << value;
    const auto& text = config.error().text;
    EXPECT_TRUE(text.starts_with(std::string(name) + "=\"" + value + "\": ")) << text;
    EXPECT_EQ(text.find('\n'), std::string::npos) << text;
  }
}

TEST(Config, AllBadValuesAreToldAtOnce) {
  auto in = good();
  in["WEFT_IO"] = "aio";
  in["LOG_FORMAT"] = "xml";
  const auto config = parse_config(in, 2);
  ASSERT_FALSE(config);
  EXPECT_EQ(std::count(config.error().text.begin(), config.error().text.end(), '\n'), 1);
}

TEST(Config, ReadsDurations) {
  EXPECT_EQ(parse_duration("24h"), 24h);
  EXPECT_EQ(parse_duration("1h30m"), 90min);
  EXPECT_EQ(parse_duration("1500ms"), 2s);
  EXPECT_EQ(parse_duration("90"), 90s);
  EXPECT_EQ(parse_duration("2d"), 48h);
  for (const char* bad : {"", "h", "1x", "-1s", "1h-"}) {
    EXPECT_EQ(parse_duration(bad), std::nullopt) << bad;
  }
}

TEST(Config, ConnectionsFitWhatTheProcessMayOpen) {
  for (const std::uint64_t files : {256u, 1024u, 20'000u, 1'048'576u}) {
    for (const std::uint32_t threads : {1u, 2u, 31u}) {
      const Maxima one = maxima_of(files, threads);
      EXPECT_GE(one.connections, 1u);
      EXPECT_LE(threads * (2 * one.connections + one.pooled_sockets), files - files / 16) << files << " " << threads;
    }
  }
  EXPECT_EQ(maxima_of(1 << 20, 2).connections, 32768u);
}

TEST(Config, ShowsNoSecret) {
  auto in = good();
  in["AUTH_TOKEN"] = "/run/secret-token";
  in["XDS_ROOT_CA"] = "-----BEGIN CERTIFICATE-----";
  for (const auto& [name, value] : parse_config(in, 2)->shown()) {
    EXPECT_EQ(value.find("secret-token"), std::string::npos);
    EXPECT_EQ(value.find("BEGIN"), std::string::npos);
  }
}

}  // namespace
}  // namespace weft::app
