// Cluster: what the control plane has of the API server that its objects are in: the objects, who
// its callers are, the CA's state in a Secret, and the right to write statuses and deployments.
// The app's thread owns it; the reviewer is for any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "controlplane/ca/reviewer.h"
#include "controlplane/ca/shared_state.h"
#include "controlplane/config.h"
#include "controlplane/deploy/outcome.h"
#include "controlplane/leader/elector.h"
#include "source/kube/access.h"
#include "source/kube/client.h"
#include "source/source.h"

namespace weft::controlplane {

class Cluster {
 public:
  // Finds the API server, and fetches the CA's state from it: before the authority is opened.
  // REQUIRES: `config` outlives it.
  static Parsed<std::unique_ptr<Cluster>> open(const Config& config);

  // All objects there are. Blocks until every list is in.
  Parsed<std::unique_ptr<source::Source>> source() const;
  // Asks the API server about each token. The same one each time.
  ca::Reviewer& reviewer();
  // Writes as long as this replica leads. REQUIRES: what it returns is gone before this is.
  std::unique_ptr<deploy::Outcome> outcome();
  // Nothing: nobody asked for an outcome.
  std::optional<bool> leads() const;
  // Writes what is new of the CA's state. Nothing to do, without a Secret for it.
  std::optional<Problem> publish_state();
  // Takes over what another replica wrote of it; true: there was something. False without a Secret.
  Parsed<bool> refresh_state();
  // One replica at a time moves a rotation of the shared root on: the one that leads.
  bool may_rotate() const { return !shared_state_ || leads().value_or(true); }

 private:
  explicit Cluster(const Config& config) : config_(config) {}
  std::optional<Problem> find();

  const Config& config_;
  source::kube::Access access_;
  std::unique_ptr<source::kube::Client> state_client_;
  std::optional<ca::SharedState> shared_state_;
  std::unique_ptr<source::kube::Client> review_client_;  // under the reviewer's lock
  std::unique_ptr<ca::Reviewer> reviewer_;
  std::unique_ptr<leader::Elector> elector_;
};

}  // namespace weft::controlplane
