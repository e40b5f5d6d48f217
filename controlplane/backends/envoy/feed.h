// Feed: plans in, Envoys configured, progress out. Owns nothing but the compiled plans; the streams
// are the server's, which joins them to `fleet`. Any thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "controlplane/backends/envoy/resources.h"
#include "controlplane/backends/envoy/settings.h"
#include "controlplane/model/plan.h"
#include "controlplane/xds/fleet.h"

namespace weft::controlplane::envoy {

enum class ServiceState : std::uint8_t { kPending, kAcked, kRejected };
struct ServiceProgress {
  ServiceState state = ServiceState::kPending;
  // Every connected Envoy serves some version of it, maybe an older one than the plan's.
  bool served = false;
  std::string text;  // Envoy's words when rejected
  bool operator==(const ServiceProgress&) const = default;
};
struct Progress {
  bool connected = false;
  // "host:port" of PlanService::key. Clusters and endpoints that it needs are acknowledged before
  // it is. A service that the plan no longer has stays, pending, until its removal is acknowledged.
  std::map<std::string, ServiceProgress> services;
  std::map<std::string, ServiceProgress> listeners;  // by PlanListener::name; gateways
  bool operator==(const Progress&) const = default;
};

class Feed {
 public:
  // `token_of` gives the bearer token of a plan id (ca::EnvoyTokens::make).
  Feed(Settings settings, xds::Fleet& fleet,
       std::function<std::string(const std::string&)> token_of);
  ~Feed();

  void set(const model::Plan& plan);   // compiles, and wakes the streams
  void remove(const std::string& id);  // its Envoys keep what they have
  Progress progress(const std::string& id) const;
  // Progress of an id may have changed. Called on any thread; only to take note: it must not call
  // set() or remove(). Set it once, before streams join.
  void on_change(std::function<void(const std::string& id)> changed);

 private:
  class State;
  std::unique_ptr<State> state_;
};

}  // namespace weft::controlplane::envoy
