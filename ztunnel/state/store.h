// Store: the one writer of the node's picture of the mesh. Edits a mesh::World, coalesces edits, publishes snapshots to loops.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "mesh/snapshot.h"
#include "ztunnel/state/snapshot_ref.h"

namespace weft::state {

// One change, already decoded. Keys are resource names: a workload's uid, "ns/hostname", "ns/name".
struct Edits {
  std::vector<mesh::WorkloadPtr> workloads;
  std::vector<mesh::ServicePtr> services;
  std::vector<mesh::PolicyPtr> policies;
  std::vector<std::string> removed_addresses;  // workloads and services
  std::vector<std::string> removed_policies;

  bool empty() const;
};

// Main thread only.
class Store {
 public:
  // Receives each published snapshot, on the main thread; subscribers hand it on (Loop::post to a SnapshotRef).
  using Subscriber = std::function<void(const SnapshotPtr&)>;

  // `schedule` runs its argument once, soon, on the main thread (Loop::post); edits made until then are published together.
  using Schedule = std::function<void(std::function<void()>)>;

  Store(std::string network, Schedule schedule);
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  void apply(Edits edits);
  // Publishes now if there is anything new.
  void flush();

  const SnapshotPtr& current() const { return current_; }
  std::uint64_t generation() const { return current_->generation(); }
  // The new subscriber is called at once with the current snapshot.
  void subscribe(Subscriber subscriber);

 private:
  const std::string network_;
  const Schedule schedule_;
  mesh::World world_;
  SnapshotPtr current_;
  bool dirty_ = false;
  bool scheduled_ = false;
  std::vector<Subscriber> subscribers_;
};

}  // namespace weft::state
