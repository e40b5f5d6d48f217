// World: objects in, changes of the model out, incrementally. Keeps the decoded objects and knows
// which workloads, services and policies an object touches. One owner, one thread; no I/O, no
// clock.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "controlplane/model/types.h"
#include "controlplane/translate/facts.h"
#include "controlplane/translate/l7/objects.h"
#include "controlplane/translate/l7/planner.h"
#include "controlplane/translate/outputs.h"
#include "mesh/policy.h"
#include "mesh/workload.h"
#include "source/core.h"
#include "source/object.h"

namespace weft::controlplane::translate {

// What is new since the last apply(). May hold values that are equal to what was there; removed
// ones are never among the new ones.
struct Changes {
  std::vector<mesh::Workload> workloads;
  std::vector<mesh::Service> services;
  std::vector<mesh::Policy> policies;
  std::vector<std::string> removed_workloads, removed_services,
      removed_policies;  // uid, "ns/hostname", "ns/name"
  // For Envoys. Every plan that differs from what was given before; ids of those that are gone.
  std::vector<model::Plan> plans;
  std::vector<std::string> removed_plans;
  // All that should run, when that changed.
  std::optional<std::vector<DesiredGateway>> gateways;
  // Every JWKS address that rules name, when that changed: World::fetched() answers.
  std::optional<std::vector<std::string>> jwks_uris;
  std::vector<source::ObjectKey> statuses;  // whose status is another now, removed ones included
};

// Where a pod runs, for the CA: who may ask for this identity.
struct Placement {
  std::string pod;  // "ns/name"
  std::string node, ns, service_account, uid;
};

class World {
 public:
  explicit World(Options options);
  World(const World&) = delete;  // the planner looks at its neighbours
  World& operator=(const World&) = delete;

  // The app pushes what it gets in this order: policies, workloads and services to ztunnel, plans
  // to the feed; then served() of plans whose progress moved, and apply({}) again.
  Changes apply(const source::Batch& batch);
  // The time of the next apply(): what lingers goes when it is due. Never called: nothing goes.
  void at(Clock::time_point now) { planner_.at(now); }
  std::optional<Clock::time_point> deadline() const { return planner_.deadline(); }
  // What the Envoys of a plan have taken. REQUIRES: every plan of the last apply() was given to the
  // feed before its progress was asked. Takes effect with the next apply().
  void served(const std::string& plan_id, const Progress& progress);
  // The Envoys of all waypoints that are ready have said what they have: nodes may be told.
  bool settled() const { return planner_.settled(); }
  // fetched() was told of every address that rules name.
  bool knows_keys() const { return planner_.knows_keys(); }
  // The key set behind an address, or why there is none: rules that need it then admit no token.
  // Takes effect with the next apply().
  void fetched(const std::string& jwks_uri, const Parsed<std::string>& jwks);

  // Of every object that is not a core kind, and of Services bound to a waypoint.
  std::vector<ObjectStatus> statuses() const;
  const ObjectStatus* status(const source::ObjectKey& key) const;
  // Pods that changed in the last apply(): with a placement they may hold an identity, with an
  // empty node they may not.
  const std::vector<Placement>& placements() const { return placements_; }
  std::size_t problems() const;  // conditions that are false
  const Facts& facts() const { return facts_; }
  const l7::Objects& objects() const { return objects_; }
  const l7::Planner& planner() const { return planner_; }

 private:
  void put(const source::Object& object);
  void erase(const source::ObjectKey& key);
  void touch_namespace(const std::string& ns, bool is_policy = false);

  void put_pod(const source::Object& object);
  void touch_pod(const source::Pod* pod);
  void put_authorization(const source::Object& object);
  void put_peer_authn(const source::Object& object);
  void touch_peer_authns(const std::string& ns);
  void take(l7::Turn turn, Changes& out);
  void judge(const std::set<std::string>& hosts, Changes& out);
  void judge_object(const source::ObjectKey& key, Changes& out);
  void admit_waypoints(mesh::Policy& policy) const;
  void guard_requests(mesh::Workload& workload) const;
  void show_waypoint(mesh::Service& service) const;
  void requests_policies(Changes& out, std::map<std::string, mesh::PolicyAction>& now) const;
  void translate_policies(Changes& out);
  void translate_services(Changes& out);
  void translate_workloads(Changes& out);
  // What all pods of a namespace have in common, gathered once for an apply().
  struct View {
    struct OfService {
      const source::Service* service;
      std::string key;  // "ns/hostname"
      std::vector<const source::EndpointSlice*> slices;
    };
    const source::Namespace* ns = nullptr;
    std::vector<OfService> services;
    std::vector<const model::AuthzPolicy*> policies;  // those for some pods only
    std::vector<const model::PeerAuthn*> authns;
  };
  View view_of(const std::string& ns) const;
  void translate_pod(const View& view, const std::string& ns, const std::string& name,
                     Changes& out);
  void add_services(const View& view, const source::Pod& pod, mesh::Workload& workload) const;
  void add_policies(const View& view, const source::Pod& pod, mesh::Workload& workload) const;
  bool is_target(const model::AuthzPolicy& policy, const mesh::Workload& workload) const;
  std::vector<const model::PeerAuthn*> peer_authns_for(const std::string& ns) const;
  void external_endpoints(const View& view, const std::string& ns, Changes& out);

  Facts facts_;
  l7::Objects objects_;
  l7::Planner planner_{facts_, objects_};
  std::map<source::ObjectKey, ObjectStatus> statuses_;

  // Objects that a service's record names, and back.
  std::map<std::string, std::set<source::ObjectKey>> named_by_;
  std::map<source::ObjectKey, std::set<std::string>> hosts_of_;
  std::set<source::ObjectKey> told_;  // whose status was among Changes::statuses
  std::set<std::string> guarded_;     // hosts with a RequestAuthentication

  // What was sent, so that it can be taken back.
  ByName<std::string> sent_pods_;                               // → uid
  std::map<std::string, std::set<std::string>> sent_external_;  // ns → uids
  std::map<std::string, std::set<std::string>> sent_services_;  // ns → keys
  std::map<std::string, mesh::PolicyAction> sent_policies_;     // key

  // What an apply() has to look at again.
  std::set<std::string> dirty_namespaces_;  // all pods of it
  std::set<std::pair<std::string, std::string>> dirty_pods_;
  std::set<std::string> dirty_service_namespaces_;
  std::set<source::ObjectKey> dirty_statuses_;
  bool dirty_policies_ = false, dirty_everything_ = false;
  std::vector<Placement> placements_;
};

// Admission of every kind that the control plane knows; unknown kinds pass. Fits
// source::FilesOptions::admit.
std::optional<Problem> admit(const source::Object& object);

}  // namespace weft::controlplane::translate
