// SocketPool: unconnected sockets of the pods' network namespaces, opened by the agent ahead of need (ztunnel has no setns).
// One SocketPool a loop; every call on that loop's thread.
#pragma once

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
class Event;
}  // namespace weft::io

namespace weft::pods {

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

}  // namespace weft::pods
