#include "controlplane/explain/picture.h"

namespace weft::controlplane::explain {

void Picture::take(const translate::Changes& changes) {
  for (const std::string& uid : changes.removed_workloads) world_.workloads.erase(uid);
  for (const std::string& key : changes.removed_services) world_.services.erase(key);
  for (const std::string& key : changes.removed_policies) world_.policies.erase(key);
  for (const mesh::Workload& one : changes.workloads)
    world_.workloads[one.uid] = std::make_shared<const mesh::Workload>(one);
  for (const mesh::Service& one : changes.services)
    world_.services[one.key()] = std::make_shared<const mesh::Service>(one);
  for (const mesh::Policy& one : changes.policies)
    world_.policies[one.key()] = std::make_shared<const mesh::Policy>(one);
  snapshot_.reset();
}

const mesh::Snapshot& Picture::snapshot() {
  if (!snapshot_) snapshot_ = mesh::Snapshot::build(world_, 0, "");
  return *snapshot_;
}

}  // namespace weft::controlplane::explain
