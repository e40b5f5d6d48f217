// Picture: the mesh as nodes were told it, for questions. Filled from what World gives. One owner,
// one thread.
#pragma once

#include <memory>

#include "controlplane/translate/world.h"
#include "mesh/snapshot.h"

namespace weft::controlplane::explain {

class Picture {
 public:
  void take(const translate::Changes& changes);
  // Built when it is asked for, and kept until something changes.
  const mesh::Snapshot& snapshot();

 private:
  mesh::World world_;
  std::shared_ptr<const mesh::Snapshot> snapshot_;
};

}  // namespace weft::controlplane::explain
