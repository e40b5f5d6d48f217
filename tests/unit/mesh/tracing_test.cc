#include "mesh/tracing.h"

#include <gtest/gtest.h>

namespace weft::mesh {
namespace {

using Kind = Tracing::Kind;

TEST(Tracing, WhereSpansGo) {
  const std::pair<const char*, Tracing> rows[] = {
      {"", {}},
      {"zipkin://10.0.0.9:9411", {.kind = Kind::kZipkin, .host = "10.0.0.9", .port = 9411}},
      {"zipkin://zipkin.tracing:9411/",
       {.kind = Kind::kZipkin, .host = "zipkin.tracing", .port = 9411}},
      {"zipkin://z.t.svc.cluster.local:80/in/spans",
       {.kind = Kind::kZipkin, .host = "z.t.svc.cluster.local", .port = 80, .path = "/in/spans"}},
      {"otlp://[fd00::9]:4317", {.kind = Kind::kOtlp, .host = "fd00::9", .port = 4317}},
      {"otlp://otel.tracing:4317/", {.kind = Kind::kOtlp, .host = "otel.tracing", .port = 4317}},
  };
  for (const auto& [text, wanted] : rows) {
    const auto got = parse_tracing(text);
    ASSERT_TRUE(got) << text << ": " << got.error().text;
    EXPECT_TRUE(*got == wanted) << text;
  }
  EXPECT_EQ(parse_tracing("otlp://[fd00::9]:4317")->authority(), "[fd00::9]:4317");
  EXPECT_EQ(parse_tracing("otlp://otel.tracing:4317")->authority(), "otel.tracing:4317");
}

TEST(Tracing, WhatIsNoCollectorIsRefusedWithWhatCame) {
  const std::pair<const char*, const char*> rows[] = {
      {"zipkin", "it starts with neither"},
      {"http://10.0.0.9:9411", "it starts with neither"},
      {"zipkin://", "the port is missing"},
      {"zipkin://10.0.0.9", "the port is missing"},
      {"zipkin://[fd00::9]", "the port is missing"},
      {"zipkin://10.0.0.9:", "the port is no port"},
      {"zipkin://10.0.0.9:0", "the port is no port"},
      {"zipkin://10.0.0.9:65536", "the port is no port"},
      {"zipkin://10.0.0.9:94x", "the port is no port"},
      {"zipkin://fd00::9:9411", "has brackets"},
      {"zipkin://[10.0.0.9]:9411", "has brackets"},
      {"zipkin://[zipkin.tracing]:9411", "no name with its namespace"},
      {"zipkin://zipkin:9411", "no name with its namespace"},
      {"zipkin://10.0.0.999:9411", "no name with its namespace"},
      {"zipkin://a..b:9411", "no name with its namespace"},
      {"zipkin://u@zipkin.tracing:9411", "no name with its namespace"},
      {"zipkin://:9411", "no name with its namespace"},
      {"zipkin://z.t:9411/a b", "the path is no path"},
      {"zipkin://z.t:9411/a\n", "the path is no path"},
      {"otlp://z.t:4317/v1/traces", "OTLP over gRPC has no path"},
  };
  for (const auto& [text, why] : rows) {
    const auto got = parse_tracing(text);
    ASSERT_FALSE(got) << text;
    EXPECT_NE(got.error().text.find(why), std::string::npos) << text << ": " << got.error().text;
    EXPECT_NE(got.error().text.find(text), std::string::npos) << text;
  }
}

TEST(Tracing, AServiceIsNamedInShortOrInFull) {
  const std::string full = "zipkin.tracing.svc.cluster.local";
  for (const char* host : {"zipkin.tracing", "zipkin.tracing.svc", full.c_str()})
    EXPECT_TRUE(Tracing{.host = host}.names(full)) << host;
  for (const char* host : {"", "zipkin.trac", "10.0.0.9", "zipkin.tracing.svc.cluster.local.x"})
    EXPECT_FALSE(Tracing{.host = host}.names(full)) << host;
}

TEST(Tracing, SamplingIsAPercentage) {
  EXPECT_EQ(*parse_sampling("100"), 100);
  EXPECT_EQ(*parse_sampling("0"), 0);
  EXPECT_EQ(*parse_sampling("12.5"), 12.5);
  for (const char* bad : {"", "-1", "100.1", "x", "5%", "nan", "inf", "1e1", " 5"})
    EXPECT_FALSE(parse_sampling(bad)) << bad;
}

}  // namespace
}  // namespace weft::mesh
