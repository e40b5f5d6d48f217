// Outcome: what the control plane asks of the API server, as files in a directory that it writes:
// objects that it owns (a waypoint's Deployment and what goes with it), and the status of others.
// The stand-in for server-side apply; daemon's loop only.
//
//   DIR/objects/*.json   whole manifests; a file that goes takes its object with it
//   DIR/status/*.json    {apiVersion, kind, metadata{name,namespace}, status}: laid over the
//   object's
//
// The writer has fewer rights than the reader, so: only the kinds of kOwnedKinds, only objects that
// carry kManagedBy, never one that somebody else made; status of mesh kinds whole, of Services and
// Pods conditions only.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "sandbox/controllers.h"
#include "sandbox/loop.h"
#include "sandbox/store.h"
#include "source/files.h"

namespace weft::sandbox {

inline constexpr const char* kManagedBy = "app.kubernetes.io/managed-by";
inline constexpr const char* kManager = "weft-controlplane";

class Outcome {
 public:
  struct Parts {
    Store& store;
    Admission& admission;
    Controllers& controllers;
  };
  // `directory`/objects and /status exist. `changed`: the store is another.
  static Parsed<std::unique_ptr<Outcome>> open(const std::string& directory, Loop& loop,
                                               Parts parts, std::function<void()> changed);

  // One turn of each. Public for tests.
  void objects(const source::Batch& batch);
  void statuses(const source::Batch& batch);
  explicit Outcome(Parts parts) : parts_(parts) {}

 private:
  void poll(source::FilesSource& source, void (Outcome::*take)(const source::Batch&));

  Parts parts_;
  std::function<void()> changed_;
  std::unique_ptr<source::FilesSource> objects_, statuses_;
  std::uint64_t problems_seen_ = 0;
};

// The status that `object` gets when `wanted` is laid over it: members replace; a condition that
// says what it said keeps its lastTransitionTime. `conditions_only`: nothing else is touched, and
// conditions of other types stay.
nlohmann::json merge_status(const nlohmann::json& before, const nlohmann::json& wanted,
                            bool conditions_only, const std::string& now);

}  // namespace weft::sandbox
