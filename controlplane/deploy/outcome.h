// Outcome: where the control plane writes what it wants of the cluster. Files for the sandbox,
// server-side apply for Kubernetes (deploy/kube.h). Owner and thread: the app's loop.
#pragma once

#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "source/object.h"

namespace weft::controlplane::deploy {

// The status of an object that somebody else owns.
struct StatusPatch {
  source::ObjectKey key;
  std::string api_version, kind;
  std::shared_ptr<const nlohmann::json> status;
};

class Outcome {
 public:
  virtual ~Outcome() = default;
  // The objects that should be there, all of them; what was there before and is no longer named is
  // removed.
  virtual std::optional<Problem> objects(const std::vector<nlohmann::json>& all) = 0;
  // Changed statuses, and the keys that are gone.
  virtual std::optional<Problem> statuses(const std::vector<StatusPatch>& changed,
                                          const std::vector<source::ObjectKey>& gone) = 0;
  // What the source has, after statuses() was told what follows from it: somebody may have undone
  // what we wrote.
  virtual void observed(const source::Batch&) {}
};

// DIR/objects and DIR/status, one file an object, written whole and renamed. Both directories exist
// and are ours alone; what an earlier process left in them is taken over.
Parsed<std::unique_ptr<Outcome>> files_outcome(const std::string& directory);

}  // namespace weft::controlplane::deploy
