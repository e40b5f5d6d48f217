// OrderedSession: one Envoy's delta ADS stream as a sans-I/O value that goes from what Envoy holds
// to what a snapshot says, in the order that never leaves a route without its cluster:
//
//   clusters, their endpoints, secrets → listeners → extension configurations → scoped routes
//   → clusters that nothing names any more are removed
//
// A step begins when the one before is acknowledged. What Envoy refuses (NACK) counts as unsent,
// all of the response, and is sent again one by one; the bad one is set aside until it changes, and
// Envoy keeps its last good version. Names that somebody may still use are never answered
// "removed". Source: envoy-waypoint facts §7. Not synchronised.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "controlplane/xds/resource.h"
#include "controlplane/xds/session.h"

namespace weft::controlplane::xds {

inline constexpr const char* kClusterType = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
inline constexpr const char* kEndpointsType =
    "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment";
inline constexpr const char* kSecretType =
    "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";
inline constexpr const char* kListenerType =
    "type.googleapis.com/envoy.config.listener.v3.Listener";
inline constexpr const char* kExtensionType =
    "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig";
inline constexpr const char* kScopedRouteType =
    "type.googleapis.com/envoy.config.route.v3.ScopedRouteConfiguration";

// All that one Envoy should have. Immutable.
struct Snapshot {
  std::map<std::string, std::map<std::string, ResourcePtr>> types;  // type → name → resource
};
using SnapshotPtr = std::shared_ptr<const Snapshot>;

class OrderedSession {
 public:
  static constexpr std::size_t kResponseBytesMax = 4 << 20;

  // False: a type that is not served; the stream must end with INVALID_ARGUMENT.
  bool receive(const Request& request);
  // What should be there from now on. Null: nobody knows yet; nothing is sent or taken away.
  void want(SnapshotPtr snapshot);
  // What to write now, or nothing. Call again after each receive() and want().
  std::optional<Response> next();

  struct State {
    bool acked = false;  // Envoy holds exactly this version
    bool held = false;   // Envoy holds some version of it
    std::string error;   // it refused this version, and why
  };
  State state(const std::string& type, const std::string& name) const;
  // Names that Envoy holds and the snapshot does not have.
  std::vector<std::string> leftovers(const std::string& type) const;
  std::uint64_t responses() const { return nonce_; }
  std::uint64_t sent() const { return sent_; }
  std::uint64_t nacks() const;
  const std::string& node_id() const { return node_id_; }
  std::vector<TypeStatus> status() const;

 private:
  struct InFlight {
    std::string nonce;
    std::map<std::string, std::string> versions;  // name → version; "" for a removal
  };
  struct Type {
    bool started = false, owes_answer = false, wildcard = false;
    std::set<std::string> names;               // asked for by name
    std::map<std::string, std::string> holds;  // name → version that Envoy acknowledged
    std::optional<InFlight> in_flight;
    std::set<std::string> alone;  // to be sent one by one: were in a response that was refused
    std::map<std::string, std::pair<std::string, std::string>>
        bad;  // name → version, Envoy's words
    std::uint64_t nacks = 0;
    std::string last_error;
  };

  void subscribe(const std::string& name, Type& type, const Request& request);
  void answered(const std::string& name, Type& type, const Request& request);
  const std::map<std::string, ResourcePtr>& wanted(const std::string& type) const;
  bool lacks(const Type& type, const ResourcePtr& resource) const;
  bool waits_for_subscription(const std::string& name, const Type& type) const;
  // Envoy has a resource of this type that the snapshot does not have, or not so.
  bool keeps_old(const std::string& type) const;
  // Fills `out` with what this type needs now; false when it needs nothing.
  bool fill(const std::string& name, Type& type, bool removals, Response& out) const;
  void resend_endpoints(const Response& clusters);
  std::optional<Response> send(Type& type, Response response);

  SnapshotPtr snapshot_;
  std::map<std::string, Type> types_;
  std::string node_id_;
  std::uint64_t nonce_ = 0, sent_ = 0;
};

}  // namespace weft::controlplane::xds
