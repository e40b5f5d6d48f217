// Planner: service records kept up to date by dirty keys, plans of waypoints put together from
// them, and what nodes may be told given what the Envoys have taken. One owner (World), one thread;
// time is told by at().
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "controlplane/translate/l7/admission.h"
#include "controlplane/translate/l7/gateway_plan.h"
#include "controlplane/translate/l7/service_plan.h"
#include "controlplane/translate/outputs.h"

namespace weft::controlplane::translate::l7 {

// What a node is told about a service.
struct WaypointView {
  std::string ns, name;              // of the waypoint
  std::vector<std::uint16_t> ports;  // sorted
  bool operator==(const WaypointView&) const = default;
};

struct Turn {
  std::vector<model::Plan> plans;
  std::vector<std::string> removed_plans;
  std::optional<std::vector<DesiredGateway>> gateways;
  std::optional<std::vector<std::string>> jwks_uris;
  std::set<std::string> services;  // hosts whose WaypointView is another
  bool policies = false;           // admissions changed
  bool gateways_judged = false;    // every gateway, and every route that has one as its parent
  std::set<std::string> judged;    // hosts whose records or progress are another: statuses
};

class Planner {
 public:
  // Both outlive it.
  Planner(const Facts& facts, const Objects& objects);

  void touch(const Touched& touched);
  void touch_service(const std::string& host) { dirty_.insert(host); }
  void touch_namespace(const std::string& ns) { dirty_namespaces_.insert(ns); }
  void touch_everything() { everything_ = true; }
  void touch_labels() { labels_ = true; }        // of any pod: routes by client labels look again
  void touch_readiness() { readiness_ = true; }  // of a gateway's pod or service
  void at(Clock::time_point now) { now_ = now; }
  // When something is due though nothing changes.
  std::optional<Clock::time_point> deadline() const;
  void served(const std::string& plan_id, const Progress& progress);
  void fetched(const std::string& address, const Parsed<std::string>& answer);

  Turn turn();
  // Every waypoint whose pod is ready has answered for all that it serves.
  bool settled() const;
  // Every key set that rules name by address was fetched, or could not be.
  bool knows_keys() const;

  const WaypointView* waypoint_of(const std::string& host) const;
  // Principals of waypoints that an L4 policy must let through, sorted.
  std::vector<std::string> admitted(const std::string& policy_key) const;
  const std::map<std::string, ServiceRecord>& records() const { return records_; }

  // For statuses and people.
  struct Waypoint {
    std::string ns, name;
    bool by_hand = false, ready = false;
    std::set<std::string> hosts, lingering;
    std::optional<Clock::time_point> unused_since;  // nobody is sent to it any more
    model::Plan plan;
    Progress progress;
  };
  const Waypoint* waypoint(const std::string& plan_id) const;
  const std::map<std::string, Waypoint>& waypoints() const { return waypoints_; }
  // Of a host at its waypoint: the worst of its ports.
  std::optional<Progress::One> progress_of(const std::string& host) const;
  const model::PlanCluster& cluster(const std::string& name) const;
  const JwksLookup& jwks() const { return lookup_; }
  const Gateways& gateways() const { return edge_; }
  bool gateway_ready(const std::string& ns, const std::string& name) const {
    return is_ready(ns, name, "weft.dev/gateway");
  }

 private:
  void expand_dirty();
  void plan_dirty(Turn& out);
  void settle(const std::string& host, const ServiceRecord* before);
  void assemble(Turn& out);
  model::Plan make_plan(const Waypoint& waypoint) const;
  void judge_readiness();
  void update_views(Turn& out);
  void update_gateways(Turn& out);
  void update_jwks(Turn& out);
  bool is_ready(const std::string& ns, const std::string& name, const char* label) const;
  void plan_edge(Turn& out);
  Parsed<std::string> keys_for(const model::JwtRule& rule) const;

  const Facts& facts_;
  const Objects& objects_;
  std::map<std::string, ServiceRecord> records_;             // by host
  std::map<std::string, std::set<std::string>> reached_by_;  // host → hosts whose plans reach it
  std::set<std::string> by_labels_;                          // hosts
  std::map<std::string, Waypoint> waypoints_;                // by plan id
  struct Lingering {
    std::string plan_id;
    Clock::time_point until;
    ServiceRecord record;
  };
  bool is_over(const Lingering& one) const;
  bool drains(const Waypoint& waypoint) const;
  std::map<std::string, Lingering> lingering_;                         // by host
  std::map<std::string, std::pair<std::string, WaypointView>> views_;  // host → plan id, view
  Admissions admissions_;
  Gateways edge_;
  mutable std::map<std::string, model::PlanCluster> clusters_;
  std::map<std::string, Parsed<std::string>> fetched_;
  JwksLookup lookup_;

  // What turn() has to look at again.
  std::set<std::string> dirty_, dirty_namespaces_, dirty_plans_;
  bool everything_ = false, labels_ = false, readiness_ = true, gateways_ = true;
  bool progress_ = false, authns_ = true;
  Clock::time_point now_{};
  std::vector<DesiredGateway> desired_;
  std::vector<std::string> jwks_uris_;
};

// A service that left a waypoint stays configured there for those who are still connected: its
// answers end busy connections, and Envoy ends those that were idle for an hour.
inline constexpr auto kServiceLingers = std::chrono::minutes(61);
// A waypoint that nobody is sent to any more drains once every node has heard of it, and goes when
// Envoy's drain time (deploy::EnvoySettings::drain_seconds) is over as well.
inline constexpr auto kDrainsAfter = std::chrono::seconds(2);
inline constexpr auto kWaypointLingers = std::chrono::seconds(19);

}  // namespace weft::controlplane::translate::l7
