#include "ztunnel/hbone/head.h"

#include <gtest/gtest.h>

namespace weft::hbone {
namespace {

TEST(Authority, AddressesAndNames) {
  const auto v4 = Authority::parse("10.0.0.1:80");
  ASSERT_TRUE(v4.has_value());
  EXPECT_EQ(v4->ip, IpAddress::parse("10.0.0.1"));
  EXPECT_EQ(v4->port, 80);
  const auto v6 = Authority::parse("[fd00::1]:65535");
  ASSERT_TRUE(v6.has_value());
  EXPECT_EQ(v6->ip, IpAddress::parse("fd00::1"));
  EXPECT_EQ(v6->host, "fd00::1");
  EXPECT_EQ(v6->port, 65535);
  const auto name = Authority::parse("web.default.svc.cluster.local:8080");
  ASSERT_TRUE(name.has_value());
  EXPECT_FALSE(name->ip.has_value());
  EXPECT_EQ(name->host, "web.default.svc.cluster.local");
}

TEST(Authority, WhatIsNotOneIsRefused) {
  for (const char* text : {"", ":", ":80", "host", "host:", "host:0", "host:65536", "host:-1", "host:+1", "host: 80", "host:80 ", "host:8x",
                           "a b:80", "user@host:80", "fd00::1:80", "[fd00::1]80", "[fd00::1:80", "[10.0.0.1]:80", "[]:80", "[x]:80",
                           "host/:80", "host:80:90", "[::1%eth0]:80"}) {
    EXPECT_FALSE(Authority::parse(text).has_value()) << text;
  }
  EXPECT_FALSE(Authority::parse(std::string(254, 'a') + ":80").has_value());
}

TEST(Forwarded, ForIsAlwaysQuotedAndHostOnlyWhenKnown) {
  EXPECT_EQ(format_forwarded(*SocketAddress::parse("10.1.2.3:4711")), "for=\"10.1.2.3:4711\"");
  EXPECT_EQ(format_forwarded(*SocketAddress::parse("[fd00::1]:1"), "web.ns.svc"), "for=\"[fd00::1]:1\";host=web.ns.svc");
}

TEST(Forwarded, HostIsTheFirstAndLosesOnePairOfQuotes) {
  EXPECT_EQ(forwarded_host("for=\"1.2.3.4:5\";host=web"), "web");
  EXPECT_EQ(forwarded_host("host=\"web\";host=other"), "web");
  EXPECT_EQ(forwarded_host("host=\"\"web\"\""), "\"web\"");
  EXPECT_EQ(forwarded_host("for=x"), "");
  EXPECT_EQ(forwarded_host("host="), "");
  EXPECT_EQ(forwarded_host("host=w\xc3\xa9"
                           "b"),
            "");
}

TEST(Traceparent, OnlyAWellFormedOneIsOne) {
  EXPECT_EQ(make_traceparent(1, 2, 3), "00-00000000000000010000000000000002-0000000000000003-00");
  EXPECT_TRUE(is_traceparent(make_traceparent(~0ull, 0, 7)));
  EXPECT_TRUE(is_traceparent(make_traceparent(0, 0, 0)));
  EXPECT_TRUE(is_traceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
  EXPECT_FALSE(is_traceparent("00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01"));
  EXPECT_FALSE(is_traceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0"));
  EXPECT_FALSE(is_traceparent("01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
  EXPECT_FALSE(is_traceparent("00-00000000000000000000000000000000-b7ad6b7169203331-01"));
  EXPECT_FALSE(is_traceparent("00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01"));
}

TEST(Status, FollowsTheError) {
  EXPECT_EQ(status_of({Code::kDenied}), 401);
  EXPECT_EQ(status_of({Code::kMalformed}), 400);
  for (Code code : {Code::kUnreachable, Code::kTimedOut, Code::kNotFound, Code::kExhausted, Code::kSystem}) {
    EXPECT_EQ(status_of({code}), 503);
  }
  EXPECT_EQ(error_of_status(400).code, Code::kMalformed);
  EXPECT_EQ(error_of_status(401).code, Code::kDenied);
  EXPECT_EQ(error_of_status(503).code, Code::kUnreachable);
  EXPECT_EQ(error_of_status(404).code, Code::kUnreachable);
}

}  // namespace
}  // namespace weft::hbone
