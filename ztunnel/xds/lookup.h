// OnDemand: state::Lookup over the xDS client. Each name is asked once for the life of the process and stays subscribed.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "ztunnel/state/snapshot_ref.h"

namespace weft::xds {

class OnDemand final : public state::Lookup {
 public:
  static constexpr std::size_t kNamesMax = 100'000;

  // `want` subscribes a name; any thread.
  explicit OnDemand(std::function<void(std::string)> want) : want_(std::move(want)) {}

  // Errors besides the interface's: kExhausted (kNamesMax names are subscribed).
  io::Task<Result<void>> fetch(io::Loop& loop, std::string name, Deadline deadline) override;

  // The control plane has answered these, and the snapshot with them has been posted to every loop. Main thread.
  void answered(const std::vector<std::string>& names);

 private:
  struct Waiter;
  const std::function<void(std::string)> want_;
  std::mutex lock_;
  std::unordered_set<std::string> known_;
  std::unordered_map<std::string, std::vector<std::shared_ptr<Waiter>>> waiting_;
};

}  // namespace weft::xds
