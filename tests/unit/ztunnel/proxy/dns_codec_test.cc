#include "ztunnel/proxy/dns_codec.h"

#include <gtest/gtest.h>

#include "tests/unit/ztunnel/proxy/dns_message.h"

namespace weft::proxy::dns {
namespace {

Bytes reply_to(const Bytes& message, const Reply& reply, std::size_t limit = kMessageMax) {
  auto parsed = parse_query(message);
  EXPECT_TRUE(parsed.has_value());
  Bytes out;
  encode_reply(*parsed, message, reply, limit, out);
  return out;
}

TEST(DnsCodec, ReadsAQuestionInLowerCase) {
  auto parsed = parse_query(query("WeB.Default.svc.cluster.LOCAL", kTypeA));
  ASSERT_TRUE(parsed.has_value());
  EXPECT_EQ(parsed->name, "web.default.svc.cluster.local");
  EXPECT_EQ(parsed->type, kTypeA);
  EXPECT_EQ(parsed->klass, kClassIn);
  EXPECT_EQ(parsed->id, 0x1234);
  EXPECT_TRUE(parsed->recursion_desired);
  EXPECT_FALSE(parsed->edns);
  EXPECT_EQ(parsed->reply_limit, kUdpMin);
}

TEST(DnsCodec, EdnsSetsTheReplyLimitWithinBounds) {
  EXPECT_EQ(parse_query(query("a.b", kTypeA, 4096))->reply_limit, kUdpMax);
  EXPECT_EQ(parse_query(query("a.b", kTypeA, 800))->reply_limit, 800u);
  EXPECT_EQ(parse_query(query("a.b", kTypeA, 100))->reply_limit, kUdpMin);
}

TEST(DnsCodec, ANameWithStrangeBytesIsNotAHostName) {
  auto message = query("a.b", kTypeA);
  message[13] = std::byte{'.'};  // one label of one dot: must not read as a separator
  auto parsed = parse_query(message);
  ASSERT_TRUE(parsed.has_value());
  EXPECT_EQ(parsed->name, "");
}

TEST(DnsCodec, RefusesWhatIsNoQuery) {
  const auto good = query("a.b", kTypeA);
  for (std::size_t size = 0; size < good.size(); ++size) {
    EXPECT_FALSE(parse_query(std::span(good).first(size)).has_value()) << "truncated to " << size;
  }
  auto response = good;
  response[2] |= std::byte{0x80};
  EXPECT_FALSE(parse_query(response).has_value());
  auto two = good;
  two[5] = std::byte{2};
  EXPECT_FALSE(parse_query(two).has_value());
  auto compressed = good;
  compressed[12] = std::byte{0xc0};
  EXPECT_FALSE(parse_query(compressed).has_value());
}

TEST(DnsCodec, ANameLongerThan255IsMalformed) {
  std::string name;
  for (int i = 0; i < 5; ++i) name += std::string(i == 0 ? "" : ".") + std::string(60, 'a');
  EXPECT_FALSE(parse_query(query(name, kTypeA)).has_value());
}

TEST(DnsCodec, AnswersEchoTheQuestionByteForByte) {
  const auto message = query("WEB.default", kTypeA);
  const auto reply =
      reply_to(message, {.authoritative = true, .addresses = {*IpAddress::parse("10.96.0.5")}});
  EXPECT_TRUE(
      std::equal(message.begin() + kHeaderBytes, message.end(), reply.begin() + kHeaderBytes));
  EXPECT_TRUE(authoritative(reply));
  EXPECT_TRUE(answers(reply, message));
  const auto records = records_of(reply);
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0].name, "WEB.default");
  EXPECT_EQ(records[0].data, "10.96.0.5");
  EXPECT_EQ(records[0].ttl, 30);
}

TEST(DnsCodec, ACnameComesFirstAndOwnsTheAddresses) {
  const auto reply =
      reply_to(query("api.example.com.default.svc.cluster.local", kTypeAaaa),
               {.canonical = "api.example.com", .addresses = {*IpAddress::parse("fd00:96::5")}});
  const auto records = records_of(reply);
  ASSERT_EQ(records.size(), 2u);
  EXPECT_EQ(records[0].type, kTypeCname);
  EXPECT_EQ(records[0].data, "api.example.com");
  EXPECT_EQ(records[1].name, "api.example.com");
  EXPECT_EQ(records[1].type, kTypeAaaa);
  EXPECT_EQ(records[1].data, "fd00:96::5");
}

TEST(DnsCodec, WhatDoesNotFitIsLeftOutAndSaid) {
  Reply many;
  for (int i = 0; i < 100; ++i)
    many.addresses.push_back(IpAddress::v4({10, 0, 0, static_cast<std::uint8_t>(i)}));
  const auto small = reply_to(query("a.b", kTypeA), many, kUdpMin);
  EXPECT_TRUE(truncated(small));
  EXPECT_LE(small.size(), kUdpMin);
  EXPECT_EQ(records_of(small).size(), static_cast<std::size_t>(answer_count(small)));
  const auto large = reply_to(query("a.b", kTypeA), many);
  EXPECT_FALSE(truncated(large));
  EXPECT_EQ(answer_count(large), 100);
}

TEST(DnsCodec, EdnsIsAnsweredWithEdns) {
  const auto reply =
      reply_to(query("a.b", kTypeA, 1232), {.addresses = {*IpAddress::parse("10.0.0.1")}}, 1232);
  EXPECT_EQ(u16_at(reply, 10), 1);
  EXPECT_EQ(u16_at(reply, reply.size() - 10), kTypeOpt);
}

TEST(DnsCodec, AReplyAnswersOnlyItsOwnQuery) {
  const auto message = query("a.b", kTypeA);
  auto reply = reply_to(message, {});
  EXPECT_TRUE(answers(reply, message));
  EXPECT_FALSE(answers(message, message)) << "a query is no reply";
  EXPECT_FALSE(answers(reply, query("a.c", kTypeA)));
  EXPECT_FALSE(answers(reply, query("a.b", kTypeAaaa)));
  reply[0] = std::byte{0xff};
  EXPECT_FALSE(answers(reply, message));
}

}  // namespace
}  // namespace weft::proxy::dns
