// The controllers that a cluster has beside the kubelet: Deployments make ReplicaSets, those,
// StatefulSets and Jobs make pods, a scheduler gives pods nodes, namespaces that are deleted take their objects with
// them. One pass over the store; level-triggered; no clock but timestamps.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "sandbox/admit.h"
#include "sandbox/store.h"

namespace weft::sandbox {

class Controllers {
 public:
  Controllers(Store& store, Admission& admission, std::vector<std::string> nodes);

  // Only what namespaces need: an account named default in each, and the end of those that are
  // deleted.
  void namespaces();
  // Does what is missing now. Call again after every change of the store.
  void sync();

  // Marks for deletion (pods, namespaces) or removes at once (the rest), owned objects included.
  // `grace` < 0: the pod's own.
  void remove(const Key& key, long grace);

 private:
  void deployment(const Key& key);
  void replica_set(const Key& key);
  void stateful_set(const Key& key);
  void stateful_pod(const nlohmann::json& set, long ordinal, const std::string& revision);
  void job(const Key& key);
  void schedule();
  void create_pod(const nlohmann::json& owner, const nlohmann::json& pod_template,
                  const std::string& name);

  Store& store_;
  Admission& admission_;
  std::vector<std::string> nodes_;
  std::size_t next_node_ = 0;
};

// The controller's reference to `owner`, as metadata.ownerReferences has it.
nlohmann::json owner_reference(const nlohmann::json& owner);

}  // namespace weft::sandbox
