#include "agent/zds.h"

#include <gtest/gtest.h>

#include "weft/zds.pb.h"

namespace weft::agent::zds {
namespace {

namespace pb = istio::workload::zds;

std::vector<std::byte> bytes(const google::protobuf::MessageLite& message) {
  std::vector<std::byte> out(message.ByteSizeLong());
  message.SerializeToArray(out.data(), static_cast<int>(out.size()));
  return out;
}
std::vector<std::byte> raw(std::string_view text) {
  const auto* data = reinterpret_cast<const std::byte*>(text.data());
  return {data, data + text.size()};
}
pb::WorkloadRequest parse(const Frame& frame) {
  pb::WorkloadRequest request;
  EXPECT_TRUE(request.ParseFromArray(frame.data(), static_cast<int>(frame.size())));
  return request;
}
std::vector<std::byte> hello(int version, std::optional<std::uint32_t> loops) {
  pb::ZdsHello message;
  message.set_version(static_cast<pb::Version>(version));
  if (loops) message.mutable_weft()->set_loops(*loops);
  return bytes(message);
}
std::vector<std::byte> request(std::string uid, std::uint32_t count) {
  pb::WorkloadResponse message;
  message.mutable_socket_request()->set_uid(uid);
  message.mutable_socket_request()->set_count(count);
  return bytes(message);
}

TEST(Zds, ReadsAHello) {
  pb::ZdsHello message;
  message.set_version(pb::V1);
  message.mutable_weft()->set_loops(2);
  message.mutable_weft()->set_dns(true);
  const auto decoded = decode_hello(bytes(message));
  ASSERT_TRUE(decoded.has_value());
  EXPECT_EQ(decoded->loops, 2u);
  EXPECT_TRUE(decoded->dns);
}

TEST(Zds, RefusesBadHellosWithTheReason) {
  const std::vector<std::pair<std::vector<std::byte>, const char*>> rows = {
      {{}, "version is 0"},
      {raw("\xff\xff\xff"), "no ZdsHello"},
      {raw("GET / HTTP/1.1"), "no ZdsHello"},
      {hello(0, 1), "version is 0"},
      {hello(2, 1), "version is 2"},
      {hello(1, std::nullopt), "not supported"},
      {hello(1, 0), "loops is 0"},
      {hello(1, kLoopsMost + 1), "loops is 17"},
      {hello(1, 4'000'000'000), "loops is 4000000000"},
      {std::vector<std::byte>(kFrameMax + 1), "longer than 1024"},
  };
  for (const auto& [frame, reason] : rows) {
    const auto decoded = decode_hello(frame);
    ASSERT_FALSE(decoded.has_value()) << reason;
    EXPECT_NE(decoded.error().text.find(reason), std::string::npos) << decoded.error().text;
  }
}

TEST(Zds, ReadsAcksAndRequests) {
  pb::WorkloadResponse ack;
  ack.mutable_ack()->set_error("no room");
  auto decoded = decode_response(bytes(ack), 0);
  ASSERT_TRUE(decoded.has_value());
  EXPECT_EQ(std::get<Ack>(*decoded).error, "no room");

  pb::WorkloadResponse wanted;
  auto& message = *wanted.mutable_socket_request();
  message.set_uid("u1");
  message.set_count(64);
  message.set_v6(true);
  message.set_id(77);
  decoded = decode_response(bytes(wanted), 0);
  ASSERT_TRUE(decoded.has_value());
  const auto& request = std::get<SocketRequest>(*decoded);
  EXPECT_EQ(request.uid, "u1");
  EXPECT_EQ(request.count, 64u);
  EXPECT_TRUE(request.v6);
  EXPECT_FALSE(request.udp);
  EXPECT_EQ(request.id, 77u);
}

TEST(Zds, RefusesBadResponsesWithTheReason) {
  struct Row {
    std::vector<std::byte> frame;
    std::size_t descriptors;
    const char* reason;
  };
  pb::WorkloadResponse ack;
  ack.mutable_ack();
  const std::vector<Row> rows = {
      {{}, 0, "no payload"},
      {raw("\xff"), 0, "no WorkloadResponse"},
      {raw("\x0a\x7f"), 0, "no WorkloadResponse"},
      {raw("\x0a\x02\x0a"), 0, "no WorkloadResponse"},
      {raw(std::string_view("\x00\x00\x00", 3)), 0, "no WorkloadResponse"},
      {raw(std::string_view("\x12\x00", 2)), 0, "no payload"},
      {raw("\x0a\x03\x0a\x01\xff"), 0, "no WorkloadResponse"},  // a string that is no UTF-8
      {bytes(ack), 1, "1 descriptors"},
      {request("", 1), 0, "uid is empty"},
      {request(std::string(kUidMax + 1, 'u'), 1), 0, "129 bytes"},
      {request("u1", 0), 0, "count is 0"},
      {request("u1", kConnectionsMost + 1), 0, "count is 65"},
      {request("u1", 4'294'967'295u), 0, "count is 4294967295"},
      {std::vector<std::byte>(kFrameMax + 1), 0, "longer than 1024"},
  };
  for (const auto& row : rows) {
    const auto decoded = decode_response(row.frame, row.descriptors);
    ASSERT_FALSE(decoded.has_value()) << row.reason;
    EXPECT_NE(decoded.error().text.find(row.reason), std::string::npos) << decoded.error().text;
  }
}

TEST(Zds, WritesWhatIstiosZtunnelReads) {
  const auto add = encode_add({.uid = "u1", .name = "web", .ns = "shop", .service_account = "front", .kinds = {SocketKind::kInbound, SocketKind::kHbone},
                               .addresses = {*IpAddress::parse("10.0.0.7"), *IpAddress::parse("fd00::7")}});
  ASSERT_TRUE(add.has_value());
  const auto message = parse(*add);
  EXPECT_EQ(message.add().uid(), "u1");
  EXPECT_EQ(message.add().workload_info().name(), "web");
  EXPECT_EQ(message.add().workload_info().namespace_(), "shop");
  EXPECT_EQ(message.add().workload_info().service_account(), "front");
  ASSERT_EQ(message.add().weft().kinds_size(), 2);
  EXPECT_EQ(message.add().weft().kinds(0), pb::INBOUND);
  EXPECT_EQ(message.add().weft().kinds(1), pb::HBONE);
  ASSERT_EQ(message.add().weft().addresses_size(), 2);
  EXPECT_EQ(message.add().weft().addresses(0).size(), 4u);
  EXPECT_EQ(message.add().weft().addresses(1).size(), 16u);

  EXPECT_EQ(parse(encode_del("u2", true)).del().uid(), "u2");
  EXPECT_TRUE(parse(encode_del("u2", true)).del().running());
  EXPECT_EQ(parse(encode_keep("u3")).keep().uid(), "u3");
  EXPECT_TRUE(parse(encode_snapshot_sent()).has_snapshot_sent());
  EXPECT_EQ(parse(encode_grant(9, "no")).grant().id(), 9u);
  EXPECT_EQ(encode_del("u2", false), raw(std::string_view("\x12\x04\x12\x02u2", 6)));  // field 2 in both places
}

TEST(Zds, KeepsEveryFrameWithinTheLimit) {
  Add add{.uid = std::string(36, 'u'), .name = std::string(253, 'n'), .ns = std::string(63, 's'), .service_account = std::string(253, 'a')};
  for (std::uint32_t i = 0; i < 8 * kLoopsMost; ++i) add.kinds.push_back(SocketKind::kHbone);
  add.addresses = {*IpAddress::parse("10.0.0.7"), *IpAddress::parse("fd00::7")};
  const auto frame = encode_add(add);
  ASSERT_TRUE(frame.has_value());
  EXPECT_LE(frame->size(), kFrameMax);
  add.name = std::string(1000, 'n');
  EXPECT_FALSE(encode_add(add).has_value());
  EXPECT_LE(encode_grant(~0ull, std::string(5000, 'e')).size(), kFrameMax);
}

}  // namespace
}  // namespace weft::agent::zds
