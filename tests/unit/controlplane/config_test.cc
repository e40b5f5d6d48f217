#include "controlplane/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weft::controlplane {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;

Parsed<Usage> parse(std::vector<const char*> flags) {
  flags.insert(flags.begin(), "weft-controlplane");
  return parse_flags(static_cast<int>(flags.size()), flags.data());
}

TEST(Config, FlagsAndDefaults) {
  const auto usage =
      parse({"--source", "files:/d", "--tls", "[::1]:15012", "--root-namespaces", "a,b",
             "--certificate-ttl", "20s", "--tls-ip", "10.0.0.1", "--tls-ip", "::1"});
  ASSERT_TRUE(usage) << usage.error().text;
  const Config& config = *usage->config;
  EXPECT_EQ(config.source_dir, "/d");
  EXPECT_EQ(config.certificate_ttl, 20s);
  EXPECT_THAT(config.root_namespaces, ElementsAre("a", "b"));
  EXPECT_THAT(config.tls_ips, ElementsAre("10.0.0.1", "::1"));
  EXPECT_EQ(config.trust_domain, "cluster.local");
  EXPECT_THAT(parse({"--source", "files:/d"})->config->root_namespaces,
              ElementsAre("weft-system", "istio-system"));
}

TEST(Config, PlaintextWithoutTokensIsForLoopbackOnly) {
  EXPECT_TRUE(parse({"--source", "files:/d", "--plaintext", "127.0.0.1:15010"}));
  EXPECT_TRUE(
      parse({"--source", "files:/d", "--plaintext", "10.0.0.1:15010", "--tokens", "/tokens"}));
  EXPECT_FALSE(parse({"--source", "files:/d", "--plaintext", "10.0.0.1:15010"}));
}

TEST(Config, Tracing) {
  EXPECT_EQ(parse({"--source", "files:/d"})->config->tracing, mesh::Tracing{});
  const auto usage = parse({"--source", "files:/d", "--tracing", "otlp://otel.tracing:4317",
                            "--tracing-sampling", "12.5"});
  ASSERT_TRUE(usage) << usage.error().text;
  EXPECT_EQ(usage->config->tracing.kind, mesh::Tracing::Kind::kOtlp);
  EXPECT_EQ(usage->config->tracing.host, "otel.tracing");
  EXPECT_EQ(usage->config->tracing.sampling_percent, 12.5);
}

TEST(Config, HelpAndVersionAreText) {
  EXPECT_THAT(parse({"--help"})->text, HasSubstr("--source"));
  EXPECT_THAT(parse({"--version"})->text, HasSubstr("weft-controlplane "));
  EXPECT_FALSE(parse({"--version"})->config);
}

TEST(Config, MistakesAreNamed) {
  const std::pair<std::vector<const char*>, const char*> rows[] = {
      {{}, "--source"},
      {{"--source", "kube:"}, "--source: must be files:DIR, kube or kube:KUBECONFIG, got kube:"},
      {{"--source", "files:"}, "must be files:DIR"},
      {{"--source", "files:/d", "--out", "kube"}, "--out: kube goes with --source=kube"},
      {{"--source", "kube", "--out", "files:"}, "--out: must be files:DIR or kube, got files:"},
      {{"--source", "kube", "--lease", "x"}, "--lease: must be NAMESPACE/NAME, got x"},
      {{"--source", "kube", "--lease", "a/b/../c"}, "--lease: must be NAMESPACE/NAME"},
      {{"--source", "kube", "--node-accounts", "a/b,/c"},
       "--node-accounts: must be NAMESPACE/NAME, got /c"},
      {{"--source", "files:/d", "--nonsense"}, "--nonsense"},
      {{"--source", "files:/d", "--tls", "15012"}, "--tls: must be ADDRESS:PORT, got 15012"},
      {{"--source", "files:/d", "--metrics", "x:1"}, "--metrics: must be ADDRESS:PORT"},
      {{"--source", "files:/d", "--certificate-ttl", "25h"},
       "--certificate-ttl: must be from 5s to 24h, got 25h"},
      {{"--source", "files:/d", "--certificate-ttl", "1d"}, "--certificate-ttl"},
      {{"--source", "files:/d", "--tls-ip", "here"}, "--tls-ip: must be an IP address, got here"},
      {{"--source", "files:/d", "--root-cert", "a"}, "come together"},
      {{"--source", "files:/d", "--tracing", "zipkin://zipkin:9411"},
       "--tracing: must be zipkin://HOST:PORT[/PATH] or otlp://HOST:PORT, HOST an IP address or "
       "SERVICE.NAMESPACE, got zipkin://zipkin:9411: "},
      {{"--source", "files:/d", "--tracing-sampling", "101"},
       "--tracing-sampling: must be a percentage from 0 to 100, got 101"},
      {{"--source", "files:/d", "--log-level", "loud"}, "loud"},
      {{"--source", "files:/d", "--trust-domain", ""}, "--trust-domain"},
      {{"--source", "files:/d", "--plaintext", "0.0.0.0:15010"},
       "must be a loopback address, got 0.0.0.0:15010"},
  };
  for (const auto& [flags, error] : rows) {
    const auto usage = parse(flags);
    ASSERT_FALSE(usage) << error;
    EXPECT_THAT(usage.error().text, HasSubstr(error));
  }
}

TEST(Config, Durations) {
  EXPECT_EQ(parse_duration("24h"), 24h);
  EXPECT_EQ(parse_duration("1h30m"), 90min);
  EXPECT_EQ(parse_duration("20s"), 20s);
  for (const char* bad : {"", "20", "h", "-5s", "1d", "9999999999s", "5 s"})
    EXPECT_FALSE(parse_duration(bad)) << bad;
}

}  // namespace
}  // namespace weft::controlplane
