// The socket broker: fresh connection sockets in a pod's namespace, for a ztunnel that cannot enter it.
// Bounded in size by the frame's own limit and in rate by a bucket of tokens for each connection.
#pragma once

#include <map>
#include <vector>

#include "agent/capture.h"
#include "agent/enroller.h"
#include "agent/link.h"

namespace weft::agent {

// Sockets per second and at once; pure, time is an argument.
class TokenBucket {
 public:
  static constexpr double kPerSecond = 50'000;
  static constexpr double kMost = 16'384;

  explicit TokenBucket(Clock::time_point now) : filled_at_(now) {}
  bool take(std::uint32_t count, Clock::time_point now);

 private:
  double tokens_ = kMost;
  Clock::time_point filled_at_;
};

class Broker {
 public:
  Broker(Enroller& enroller, Capture& kernel) : enroller_(enroller), kernel_(kernel) {}

  // Always answers: with the descriptors that could be had, or with none and an error.
  Outgoing answer(ConnectionId id, const zds::SocketRequest& request, Clock::time_point now);
  void forget(ConnectionId id) { buckets_.erase(id); }
  std::uint64_t granted_total() const { return granted_total_; }
  std::uint64_t refused_total() const { return refused_total_; }

 private:
  Result<std::vector<Fd>> open(ConnectionId id, const zds::SocketRequest& request, Clock::time_point now);

  Enroller& enroller_;
  Capture& kernel_;
  std::map<ConnectionId, TokenBucket> buckets_;
  std::uint64_t granted_total_ = 0;  // sockets
  std::uint64_t refused_total_ = 0;  // requests
};

}  // namespace weft::agent
