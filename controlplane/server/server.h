// Server: aggregated discovery (delta) and the certificate service on gRPC, over TLS (server
// certificate; a client certificate of the mesh is welcome) and, for the sandbox, plaintext.
// Translates between gRPC's world and ours: xds::Session, ca::Authority. Calls arrive on gRPC's
// threads; the methods here may be called from any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "controlplane/ca/authority.h"
#include "controlplane/ca/callers.h"
#include "controlplane/xds/cache.h"
#include "controlplane/xds/session.h"

namespace weft::controlplane::ca {
class EnvoyTokens;
}
namespace weft::controlplane::telemetry {
class Collector;
}
namespace weft::controlplane::xds {
class Fleet;
}

namespace weft::controlplane::server {

// What happened since the start. Any thread (atomic).
struct Counters {
  std::atomic<std::uint64_t> pushes{0}, pushed_resources{0}, nacks{0};
  std::atomic<std::uint64_t> certificates_issued{0}, certificates_refused{0}, unauthenticated{0};
};

struct Services {
  xds::Cache& cache;
  ca::Authority& authority;
  ca::TokenCheck* tokens;  // null: no bearer token is good, and plaintext callers are trusted
  ca::NodeAuthorizer& nodes;
  Counters& counters;
  // For Envoys: null where there are none. A token of `envoy_tokens` opens streams of `fleet` for
  // its plan id only, and lets access logs into `collector`.
  xds::Fleet* fleet = nullptr;
  const ca::EnvoyTokens* envoy_tokens = nullptr;
  telemetry::Collector* collector = nullptr;
  bool trust_plaintext = false;  // callers without a token, though there are tokens
};

struct ServerOptions {
  std::vector<std::string> types;              // in the order of xds::Session
  std::string tls_address, plaintext_address;  // "ADDR:PORT", port 0 picks one; empty: not served
  std::string serving_chain_path, serving_key_path, roots_path;  // PEM, looked at every second
  // Nodes get nothing before admit_nodes(), Envoys nothing before admit_envoys(); the CA is served.
  bool nodes_wait = false, envoys_wait = false;
};

struct ClientStatus {
  std::string peer, node_id, node;
  WallClock::time_point since;
  std::uint64_t responses = 0;
  std::vector<xds::TypeStatus> types;
  bool envoy = false;  // then `sent` and `acked` of its types count resources, not generations
};

class Server {
 public:
  static Parsed<std::unique_ptr<Server>> start(const ServerOptions& options,
                                               const Services& services);
  ~Server();  // ends all streams

  // The cache changed: every client is told.
  void wake();
  // They are told, from now on. (See ServerOptions::nodes_wait.)
  void admit_envoys();
  void admit_nodes();
  std::vector<ClientStatus> clients() const;
  std::size_t connected() const;
  int tls_port() const;
  int plaintext_port() const;

 private:
  class State;
  explicit Server(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace weft::controlplane::server
