// SocketPool: unconnected sockets of the pods' network namespaces, opened by the agent ahead of need (ztunnel has no setns).
// One SocketPool a loop; every call on that loop's thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/fd.h"
#include "base/result.h"

namespace weft::io {
template <class T>
class Task;
class Loop;
}  // namespace weft::io

namespace weft::pods {

struct SocketAsk;

// Where the proxy gets its sockets; the seam for tests (a SimLoop's sockets).
class SocketSource {
 public:
  virtual ~SocketSource() = default;
  // A fresh, unconnected, non-blocking socket in the netns of pod `uid`: SOCK_STREAM (or SOCK_DGRAM when `udp`), AF_INET or
  // AF_INET6 (IPV6_V6ONLY off) when `v6`; TCP_NODELAY and keepalive set; marked as the agent's own, so WEFT_SO_CLIENT works.
  // Usually answers from the cache, without suspending; else waits at most until `deadline`.
  // Errors: kExhausted (the agent is away and the cache is used up), kTimedOut, kNotFound (the pod is not here, or left while
  // waiting), kSystem (the agent could not open one).
  virtual io::Task<Result<Fd>> take(std::string uid, bool v6, bool udp, Deadline deadline) = 0;
};

class SocketPool final : public SocketSource {
 public:
  static constexpr std::uint32_t kTargetMin = 4;    // sockets kept ready of a kind that was used once
  static constexpr std::uint32_t kTargetMax = 256;  // of a busy kind: 50 ms of 5 000 connections/s
  static constexpr std::size_t kPooledMax = 8192;   // all pods of this loop; beyond it no more is kept than is waited for

  // `ask` sends one request to the agent; called on this loop's thread, must not block, its id is for the asker to fill.
  using Ask = std::function<void(SocketAsk)>;

  SocketPool(io::Loop& loop, Ask ask, std::size_t pooled_max = kPooledMax);
  ~SocketPool() override;
  SocketPool(const SocketPool&) = delete;
  SocketPool& operator=(const SocketPool&) = delete;

  io::Task<Result<Fd>> take(std::string uid, bool v6, bool udp, Deadline deadline) override;

  static constexpr auto kRetired = std::chrono::seconds(15);  // how long a pod that left may still take what is pooled

  // With the pods themselves. add_pod of a known uid drops what is pooled: its netns may be another one now. After remove_pod the
  // connections that drain can still take sockets, until trim() comes kRetired later.
  void add_pod(const std::string& uid);
  // Has TCP sockets of these families ready before the pod's first connection, which may come while the agent is away.
  void stock_up(const std::string& uid, bool v4, bool v6);
  void remove_pod(const std::string& uid);

  // The answer to one ask. kClosed: the link is down; nothing is asked until link_up().
  void granted(const SocketAsk& ask, Result<std::vector<Fd>> sockets);
  // The agent is there and has told all its pods.
  void link_up();
  // Closes what kinds that were not used for `idle` hold beyond kTargetMin, and forgets pods that left. To be called every now and then.
  void trim(Clock::duration idle);

  std::size_t pooled() const { return pooled_; }

 private:
  struct Waiter;
  struct Shelf {
    std::deque<Fd> sockets;
    std::deque<std::shared_ptr<Waiter>> waiters;
    std::uint32_t target = 0;  // 0: never used
    std::uint32_t asked = 0;   // on their way
    Clock::time_point asked_at, used_at, refilled_at;
  };
  struct Shelves : std::array<Shelf, 4> {  // [v6][udp]
    Clock::time_point retired_at = Clock::time_point::max();
    bool retired() const { return retired_at != Clock::time_point::max(); }
  };

  static std::size_t index(bool v6, bool udp) { return (v6 ? 2u : 0u) + (udp ? 1u : 0u); }
  Shelf* find(const std::string& uid, bool v6, bool udp);
  void refill(const std::string& uid, bool v6, bool udp, Shelf& shelf);
  void fail_waiters(Shelf& shelf, Error error);
  void forget(Shelves& shelves);

  io::Loop& loop_;
  const Ask ask_;
  std::unordered_map<std::string, Shelves> pods_;
  const std::size_t pooled_max_;
  std::size_t pooled_ = 0;
  bool link_down_ = false;
};

}  // namespace weft::pods
