// Envoys: everything that the control plane does for waypoints and gateways, wired: plans to the
// feed, deployments and statuses to the outcome, progress and key sets back into World. The app's
// loop drives it; the callbacks of other threads only leave a note and wake it.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "base/fd.h"
#include "controlplane/backends/envoy/feed.h"
#include "controlplane/ca/envoy_tokens.h"
#include "controlplane/config.h"
#include "controlplane/deploy/envoy.h"
#include "controlplane/deploy/outcome.h"
#include "controlplane/jwks/fetcher.h"
#include "controlplane/translate/world.h"
#include "controlplane/xds/fleet.h"

namespace weft::controlplane {

class Envoys {
 public:
  // REQUIRES: the references outlive it. `outcome` null: nothing is deployed, no status is written.
  static Parsed<std::unique_ptr<Envoys>> start(const Config& config, xds::Fleet& fleet,
                                               const ca::EnvoyTokens& tokens,
                                               translate::World& world,
                                               std::unique_ptr<deploy::Outcome> outcome);
  ~Envoys();

  int wake_fd() const { return wake_.get(); }
  // What an apply() gave, after ztunnel's part of it was published.
  void take(const translate::Changes& changes);
  // What the source gave for that, afterwards.
  void observed(const source::Batch& batch) {
    if (outcome_) outcome_->observed(batch);
  }
  // Tells World what is new since. True: World has to apply() again.
  bool collect();
  // Twice a second or so: what was drained long enough goes.
  void tick(const std::string& roots_pem);

 private:
  Envoys(const Config& config, const ca::EnvoyTokens& tokens, translate::World& world);
  void plan(const translate::DesiredGateway& gateway, deploy::Envoy& out) const;
  void gateways(const std::vector<translate::DesiredGateway>& all);
  void write_objects();
  void write_statuses(const std::vector<source::ObjectKey>& keys);
  void note(const std::string& plan_id);

  const Config& config_;
  const ca::EnvoyTokens& tokens_;
  translate::World& world_;
  Fd wake_;
  std::unique_ptr<deploy::Outcome> outcome_;  // null: nothing is deployed
  deploy::EnvoySettings settings_;
  bool planned_ = false;                              // gateways() was called once
  std::map<std::string, deploy::Envoy> running_;      // by plan id
  std::map<std::string, Clock::time_point> leaving_;  // plan id → when its Envoy goes
  std::map<std::string, translate::Progress> told_;   // plan id → what World knows

  std::mutex mutex_;  // the notes of other threads
  std::set<std::string> moved_;
  std::map<std::string, Parsed<std::string>> fetched_;
  std::unique_ptr<envoy::Feed> feed_;
  std::unique_ptr<jwks::Fetcher> fetcher_;  // last: it calls back
};

}  // namespace weft::controlplane
