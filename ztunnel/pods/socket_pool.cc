#include "ztunnel/pods/socket_pool.h"

#include <algorithm>

#include "ztunnel/io/event.h"
#include "ztunnel/io/loop.h"
#include "ztunnel/io/task.h"
#include "ztunnel/pods/zds.h"

namespace weft::pods {
namespace {
constexpr auto kAnswerWait = std::chrono::seconds(5);  // an ask that is older was lost
constexpr auto kBusy = std::chrono::seconds(1);        // refills in quicker succession raise the target
}  // namespace

struct SocketPool::Waiter {
  explicit Waiter(io::Loop& loop) : woken(loop) {}
  io::Event woken;
  Result<Fd> outcome = fail(Code::kTimedOut, "socket from the agent");
};

SocketPool::SocketPool(io::Loop& loop, Ask ask, std::size_t pooled_max)
    : loop_(loop), ask_(std::move(ask)), pooled_max_(pooled_max) {}
SocketPool::~SocketPool() = default;

SocketPool::Shelf* SocketPool::find(const std::string& uid, bool v6, bool udp) {
  const auto it = pods_.find(uid);
  return it == pods_.end() ? nullptr : &it->second[index(v6, udp)];
}

io::Task<Result<Fd>> SocketPool::take(std::string uid, bool v6, bool udp, Deadline deadline) {
  Shelf* shelf = find(uid, v6, udp);
  if (shelf == nullptr) co_return fail(Code::kNotFound, "no such pod");
  shelf->used_at = loop_.now();
  if (!shelf->sockets.empty()) {
    Fd socket = std::move(shelf->sockets.front());
    shelf->sockets.pop_front();
    --pooled_;
    refill(uid, v6, udp, *shelf);
    co_return socket;
  }
  auto waiter = std::make_shared<Waiter>(loop_);
  shelf->waiters.push_back(waiter);
  refill(uid, v6, udp, *shelf);
  const auto waited = co_await waiter->woken.wait(deadline);
  if (!waited) {
    shelf = find(uid, v6, udp);
    if (shelf != nullptr) std::erase(shelf->waiters, waiter);
    if (!waiter->outcome && waiter->outcome.error().code == Code::kTimedOut && link_down_) {
      co_return fail(Code::kExhausted, "the agent is away and no socket is left");
    }
  }
  co_return std::move(waiter->outcome);
}

void SocketPool::refill(const std::string& uid, bool v6, bool udp, Shelf& shelf) {
  const auto now = loop_.now();
  if (shelf.target == 0) shelf.target = kTargetMin;
  if (shelf.asked > 0 && now - shelf.asked_at > kAnswerWait) shelf.asked = 0;
  if (link_down_) return;
  const auto waiting = static_cast<std::uint32_t>(shelf.waiters.size());
  const auto ready = static_cast<std::uint32_t>(shelf.sockets.size()) + shelf.asked;
  const std::uint32_t keep = pooled_ < pooled_max_ ? shelf.target : 0;
  if (ready >= waiting + keep / 2) return;
  if (now - shelf.refilled_at < kBusy) shelf.target = std::min(shelf.target * 2, kTargetMax);
  shelf.refilled_at = now;
  std::uint32_t wanted = waiting + keep - ready;
  shelf.asked += wanted;
  shelf.asked_at = now;
  for (; wanted > 0;) {
    const auto count = std::min(wanted, kGrantMax);
    wanted -= count;
    ask_(SocketAsk{.uid = uid, .count = count, .v6 = v6, .udp = udp});
  }
}

void SocketPool::granted(const SocketAsk& ask, Result<std::vector<Fd>> sockets) {
  const bool closed = !sockets && sockets.error().code == Code::kClosed;
  if (closed) link_down_ = true;
  Shelf* shelf = find(ask.uid, ask.v6, ask.udp);
  if (shelf == nullptr) return;  // the pod left; the sockets close here
  shelf->asked -= std::min(shelf->asked, ask.count);
  if (closed) return;  // waiters go on waiting: an agent that restarts is back soon
  if (!sockets) return fail_waiters(*shelf, sockets.error());
  for (auto& socket : *sockets) {
    shelf->sockets.push_back(std::move(socket));
    ++pooled_;
  }
  while (!shelf->waiters.empty() && !shelf->sockets.empty()) {
    shelf->waiters.front()->outcome = std::move(shelf->sockets.front());
    shelf->waiters.front()->woken.set();
    shelf->waiters.pop_front();
    shelf->sockets.pop_front();
    --pooled_;
  }
  refill(ask.uid, ask.v6, ask.udp, *shelf);
}

void SocketPool::fail_waiters(Shelf& shelf, Error error) {
  for (auto& waiter : shelf.waiters) {
    waiter->outcome = std::unexpected(error);
    waiter->woken.set();
  }
  shelf.waiters.clear();
}

void SocketPool::add_pod(const std::string& uid) {
  auto& shelves = pods_[uid];
  shelves.retired_at = Clock::time_point::max();
  for (std::size_t i = 0; i < shelves.size(); ++i) {
    auto& shelf = shelves[i];
    pooled_ -= shelf.sockets.size();
    shelf.sockets.clear();
    if (!shelf.waiters.empty() || shelf.target > 0) refill(uid, (i & 2) != 0, (i & 1) != 0, shelf);
  }
}

void SocketPool::stock_up(const std::string& uid, bool v4, bool v6) {
  if (Shelf* shelf = v4 ? find(uid, false, false) : nullptr) refill(uid, false, false, *shelf);
  if (Shelf* shelf = v6 ? find(uid, true, false) : nullptr) refill(uid, true, false, *shelf);
}

void SocketPool::remove_pod(const std::string& uid) {
  const auto it = pods_.find(uid);
  if (it != pods_.end()) it->second.retired_at = loop_.now();
}

void SocketPool::forget(Shelves& shelves) {
  for (auto& shelf : shelves) {
    pooled_ -= shelf.sockets.size();
    fail_waiters(shelf, Error{Code::kNotFound, 0, "the pod left"});
  }
}

void SocketPool::link_up() {
  link_down_ = false;
  for (auto& [uid, shelves] : pods_) {
    if (shelves.retired()) continue;
    for (std::size_t i = 0; i < shelves.size(); ++i) {
      shelves[i].asked = 0;
      if (!shelves[i].waiters.empty() || shelves[i].target > 0) refill(uid, (i & 2) != 0, (i & 1) != 0, shelves[i]);
    }
  }
}

void SocketPool::trim(Clock::duration idle) {
  const auto now = loop_.now();
  for (auto it = pods_.begin(); it != pods_.end();) {
    if (it->second.retired() && it->second.retired_at + kRetired <= now) {
      forget(it->second);
      it = pods_.erase(it);
      continue;
    }
    for (auto& shelf : it->second) {
      if (shelf.target <= kTargetMin || shelf.used_at + idle > now) continue;
      shelf.target = kTargetMin;
      for (; shelf.sockets.size() > kTargetMin; --pooled_) shelf.sockets.pop_back();
    }
    ++it;
  }
}

}  // namespace weft::pods
