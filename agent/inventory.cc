#include "agent/inventory.h"

namespace weft::agent {

bool Inventory::apply(const source::Batch& batch) {
  bool changed = false;
  for (const auto& object : batch.upserts) {
    const auto key = object->key();
    if (key.kind == "Pod") {
      if (auto pod = source::decode_pod(*object)) pods_[key] = std::move(*pod);
      changed = true;
    } else if (key.kind == "Namespace") {
      if (auto ns = source::decode_namespace(*object)) namespaces_[key.name] = std::move(*ns);
      changed = true;
    }
  }
  for (const auto& key : batch.deletes) {
    if (key.kind == "Pod") changed |= pods_.erase(key) != 0;
    if (key.kind == "Namespace") changed |= namespaces_.erase(key.name) != 0;
  }
  return changed;
}

Desired Inventory::decide(const std::string& node, const ArrivedIps& arrived) const {
  std::vector<source::Pod> pods;
  for (const auto& [key, pod] : pods_) pods.push_back(pod);
  return decide_pods(pods, namespaces_, node, arrived);
}

}  // namespace weft::agent
