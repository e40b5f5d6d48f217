// Routes: what becomes of a request, whoever's API said so. Pure values. Absent means that the API
// was silent; what silence means is written at each field.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/net.h"
#include "controlplane/model/match.h"
#include "controlplane/model/types.h"

namespace weft::controlplane::model {

using Milliseconds = std::chrono::milliseconds;

// A service as the mesh names it. `hostname` is full ("reviews.default.svc.cluster.local") or a
// ServiceEntry's host.
struct ServiceKey {
  std::string ns, hostname;
  std::uint16_t port = 0;  // 0: every port, or the port that the request came for
  auto operator<=>(const ServiceKey&) const = default;
};

struct HeaderChange {
  std::vector<std::pair<std::string, std::string>> set, add;
  std::vector<std::string> remove;
  bool empty() const { return set.empty() && add.empty() && remove.empty(); }
  bool operator==(const HeaderChange&) const = default;
};

struct Backend {
  ServiceKey service;
  std::string subset;        // of a DestinationRule; "": all endpoints
  std::uint64_t weight = 1;  // relative to its siblings; 0: none
  // Not empty: nothing stands behind this reference; its share of the requests gets a 500, and this
  // says why ("BackendNotFound: …").
  std::string broken;
  HeaderChange request, response;
  bool operator==(const Backend&) const = default;
};

struct Retry {
  std::uint32_t attempts = 0;               // beside the first; 0: off
  std::optional<Milliseconds> per_try;      // none: the route's timeout alone
  std::vector<std::string> on;              // Envoy's tokens ("5xx", "connect-failure" …)
  std::vector<std::uint32_t> status_codes;  // and these codes
  Milliseconds backoff_base{25};
  std::optional<Milliseconds> backoff_max;
  std::optional<bool> remote_localities;
  bool operator==(const Retry&) const = default;
};

struct Fault {
  std::uint32_t delay_ppm = 0, abort_ppm = 0;  // per million
  Milliseconds delay{0};
  std::uint32_t abort_status = 0;
  std::optional<std::uint32_t> abort_grpc_status;
  bool operator==(const Fault&) const = default;
};

struct Mirror {
  Backend to;
  std::uint32_t ppm = 1'000'000;  // per million
  bool operator==(const Mirror&) const = default;
};

struct Rewrite {
  // kPrefix replaces the part of the path that the match's prefix took: the first slash when no
  // path was matched, all of it when the match is not a prefix. kFull: the whole path, never the
  // query.
  enum class Kind : std::uint8_t { kNone, kPrefix, kFull, kRegex };
  Kind path_kind = Kind::kNone;
  std::string path;   // the replacement
  std::string regex;  // kRegex only
  std::string authority;
  bool operator==(const Rewrite&) const = default;
};

struct Redirect {
  std::uint32_t code = 301;
  // kAsItCame: the request's, while the authority is the request's too; else none is written.
  enum class Port : std::uint8_t { kAsItCame, kOfScheme, kOfListener };
  std::string scheme, authority;      // "": as it came
  std::optional<std::uint16_t> port;  // in a plan: whatever port_from says, once it is known
  Port port_from = Port::kAsItCame;   // unless there is a port
  bool port_unsaid = false;           // in a plan: `port` is its scheme's own, so not written
  Rewrite path;                       // authority unused
  bool operator==(const Redirect&) const = default;
};

struct DirectResponse {
  std::uint32_t status = 200;
  std::string body;
  bool operator==(const DirectResponse&) const = default;
};

struct Cors {
  std::vector<TextMatch> origins;
  std::vector<std::string> methods, headers, expose;
  std::optional<bool> credentials;
  std::optional<std::chrono::seconds> max_age;
  bool forward_unmatched_preflights = true;
  bool operator==(const Cors&) const = default;
};

struct HttpRule {
  std::string name;
  std::vector<RequestMatch> matches;  // OR; empty: every request
  // At most one of: backends, redirect, direct.
  std::vector<Backend> backends;  // empty, and neither of the others: a 500, as Gateway API has it
  std::optional<Redirect> redirect;
  std::optional<DirectResponse> direct;
  Rewrite rewrite;
  HeaderChange request, response;
  std::vector<Mirror> mirrors;
  std::optional<Milliseconds> timeout;  // none or 0: off, never Envoy's 15 s
  std::optional<Retry> retry;           // none: the API's default (RouteTable::default_retry)
  std::optional<Fault> fault;
  std::optional<Cors> cors;
  bool operator==(const HttpRule&) const = default;
};

// Connections: by SNI (TLS passed through) or by destination alone.
struct ConnectionRule {
  std::vector<std::string> sni;  // empty: TCP
  std::vector<Cidr> destinations;
  std::optional<std::uint16_t> port;
  mesh::Labels source_labels;
  std::optional<std::string> source_namespace;
  std::vector<std::string> gateways;  // as RequestMatch::gateways
  std::vector<Backend> backends;
  bool operator==(const ConnectionRule&) const = default;
};

enum class Api : std::uint8_t { kGatewayApi, kIstio, kSmi, kConsul, kLinkerd };  // in precedence

// What one object says about one parent: a service of the mesh, or a gateway's listener. One object
// with several hosts or parents makes several tables.
struct RouteTable {
  enum class Order : std::uint8_t {
    kListed,      // the first rule that matches (Istio)
    kSpecificity  // across all tables of the parent (Gateway API)
  };
  enum class Protocol : std::uint8_t { kHttp, kGrpc, kConnection };
  Provenance from;
  std::string ns, name;  // of the object
  Api api = Api::kIstio;
  Protocol protocol = Protocol::kHttp;
  Order order = Order::kListed;

  // Parent: a service (mesh). When the parent is a gateway: hostname "", and the port of its
  // listeners that is meant (0: every one).
  ServiceKey service;
  std::string gateway;  // parent: "ns/name" of a gateway; "" for the mesh
  std::string section;  // its listener's name; "": every listener
  std::vector<std::string> hosts;  // gateway parents: host names, "*" and "*.x"; mesh: as written

  // Mesh: whose requests it is about. Empty: everybody's. A consumer route (Gateway API, a route in
  // another namespace than its service) holds the client's namespace, and replaces the producer's
  // for those clients.
  std::vector<std::string> client_namespaces;
  // What no rule matches: true, goes to the service itself; false, 404.
  bool default_route = false;
  // What HttpRule::retry's absence means: Istio, two attempts on its default conditions; Gateway
  // API, none.
  bool default_retry = false;
  std::vector<std::string> export_to;  // Istio: ".", "*", namespaces; empty: everybody

  std::vector<HttpRule> http;
  std::vector<ConnectionRule> connections;
};

}  // namespace weft::controlplane::model
