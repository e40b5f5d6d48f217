// How ztunnel reaches a control plane: address, roots, verified name, bearer token. Shared by xDS and CA.
// Source: ambient-protocol facts §2.2.1, §6.1, §6.5: server-side TLS only, the token in a header of each call.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "base/result.h"

namespace grpc {
class Channel;
class ClientContext;
}  // namespace grpc

namespace weft::rpc {

struct Endpoint {
  std::string address;   // "https://host:port", "http://host:port"; a bare "host:port" is https
  std::string root;      // path of a PEM file, a literal PEM, or "SYSTEM"; https only
  std::string alt_name;  // verified instead of the host; empty: the host, or kDefaultName when that is an IP
  std::string token;     // path of the bearer token's file, or empty
  std::string cluster_id;
  std::map<std::string, std::string> headers;  // extra ones of each call
};

inline constexpr const char* kDefaultName = "weft-controlplane.weft-system.svc";

// Reads the roots now. Errors: a sentence with the variable's value.
Parsed<std::string> read_root(const std::string& source);
// A channel of its own (no shared connection, no shared backoff); connects when it is used.
Parsed<std::shared_ptr<grpc::Channel>> make_channel(const Endpoint& endpoint);
// Adds authorization (the token file is read now), clusterid and the extra headers.
Parsed<void> add_headers(const Endpoint& endpoint, grpc::ClientContext& context);

}  // namespace weft::rpc
