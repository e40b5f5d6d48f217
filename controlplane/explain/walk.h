// Walk: one question, from its source to its end; fills the answer of explain.h as it goes.
// Internal to this room.
#pragma once

#include <string>
#include <vector>

#include "controlplane/explain/evaluate.h"
#include "controlplane/explain/explain.h"
#include "controlplane/explain/names.h"
#include "mesh/resolve.h"

namespace weft::controlplane::explain {

class Walk {
 public:
  // Everything outlives it.
  Walk(const translate::World& world, const mesh::Snapshot& snapshot, const Query& query,
       WallClock::time_point now)
      : world_(world), facts_(world.facts()), snapshot_(snapshot), query_(query), now_(now) {}

  Parsed<nlohmann::json> run();

 private:
  // A pod that the connection may come to.
  struct Arrival {
    mesh::WorkloadPtr pod;
    SocketAddress address;
    bool tunnel = false;  // HBONE
  };
  struct Tally {
    std::size_t all = 0, allowed = 0;
  };

  void start();
  void say(const std::string& text) { out_["path"].push_back(text); }
  void note(const std::string& text) { out_["notes"].push_back(text); }
  void transport(const char* kind, const std::string& text);
  void end(const char* verdict, const std::string& text, int status = 0);
  IpAddress source_ip() const;

  // Judges at every pod, as a node does. `as`: who opens the tunnels.
  Tally arrive(const std::vector<Arrival>& arrivals, const mesh::Workload* as,
               const IpAddress& from);
  void end_of(const Tally& tally, int denied_status = 0);
  std::string denial() const;

  void captured();  // the source's node has the connection
  void unreachable(const Error& error);
  void passthrough();
  void plain();     // nobody captures it: the cluster's own way
  void about_l7();  // what routes and L7 policies have to do with it, where no waypoint was passed

  // walk_waypoint.cc
  void via_waypoint(const mesh::Route& route);
  void request(const model::PlanService& service, const model::Plan& plan,
               const mesh::Workload& waypoint);
  void add_token(const std::string& waypoint, const Outcome& outcome);
  void to_backends(const Outcome& outcome, const model::Plan& plan, const mesh::Workload& waypoint);
  void add_cluster(const model::Plan& plan, const std::string& name, std::vector<Arrival>& out);
  void connection(const model::PlanService& service, const model::Plan& plan,
                  const mesh::Route& route);

  const translate::World& world_;
  const translate::Facts& facts_;
  const mesh::Snapshot& snapshot_;
  const Query& query_;
  const WallClock::time_point now_;
  mesh::WorkloadPtr source_;
  Destination to_;
  nlohmann::json out_;
};

// Its address of the other's family, if it has one.
IpAddress address_like(const mesh::Workload& one, const IpAddress& other);
bool is_meshed(const mesh::Workload& one);
// "ns/name"
std::string name_of(const mesh::Workload& one);

constexpr std::size_t kEndpointsMax = 64;  // shown and judged

}  // namespace weft::controlplane::explain
