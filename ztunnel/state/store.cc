#include "ztunnel/state/store.h"

#include <algorithm>

namespace weft::state {

std::uint64_t SnapshotRef::watch(Watcher watcher) {
  const auto id = next_id_++;
  watchers_.emplace(id, std::move(watcher));
  return id;
}

void SnapshotRef::unwatch(std::uint64_t id) { watchers_.erase(id); }

void SnapshotRef::set(SnapshotPtr next) {
  current_ = std::move(next);
  // A watcher may remove itself or others, or add one: walk by id, on a copy of the function.
  for (auto it = watchers_.begin(); it != watchers_.end();) {
    const auto id = it->first;
    const Watcher watcher = it->second;
    watcher(current_);
    it = watchers_.upper_bound(id);
  }
}

bool Edits::empty() const {
  return workloads.empty() && services.empty() && policies.empty() && removed_addresses.empty() &&
         removed_policies.empty();
}

Store::Store(std::string network, Schedule schedule)
    : network_(std::move(network)),
      schedule_(std::move(schedule)),
      current_(mesh::Snapshot::build({}, 0, network_)) {}

void Store::apply(Edits edits) {
  if (edits.empty()) return;
  for (const auto& name : edits.removed_addresses) {
    world_.workloads.erase(name);
    world_.services.erase(name);
  }
  for (const auto& name : edits.removed_policies) world_.policies.erase(name);
  for (auto& workload : edits.workloads) world_.workloads.insert_or_assign(workload->uid, std::move(workload));
  for (auto& service : edits.services) world_.services.insert_or_assign(service->key(), std::move(service));
  for (auto& policy : edits.policies) world_.policies.insert_or_assign(policy->key(), std::move(policy));
  dirty_ = true;
  if (scheduled_) return;
  scheduled_ = true;
  schedule_([this] {
    scheduled_ = false;
    flush();
  });
}

void Store::flush() {
  if (!dirty_) return;
  dirty_ = false;
  current_ = mesh::Snapshot::build(world_, current_->generation() + 1, network_);
  for (const auto& subscriber : subscribers_) subscriber(current_);
}

void Store::subscribe(Subscriber subscriber) {
  subscriber(current_);
  subscribers_.push_back(std::move(subscriber));
}

}  // namespace weft::state
