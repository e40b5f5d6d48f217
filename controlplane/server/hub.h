// What the gRPC services share: who is calling, and which streams are open. Internal to the server
// room.
#pragma once

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <variant>

#include "controlplane/server/server.h"
#include "controlplane/xds/fleet.h"

namespace weft::controlplane::server {

class Stream;

struct Hub {
  Services services;
  std::vector<std::string> types;
  std::atomic<bool> nodes_wait{false}, envoys_wait{false};  // their streams get nothing yet
  mutable std::mutex mutex;
  std::map<const Stream*, std::weak_ptr<Stream>> streams;  // guarded by mutex

  std::vector<std::shared_ptr<Stream>> open_streams() const;
};

// The caller, or the status to refuse with. The second form is for who has no context yet.
using ClientMetadata = std::multimap<grpc::string_ref, grpc::string_ref>;
std::variant<ca::Caller, grpc::Status> authenticate(const grpc::CallbackServerContext& context,
                                                    const Services& services);
std::variant<ca::Caller, grpc::Status> authenticate(const ClientMetadata& metadata,
                                                    const grpc::AuthContext* peer,
                                                    const Services& services);

// The plan id that an Envoy's token speaks for; nothing when the caller is no Envoy of ours.
std::optional<std::string> envoy_of(const ClientMetadata& metadata, const Services& services);

// The services; each keeps a reference to the hub.
std::unique_ptr<grpc::Service> make_discovery_service(Hub& hub);
std::unique_ptr<grpc::Service> make_certificate_service(Hub& hub);
std::unique_ptr<grpc::Service> make_access_log_service(Hub& hub);
ClientStatus status_of(Stream& stream);
void wake(Stream& stream);
void stop(Stream& stream);

}  // namespace weft::controlplane::server
