// LiveCounts: how many connections of each pod live, over all loops, for who asks from another
// thread. Any thread.
#pragma once

#include <atomic>
#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <string>

namespace weft::proxy {

class LiveCounts {
 public:
  using Count = std::shared_ptr<std::atomic<std::size_t>>;

  // The pod's number, the same for every loop. It is forgotten when nobody holds it any more.
  Count of(const std::string& uid) {
    const std::lock_guard lock(mutex_);
    std::erase_if(counts_, [](const auto& each) { return each.second.expired(); });
    auto& slot = counts_[uid];
    auto count = slot.lock();
    if (!count) slot = count = std::make_shared<std::atomic<std::size_t>>(0);
    return count;
  }
  std::size_t read(const std::string& uid) const {
    const std::lock_guard lock(mutex_);
    const auto found = counts_.find(uid);
    const auto count = found == counts_.end() ? nullptr : found->second.lock();
    return count ? count->load(std::memory_order_relaxed) : 0;
  }

 private:
  mutable std::mutex mutex_;
  std::map<std::string, std::weak_ptr<std::atomic<std::size_t>>> counts_;  // guarded by mutex_
};

}  // namespace weft::proxy
