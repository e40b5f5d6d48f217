#include "ztunnel/pods/zds.h"

#include <fmt/format.h>

#include <array>

#include "weft/zds.pb.h"

namespace weft::pods {
namespace {

namespace pb = istio::workload::zds;

Parsed<AgentMessage> decode_add(const pb::AddWorkload& in) {
  AddPod out;
  if (in.uid().empty()) return problem("add: empty uid");
  if (!in.has_workload_info()) return problem("add: no workload_info");
  out.pod.uid = in.uid();
  out.pod.name = in.workload_info().name();
  out.pod.ns = in.workload_info().namespace_();
  out.pod.service_account = in.workload_info().service_account();
  if (out.pod.name.empty() || out.pod.ns.empty()) return problem("add: workload_info without name or namespace");
  out.from_weft = in.has_weft();
  out.kinds.assign(in.weft().kinds().begin(), in.weft().kinds().end());
  for (const auto& bytes : in.weft().addresses()) {
    const auto ip = IpAddress::from_bytes({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()});
    if (!ip) return problem(fmt::format("add: an address has {} bytes, not 4 or 16", bytes.size()));
    out.pod.addresses.push_back(*ip);
  }
  return out;
}

Fd LoopSockets::* member_of(int kind) {
  switch (kind) {
    case pb::OUTBOUND_V4: return &LoopSockets::outbound_v4;
    case pb::OUTBOUND_V6: return &LoopSockets::outbound_v6;
    case pb::INBOUND: return &LoopSockets::inbound;
    case pb::HBONE: return &LoopSockets::hbone;
    case pb::DNS_UDP_V4: return &LoopSockets::dns_udp_v4;
    case pb::DNS_UDP_V6: return &LoopSockets::dns_udp_v6;
    case pb::DNS_TCP_V4: return &LoopSockets::dns_tcp_v4;
    case pb::DNS_TCP_V6: return &LoopSockets::dns_tcp_v6;
    default: return nullptr;
  }
}

}  // namespace

Parsed<AgentMessage> decode_agent_message(std::string_view packet) {
  if (packet.size() > kPacketMax) return problem(fmt::format("a packet of more than {} bytes", kPacketMax));
  pb::WorkloadRequest in;
  if (!in.ParseFromArray(packet.data(), static_cast<int>(packet.size()))) return problem("not a WorkloadRequest");
  switch (in.payload_case()) {
    case pb::WorkloadRequest::kAdd: return decode_add(in.add());
    case pb::WorkloadRequest::kKeep:
      if (in.keep().uid().empty()) return problem("keep: empty uid");
      return KeepPod{in.keep().uid()};
    case pb::WorkloadRequest::kDel:
      if (in.del().uid().empty()) return problem("del: empty uid");
      return DeletePod{in.del().uid(), in.del().running()};
    case pb::WorkloadRequest::kSnapshotSent: return SnapshotSent{};
    case pb::WorkloadRequest::kGrant: return Grant{in.grant().id(), in.grant().error()};
    case pb::WorkloadRequest::PAYLOAD_NOT_SET: break;
  }
  return problem("a WorkloadRequest without a payload");
}

Parsed<PodSockets> sort_sockets(const AddPod& add, std::vector<Fd> descriptors, std::size_t loops) {
  if (!add.from_weft) {
    return problem("unsupported: this ztunnel has no setns and needs its sockets from weft-agent");
  }
  if (descriptors.size() != add.kinds.size() + 1) {
    return problem(fmt::format("{} descriptors for a netns and {} sockets", descriptors.size(), add.kinds.size()));
  }
  PodSockets out;
  out.loops.resize(loops);
  for (std::size_t i = 0; i < add.kinds.size(); ++i) {
    const auto member = member_of(add.kinds[i]);
    if (member == nullptr) return problem(fmt::format("unknown socket kind {}", add.kinds[i]));
    std::size_t loop = 0;
    while (loop < loops && (out.loops[loop].*member).valid()) ++loop;
    if (loop == loops) return problem(fmt::format("more than {} sockets of kind {}", loops, add.kinds[i]));
    out.loops[loop].*member = std::move(descriptors[i + 1]);
  }
  for (const auto& loop : out.loops) {
    if (!loop.outbound_v4 && !loop.outbound_v6) return problem("a loop without an outbound listener");
    if (!loop.inbound) return problem("a loop without an inbound listener");
    if (!loop.hbone) return problem("a loop without an HBONE listener");
  }
  return out;
}

std::string encode_hello(std::uint32_t loops, bool dns) {
  pb::ZdsHello out;
  out.set_version(pb::V1);
  out.mutable_weft()->set_loops(loops);
  out.mutable_weft()->set_dns(dns);
  return out.SerializeAsString();
}

std::string encode_ack(std::string_view error) {
  pb::WorkloadResponse out;
  out.mutable_ack()->set_error(std::string(error.substr(0, kPacketMax - 64)));
  return out.SerializeAsString();
}

std::string encode_socket_request(const SocketAsk& ask) {
  pb::WorkloadResponse out;
  auto& request = *out.mutable_socket_request();
  request.set_uid(ask.uid);
  request.set_count(ask.count);
  request.set_v6(ask.v6);
  request.set_udp(ask.udp);
  request.set_id(ask.id);
  return out.SerializeAsString();
}

}  // namespace weft::pods
