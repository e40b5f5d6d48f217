// Inventory: the pods and namespaces that the source told of, decoded. Runs on the reactor's thread.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "agent/enroll.h"
#include "source/core.h"
#include "source/object.h"

namespace weft::agent {

class Inventory {
 public:
  // Objects of other kinds pass by; one that does not decode leaves what was known of it. True when anything changed.
  bool apply(const source::Batch& batch);
  Desired decide(const std::string& node, const ArrivedIps& arrived = {}) const;
  bool uninstalling() const { return is_uninstalling(namespaces_); }

 private:
  std::map<source::ObjectKey, source::Pod> pods_;
  std::map<std::string, source::Namespace> namespaces_;
};

}  // namespace weft::agent
