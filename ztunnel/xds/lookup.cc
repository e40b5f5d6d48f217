#include "ztunnel/xds/lookup.h"

#include "ztunnel/io/event.h"
#include "ztunnel/io/loop.h"
#include "ztunnel/io/task.h"

namespace weft::xds {

struct OnDemand::Waiter {
  explicit Waiter(io::Loop& its_loop) : loop(its_loop), woken(its_loop) {}
  io::Loop& loop;
  io::Event woken;
};

io::Task<Result<void>> OnDemand::fetch(io::Loop& loop, std::string name, Deadline deadline) {
  auto waiter = std::make_shared<Waiter>(loop);
  bool first = false;
  {
    const std::lock_guard guard(lock_);
    if (known_.contains(name)) co_return {};
    if (known_.size() + waiting_.size() >= kNamesMax) co_return fail(Code::kExhausted, "too many names on demand");
    auto& waiters = waiting_[name];
    first = waiters.empty();
    waiters.push_back(waiter);
  }
  if (first) want_(name);
  const auto waited = co_await waiter->woken.wait(deadline);
  if (!waited) {
    const std::lock_guard guard(lock_);
    if (const auto it = waiting_.find(name); it != waiting_.end()) std::erase(it->second, waiter);
    co_return fail(Code::kTimedOut, "the control plane did not answer for a name");
  }
  co_return {};
}

void OnDemand::answered(const std::vector<std::string>& names) {
  const std::lock_guard guard(lock_);
  for (const auto& name : names) {
    known_.insert(name);
    const auto it = waiting_.find(name);
    if (it == waiting_.end()) continue;
    for (auto& waiter : it->second) waiter->loop.post([waiter] { waiter->woken.set(); });
    waiting_.erase(it);
  }
}

}  // namespace weft::xds
