#include "ztunnel/pods/zds.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <functional>

#include "weft/zds.pb.h"

namespace weft::pods {
namespace {

namespace pb = istio::workload::zds;

constexpr int kOneLoop[] = {pb::OUTBOUND_V4, pb::OUTBOUND_V6, pb::INBOUND, pb::HBONE, pb::DNS_UDP_V4, pb::DNS_TCP_V4};

pb::WorkloadRequest good_add() {
  pb::WorkloadRequest out;
  auto& add = *out.mutable_add();
  add.set_uid("u");
  add.mutable_workload_info()->set_name("pod");
  add.mutable_workload_info()->set_namespace_("ns");
  add.mutable_workload_info()->set_service_account("sa");
  for (const int kind : kOneLoop) add.mutable_weft()->add_kinds(static_cast<pb::SocketKind>(kind));
  add.mutable_weft()->add_addresses(std::string("\x0a\x00\x00\x01", 4));
  return out;
}

std::vector<Fd> some(std::size_t count) {
  std::vector<Fd> out;
  for (std::size_t i = 0; i < count; ++i) out.emplace_back(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  return out;
}

AddPod decoded_add(const pb::WorkloadRequest& request) {
  auto message = decode_agent_message(request.SerializeAsString());
  EXPECT_TRUE(message);
  return std::get<AddPod>(*message);
}

TEST(Zds, ReadsAnAdd) {
  const auto add = decoded_add(good_add());
  EXPECT_EQ(add.pod.uid, "u");
  EXPECT_EQ(add.pod.name, "pod");
  EXPECT_EQ(add.pod.ns, "ns");
  EXPECT_EQ(add.pod.service_account, "sa");
  EXPECT_TRUE(add.from_weft);
  EXPECT_EQ(add.pod.addresses.at(0).str(), "10.0.0.1");
}

TEST(Zds, ReadsTheOtherMessages) {
  pb::WorkloadRequest keep, gone, sent, grant;
  keep.mutable_keep()->set_uid("k");
  gone.mutable_del()->set_uid("d");
  sent.mutable_snapshot_sent();
  grant.mutable_grant()->set_id(7);
  grant.mutable_grant()->set_error("no");
  EXPECT_EQ(std::get<KeepPod>(*decode_agent_message(keep.SerializeAsString())).uid, "k");
  EXPECT_EQ(std::get<DeletePod>(*decode_agent_message(gone.SerializeAsString())).uid, "d");
  EXPECT_TRUE(std::holds_alternative<SnapshotSent>(*decode_agent_message(sent.SerializeAsString())));
  const auto granted = decode_agent_message(grant.SerializeAsString());
  EXPECT_EQ(std::get<Grant>(*granted).id, 7u);
  EXPECT_EQ(std::get<Grant>(*granted).error, "no");
}

TEST(Zds, DeleteHasItsUidInField2) {  // as in Istio: not 1
  const auto gone = std::get<DeletePod>(*decode_agent_message("\x12\x03\x12\x01u"));
  EXPECT_EQ(gone.uid, "u");
  EXPECT_FALSE(gone.running) << "Istio's agent does not say";
}

TEST(Zds, HelloIsIstiosVersionAndWeftsField) {
  pb::ZdsHello hello;
  ASSERT_TRUE(hello.ParseFromString(encode_hello(2, true)));
  EXPECT_EQ(hello.version(), pb::V1);
  EXPECT_EQ(hello.weft().loops(), 2u);
  EXPECT_TRUE(hello.weft().dns());
}

TEST(Zds, ALongErrorStillFitsAPacket) {
  EXPECT_LE(encode_ack(std::string(5000, 'x')).size(), kPacketMax);
  pb::WorkloadResponse response;
  ASSERT_TRUE(response.ParseFromString(encode_ack("why")));
  EXPECT_EQ(response.ack().error(), "why");
}

TEST(Zds, SortsSocketsByLoop) {
  auto request = good_add();
  for (const int kind : kOneLoop) request.mutable_add()->mutable_weft()->add_kinds(static_cast<pb::SocketKind>(kind));
  const auto add = decoded_add(request);
  auto descriptors = some(13);
  const int netns = descriptors[0].get();
  const int first_outbound = descriptors[1].get();
  const int second_outbound = descriptors[7].get();
  auto sockets = sort_sockets(add, std::move(descriptors), 2);
  ASSERT_TRUE(sockets) << sockets.error().text;
  EXPECT_EQ(sockets->loops[0].outbound_v4.get(), first_outbound);
  EXPECT_EQ(sockets->loops[1].outbound_v4.get(), second_outbound);
  EXPECT_FALSE(sockets->loops[0].dns_udp_v6);
  EXPECT_EQ(::fcntl(netns, F_GETFD), -1);  // closed: nobody needs it here
}

struct BadFrame {
  const char* claim;
  std::string bytes;
};
std::string broken(const std::function<void(pb::WorkloadRequest&)>& breaks) {
  auto request = good_add();
  breaks(request);
  return request.SerializeAsString();
}

TEST(Zds, ABadFrameIsOneSentence) {
  const BadFrame frames[] = {
      {"empty", ""},
      {"noise", "\xff\xff\xff\xff"},
      {"cut", good_add().SerializeAsString().substr(0, 20)},
      {"a varint without an end", std::string("\x0a\xff\xff\xff\xff\xff\xff", 7)},
      {"a length beyond the packet", std::string("\x0a\x7f\x0a\x01u", 5)},
      {"only an unknown field", std::string("\xf8\x07\x01", 3)},
      {"field 4, which is reserved", std::string("\x22\x00", 2)},
      {"too long", std::string(kPacketMax + 1, '\0')},
      {"add without uid", broken([](auto& r) { r.mutable_add()->clear_uid(); })},
      {"add without info", broken([](auto& r) { r.mutable_add()->clear_workload_info(); })},
      {"add without name", broken([](auto& r) { r.mutable_add()->mutable_workload_info()->clear_name(); })},
      {"add without namespace", broken([](auto& r) { r.mutable_add()->mutable_workload_info()->clear_namespace_(); })},
      {"add with a bad address", broken([](auto& r) { r.mutable_add()->mutable_weft()->add_addresses("123"); })},
      {"keep without uid", std::string("\x2a\x00", 2)},
      {"del without uid", std::string("\x12\x00", 2)},
      {"del with its uid in field 1", std::string("\x12\x03\x0a\x01u", 5)},
      {"group end", std::string("\x0c", 1)},
      {"wrong wire type", std::string("\x08\x01", 2)},
  };
  for (const auto& frame : frames) {
    const auto message = decode_agent_message(frame.bytes);
    ASSERT_FALSE(message) << frame.claim;
    EXPECT_FALSE(message.error().text.empty()) << frame.claim;
  }
}

TEST(Zds, BadSocketsAreOneSentence) {
  const auto refused = [](const std::function<void(AddPod&)>& breaks, std::size_t count, std::size_t loops, const char* text) {
    auto add = decoded_add(good_add());
    breaks(add);
    auto sockets = sort_sockets(add, some(count), loops);
    ASSERT_FALSE(sockets) << text;
    EXPECT_NE(sockets.error().text.find(text), std::string::npos) << sockets.error().text;
  };
  refused([](auto& add) { add.from_weft = false; }, 1, 1, "has no setns");
  refused([](auto&) {}, 6, 1, "6 descriptors for a netns and 6 sockets");
  refused([](auto&) {}, 8, 1, "8 descriptors");
  refused([](auto&) {}, 0, 1, "0 descriptors");
  refused([](auto& add) { add.kinds[2] = 77; }, 7, 1, "unknown socket kind 77");
  refused([](auto& add) { add.kinds[1] = pb::OUTBOUND_V4; }, 7, 1, "more than 1 sockets of kind 1");
  refused([](auto&) {}, 7, 2, "a loop without an outbound listener");
  refused([](auto& add) { add.kinds[2] = pb::DNS_UDP_V6; }, 7, 1, "without an inbound listener");
  refused([](auto& add) { add.kinds[3] = pb::DNS_UDP_V6; }, 7, 1, "without an HBONE listener");
}

}  // namespace
}  // namespace weft::pods
