#include "agent/broker.h"

#include <algorithm>

#include "base/log.h"

namespace weft::agent {

bool TokenBucket::take(std::uint32_t count, Clock::time_point now) {
  const double seconds = std::chrono::duration<double>(now - filled_at_).count();
  tokens_ = std::min(kMost, tokens_ + seconds * kPerSecond);
  filled_at_ = now;
  if (tokens_ < count) return false;
  tokens_ -= count;
  return true;
}

Result<std::vector<Fd>> Broker::open(ConnectionId id, const zds::SocketRequest& request, Clock::time_point now) {
  if (!buckets_.try_emplace(id, now).first->second.take(request.count, now)) {
    return fail(Code::kExhausted, "sockets are asked for faster than allowed");
  }
  const auto netns = enroller_.netns_of(request.uid);
  if (!netns) return fail(Code::kNotFound, "no such pod is in the mesh here");
  auto sockets = open_connections(netns->fd->get(), request.count, request.v6, request.udp);
  if (!sockets) return sockets;
  for (const auto& socket : *sockets) {
    if (auto marked = kernel_.mark_owned(socket.get()); !marked) return std::unexpected(marked.error());
  }
  return sockets;
}

Outgoing Broker::answer(ConnectionId id, const zds::SocketRequest& request, Clock::time_point now) {
  auto sockets = open(id, request, now);
  if (!sockets) {
    ++refused_total_;
    spdlog::debug("no sockets for ztunnel uid={} reason=\"{}\"", request.uid, describe(sockets.error()));
    return {zds::encode_grant(request.id, describe(sockets.error())), {}};
  }
  granted_total_ += sockets->size();
  Outgoing outgoing{zds::encode_grant(request.id, ""), {}};
  for (auto& socket : *sockets) outgoing.descriptors.push_back(std::make_shared<const Fd>(std::move(socket)));
  return outgoing;
}

}  // namespace weft::agent
