// SnapshotRef: one loop's view of the mesh. Lives on the loop's thread; the store replaces its content by Loop::post().
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "base/clock.h"
#include "base/result.h"
#include "mesh/snapshot.h"

namespace weft::io {
template <class T>
class Task;
class Loop;
}  // namespace weft::io

namespace weft::state {

using SnapshotPtr = std::shared_ptr<const mesh::Snapshot>;

// Loop thread only. Never null: begins with an empty snapshot of generation 0.
class SnapshotRef {
 public:
  using Watcher = std::function<void(const SnapshotPtr&)>;

  explicit SnapshotRef(SnapshotPtr first = mesh::Snapshot::build({}, 0, "")) : current_(std::move(first)) {}
  SnapshotRef(const SnapshotRef&) = delete;
  SnapshotRef& operator=(const SnapshotRef&) = delete;

  // Take a copy per connection and judge everything of that moment by it.
  const SnapshotPtr& get() const { return current_; }

  // Called on the loop's thread after each change, in order of registration; must not suspend. A watcher may unwatch itself.
  std::uint64_t watch(Watcher watcher);
  void unwatch(std::uint64_t id);

  void set(SnapshotPtr next);

 private:
  SnapshotPtr current_;
  std::map<std::uint64_t, Watcher> watchers_;
  std::uint64_t next_id_ = 1;
};

// Asks the control plane for what the snapshot does not have (XDS_ON_DEMAND); any loop.
class Lookup {
 public:
  virtual ~Lookup() = default;
  // `name` is "network/ip", a workload's uid or a service's "ns/hostname". Returns when the control plane has answered (with it or
  // with "no such thing") and the answer is in the caller's SnapshotRef; at once when everything is subscribed anyway, or when the
  // name was answered before. Look in the snapshot afterwards.
  // Errors: kTimedOut, kUnreachable (no control plane).
  virtual io::Task<Result<void>> fetch(io::Loop& loop, std::string name, Deadline deadline) = 0;
};

}  // namespace weft::state
