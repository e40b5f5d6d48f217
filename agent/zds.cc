#include "agent/zds.h"

#include <fmt/format.h>

#include "weft/zds.pb.h"

namespace weft::agent::zds {

namespace pb = istio::workload::zds;

namespace {

Frame serialize(const pb::WorkloadRequest& request) {
  Frame frame(request.ByteSizeLong());
  request.SerializeToArray(frame.data(), static_cast<int>(frame.size()));
  return frame;
}

Parsed<Response> judge(const pb::SocketRequest& request) {
  if (request.uid().empty()) return problem("SocketRequest.uid is empty");
  if (request.uid().size() > kUidMax) return problem(fmt::format("SocketRequest.uid has {} bytes, {} are allowed", request.uid().size(), kUidMax));
  if (request.count() < 1 || request.count() > kConnectionsMost) {
    return problem(fmt::format("SocketRequest.count is {}, not 1 to {}", request.count(), kConnectionsMost));
  }
  return SocketRequest{request.uid(), request.count(), request.v6(), request.udp(), request.id()};
}

}  // namespace

Parsed<Hello> decode_hello(std::span<const std::byte> frame) {
  if (frame.size() > kFrameMax) return problem(fmt::format("ZdsHello is longer than {} bytes", kFrameMax));
  pb::ZdsHello hello;
  if (!hello.ParseFromArray(frame.data(), static_cast<int>(frame.size()))) return problem("the first frame is no ZdsHello");
  if (hello.version() != pb::V1) return problem(fmt::format("ZdsHello.version is {}, not 1", static_cast<int>(hello.version())));
  if (!hello.has_weft()) return problem("ZdsHello has no weft part: this ztunnel would open its own sockets, which is not supported yet");
  const auto loops = hello.weft().loops();
  if (loops < 1 || loops > kLoopsMost) return problem(fmt::format("ZdsHello.weft.loops is {}, not 1 to {}", loops, kLoopsMost));
  return Hello{loops, hello.weft().dns()};
}

Parsed<Response> decode_response(std::span<const std::byte> frame, std::size_t descriptors) {
  if (descriptors != 0) return problem(fmt::format("{} descriptors came with a frame that carries none", descriptors));
  if (frame.size() > kFrameMax) return problem(fmt::format("frame is longer than {} bytes", kFrameMax));
  pb::WorkloadResponse response;
  if (!response.ParseFromArray(frame.data(), static_cast<int>(frame.size()))) return problem("frame is no WorkloadResponse");
  switch (response.payload_case()) {
    case pb::WorkloadResponse::kAck: return Ack{response.ack().error()};
    case pb::WorkloadResponse::kSocketRequest: return judge(response.socket_request());
    case pb::WorkloadResponse::PAYLOAD_NOT_SET: break;
  }
  return problem("WorkloadResponse has no payload that is known here");
}

Result<Frame> encode_add(const Add& add) {
  pb::WorkloadRequest request;
  auto& message = *request.mutable_add();
  message.set_uid(add.uid);
  auto& info = *message.mutable_workload_info();
  info.set_name(add.name);
  info.set_namespace_(add.ns);
  info.set_service_account(add.service_account);
  auto& pod = *message.mutable_weft();
  for (const SocketKind kind : add.kinds) pod.add_kinds(static_cast<pb::SocketKind>(kind));
  for (const IpAddress& ip : add.addresses) pod.add_addresses(ip.bytes().data(), ip.bytes().size());
  if (request.ByteSizeLong() > kFrameMax) return fail(Code::kExhausted, "the AddWorkload would be longer than 1024 bytes");
  return serialize(request);
}

Frame encode_del(const std::string& uid, bool running) {
  pb::WorkloadRequest request;
  request.mutable_del()->set_uid(uid);
  request.mutable_del()->set_running(running);
  return serialize(request);
}

Frame encode_keep(const std::string& uid) {
  pb::WorkloadRequest request;
  request.mutable_keep()->set_uid(uid);
  return serialize(request);
}

Frame encode_snapshot_sent() {
  pb::WorkloadRequest request;
  request.mutable_snapshot_sent();
  return serialize(request);
}

Frame encode_grant(std::uint64_t id, const std::string& error) {
  constexpr std::size_t kErrorMax = 256;
  pb::WorkloadRequest request;
  request.mutable_grant()->set_id(id);
  request.mutable_grant()->set_error(error.substr(0, kErrorMax));
  return serialize(request);
}

}  // namespace weft::agent::zds
