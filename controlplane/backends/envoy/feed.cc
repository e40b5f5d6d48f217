#include "controlplane/backends/envoy/feed.h"

#include <set>
#include <utility>

namespace weft::controlplane::envoy {
namespace {

ServiceState state_of(xds::Taken taken) {
  switch (taken) {
    case xds::Taken::kAcked:
      return ServiceState::kAcked;
    case xds::Taken::kRejected:
      return ServiceState::kRejected;
    case xds::Taken::kPending:
      break;
  }
  return ServiceState::kPending;
}

// The worst of its resources is the whole's.
class Sum {
 public:
  void add(const xds::FleetStatus::One& one) {
    out_.served = (first_ || out_.served) && one.held;
    const ServiceState state = state_of(one.taken);
    if (first_ || state == ServiceState::kRejected ||
        (state == ServiceState::kPending && out_.state == ServiceState::kAcked))
      out_.state = state;
    if (out_.text.empty()) out_.text = one.error;
    first_ = false;
  }
  const ServiceProgress& get() const { return out_; }

 private:
  bool first_ = true;
  ServiceProgress out_;
};

// "HOST:PORT|ADDRESS:PORT" → "HOST:PORT".
std::string service_of(const std::string& scope) { return scope.substr(0, scope.find('|')); }

// What a service, or a listener, needs beside its scoped routes.
struct Needs {
  std::set<std::pair<std::string, std::string>> resources;  // type, name
};

Needs needs_of(const model::PlanService& service) {
  Needs out;
  auto cluster = [&](const std::string& name) {
    if (name.empty()) return;
    out.resources.insert({xds::kClusterType, name});
    out.resources.insert({xds::kEndpointsType, name});
  };
  for (const model::PlanRoute& route : service.routes) {
    for (const std::string& name : route.clusters) cluster(name);
    for (const std::string& name : route.mirror_clusters) cluster(name);
  }
  for (const std::string& name : service.tcp_clusters) cluster(name);
  const bool connection =
      service.protocol == mesh::AppProtocol::kTcp || service.protocol == mesh::AppProtocol::kTls;
  if (connection) out.resources.insert({xds::kListenerType, "waypoint"});
  if (!service.jwt.empty()) out.resources.insert({xds::kExtensionType, "weft.jwt"});
  return out;
}

Needs needs_of(const model::PlanListener& listener) {
  Needs out;
  out.resources.insert({xds::kListenerType, listener.name});
  for (const model::PlanListener::Chain& chain : listener.chains) {
    if (!chain.tls) continue;
    for (const std::string& secret : chain.tls->secrets)
      out.resources.insert({xds::kSecretType, secret});
  }
  return out;
}

}  // namespace

class Feed::State {
 public:
  State(Settings settings, xds::Fleet& fleet,
        std::function<std::string(const std::string&)> token_of)
      : settings(std::move(settings)), fleet(fleet), token_of(std::move(token_of)) {}

  struct Known {
    std::unique_ptr<Compiler> compiler;
    std::map<std::string, Needs> services, listeners;
  };
  const Settings settings;
  xds::Fleet& fleet;
  const std::function<std::string(const std::string&)> token_of;
  std::mutex mutex;  // guards what follows
  std::map<std::string, Known> plans;
};

Feed::Feed(Settings settings, xds::Fleet& fleet,
           std::function<std::string(const std::string&)> token_of)
    : state_(std::make_unique<State>(std::move(settings), fleet, std::move(token_of))) {}
Feed::~Feed() = default;

void Feed::set(const model::Plan& plan) {
  xds::SnapshotPtr snapshot;
  {
    std::lock_guard lock(state_->mutex);
    State::Known& known = state_->plans[plan.id];
    if (!known.compiler)
      known.compiler = std::make_unique<Compiler>(state_->settings, state_->token_of(plan.id));
    snapshot = known.compiler->compile(plan);
    known.services.clear();
    known.listeners.clear();
    for (const model::PlanService& one : plan.services)
      known.services[one.key.hostname + ":" + std::to_string(one.key.port)] = needs_of(one);
    for (const model::PlanListener& one : plan.listeners) known.listeners[one.name] = needs_of(one);
  }
  state_->fleet.set(plan.id, std::move(snapshot));
}

void Feed::remove(const std::string& id) {
  {
    std::lock_guard lock(state_->mutex);
    state_->plans.erase(id);
  }
  state_->fleet.remove(id);
}

Progress Feed::progress(const std::string& id) const {
  const xds::FleetStatus status = state_->fleet.status(id);
  Progress out{.connected = status.connected};
  std::map<std::string, Sum> services, listeners;
  std::lock_guard lock(state_->mutex);
  const auto known = state_->plans.find(id);
  if (known == state_->plans.end()) return out;
  auto add = [&](const std::map<std::string, Needs>& parts, std::map<std::string, Sum>& sums) {
    for (const auto& [name, needs] : parts) {
      Sum& sum = sums[name];
      for (const auto& key : needs.resources) {
        const auto found = status.resources.find(key);
        if (found != status.resources.end()) sum.add(found->second);
      }
    }
  };
  add(known->second.services, services);
  add(known->second.listeners, listeners);
  for (const auto& [key, one] : status.resources) {
    if (key.first == xds::kScopedRouteType) {
      const std::string name = service_of(key.second);
      const bool of_listener = known->second.listeners.contains(name);
      (of_listener ? listeners : services)[name].add(one);
    } else if (key.first == xds::kListenerType && !known->second.listeners.contains(key.second) &&
               key.second != "waypoint") {
      listeners[key.second].add(one);  // on its way out
    }
  }
  for (const auto& [name, sum] : services) out.services[name] = sum.get();
  for (const auto& [name, sum] : listeners) out.listeners[name] = sum.get();
  return out;
}

void Feed::on_change(std::function<void(const std::string&)> changed) {
  state_->fleet.on_change(std::move(changed));
}

}  // namespace weft::controlplane::envoy
