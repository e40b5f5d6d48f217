// Outcome in an API server, by server-side apply (field manager weft-controlplane). A thread of its
// own writes; the loop only leaves what it wants. Every replica keeps what it wants, and only the
// one that has the lease writes it: a new leader looks at everything once.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "controlplane/deploy/outcome.h"
#include "source/kube/access.h"
#include "source/kube/resource.h"

namespace weft::controlplane::deploy {

struct KubeOptions {
  source::kube::Access access;
  std::vector<source::kube::Resource> resources;  // whose statuses may be written
  // Any thread. 0: we may not write now; else another number after each time that we might not.
  std::function<std::uint64_t()> term;
};

std::unique_ptr<Outcome> kube_outcome(KubeOptions options);

}  // namespace weft::controlplane::deploy
