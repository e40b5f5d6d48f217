// Session: delta ADS without I/O: what is known, what to ask first on a stream, and the answer (ACK, NACK) to each response.
// Source: ambient-protocol facts §2.2. Thread: the client's.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "ztunnel/state/store.h"

namespace envoy::service::discovery::v3 {
class DeltaDiscoveryRequest;
class DeltaDiscoveryResponse;
}  // namespace envoy::service::discovery::v3

namespace weft::xds {

using Request = envoy::service::discovery::v3::DeltaDiscoveryRequest;
using Response = envoy::service::discovery::v3::DeltaDiscoveryResponse;

// Who we are, for the control plane. Source: facts §2.2, "Node".
struct NodeInfo {
  std::string instance_ip = "1.1.1.1";
  std::string pod_name;
  std::string pod_namespace;
  std::map<std::string, std::string> metadata;       // ISTIO_META_* with the prefix stripped, CLUSTER_ID, …
  std::map<std::string, std::string> metadata_json;  // ISTIO_METAJSON_*
  std::string node_name;

  std::string id() const;
};

// What one response means.
struct Outcome {
  state::Edits edits;
  std::vector<std::string> answered;  // on-demand names that this response settles
  std::string nack;                   // empty: ACK
  std::size_t resources = 0, rejected = 0;
};

class Session {
 public:
  // `keep_bytes`: keep what was received, for save().
  Session(NodeInfo node, bool on_demand, bool keep_bytes);
  ~Session();

  // The requests that open a stream, one a type with the node in it: policies first, so that no workload is known without them.
  std::vector<Request> start();
  // Applies what is good of `response`; `reply` becomes the ACK or NACK.
  Outcome handle(const Response& response, Request& reply);
  enum class Want : std::uint8_t { kAsk, kAsked, kHeld };
  // Subscribes one on-demand name. kAsk: send `request`; kAsked: the answer is on its way; kHeld: it is known.
  Want want(const std::string& name, Request& request);

  // Both types have been answered once, on this or an earlier stream.
  bool synced() const;
  std::size_t known(std::string_view type) const;

  // All accepted resources, as one response a type: what a new process begins with. REQUIRES: keep_bytes.
  std::vector<Response> save() const;
  // Takes saved responses as if received; the versions go into the next start(). Does not count for synced().
  state::Edits load(const std::vector<Response>& saved);

 private:
  struct Held {
    std::string version;
    std::string bytes;  // the serialised resource, with keep_bytes
  };
  struct Type {
    std::unordered_map<std::string, Held> held;
    std::set<std::string> pending;  // on demand: asked, not answered
    bool answered = false;
  };

  void accept_resources(const Response& response, Type& type, Outcome& outcome);
  void settle(Type& type, const std::string& name, Outcome& outcome);

  const NodeInfo node_;
  const bool on_demand_;
  const bool keep_bytes_;
  Type address_, authorization_;
};

}  // namespace weft::xds
