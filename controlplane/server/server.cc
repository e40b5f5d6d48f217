#include "controlplane/server/server.h"

#include <grpc/support/log.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_credentials_options.h>

#include <mutex>
#include <string_view>
#include <utility>

#include "base/clock.h"
#include "base/line_budget.h"
#include "base/log.h"
#include "controlplane/ca/envoy_tokens.h"
#include "controlplane/server/hub.h"
#include "weft/ca.grpc.pb.h"

namespace weft::controlplane::server {
namespace {

namespace auth = istio::v1::auth;

// A reconnecting client lists all it holds: some 90 bytes for each of 100,000 workloads.
constexpr int kRequestBytesMax = 16 << 20;
constexpr int kStreamsOfConnectionMax = 32;
constexpr std::size_t kGrpcBytesMax = std::size_t{256}
                                      << 20;  // what all clients together may have buffered
constexpr int kResponseBytesMax = 200 << 20;  // what ztunnel takes
constexpr auto kStopGrace = std::chrono::seconds(1);

std::string one_property(const grpc::AuthContext& context, const char* name) {
  const auto values = context.FindPropertyValues(name);
  return values.size() == 1 ? std::string(values[0].data(), values[0].size()) : "";
}

class Certificates final : public auth::IstioCertificateService::CallbackService {
 public:
  explicit Certificates(Hub& hub) : hub_(hub) {}

  grpc::ServerUnaryReactor* CreateCertificate(grpc::CallbackServerContext* context,
                                              const auth::IstioCertificateRequest* request,
                                              auth::IstioCertificateResponse* response) override {
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    const grpc::Status status = create(*context, *request, *response);
    Counters& counters = hub_.services.counters;
    (status.ok() ? counters.certificates_issued : counters.certificates_refused)
        .fetch_add(1, std::memory_order_relaxed);
    std::uint64_t missing = 0;
    if (!status.ok() && may_log(missing))
      spdlog::warn("certificate refused peer={} error={:?} lines_suppressed={}", context->peer(),
                   status.error_message(), missing);
    reactor->Finish(status);
    return reactor;
  }

 private:
  grpc::Status create(const grpc::CallbackServerContext& context,
                      const auth::IstioCertificateRequest& request,
                      auth::IstioCertificateResponse& response) {
    auto authenticated = authenticate(context, hub_.services);
    if (const auto* refused = std::get_if<grpc::Status>(&authenticated)) return *refused;
    const ca::Caller& caller = std::get<ca::Caller>(authenticated);
    std::optional<mesh::Identity> wanted = caller.identity;
    const auto& metadata = request.metadata().fields();
    const auto impersonated = metadata.find("ImpersonatedIdentity");
    if (impersonated != metadata.end()) {
      wanted = mesh::Identity::parse(impersonated->second.string_value());
      if (!wanted)
        return {grpc::StatusCode::INVALID_ARGUMENT,
                "ImpersonatedIdentity is not a workload's SPIFFE identity"};
    }
    if (!wanted)
      return {grpc::StatusCode::INVALID_ARGUMENT,
              "the caller has no identity of its own: ImpersonatedIdentity is required"};
    if (const auto refused = hub_.services.nodes.refuse(caller, *wanted))
      return {grpc::StatusCode::PERMISSION_DENIED, refused->text};
    const auto issued = hub_.services.authority.issue(
        request.csr(), *wanted, request.validity_duration(), WallClock::now());
    if (!issued) return {grpc::StatusCode::INVALID_ARGUMENT, issued.error().text};
    for (const std::string& pem : issued->chain) response.add_cert_chain(pem);
    response.add_cert_chain(issued->roots);
    spdlog::info(
        "certificate issued identity={} node={} seconds={}", wanted->str(), caller.node,
        std::chrono::duration_cast<std::chrono::seconds>(issued->not_after - issued->not_before)
            .count());
    return grpc::Status::OK;
  }

  bool may_log(std::uint64_t& missing) {
    const std::scoped_lock lock(mutex_);
    return refusals_.take(Clock::now(), missing);
  }

  Hub& hub_;
  std::mutex mutex_;
  LineBudget refusals_;  // guarded by mutex_
};

// Turns callers away at their headers: gRPC would read a stranger's whole message first.
class Doorman final : public grpc::AuthMetadataProcessor {
 public:
  explicit Doorman(const Services& services) : services_(services) {}
  bool IsBlocking() const override { return true; }  // the API server may be asked
  grpc::Status Process(const InputMetadata& metadata, grpc::AuthContext* peer, OutputMetadata*,
                       OutputMetadata*) override {
    if (envoy_of(metadata, services_)) return grpc::Status::OK;
    const auto caller = authenticate(metadata, peer, services_);
    const auto* refused = std::get_if<grpc::Status>(&caller);
    return refused == nullptr ? grpc::Status::OK : *refused;
  }

 private:
  const Services services_;
};

std::shared_ptr<grpc::ServerCredentials> tls_credentials(const ServerOptions& options,
                                                         const Services& services) {
  auto files = std::make_shared<grpc::experimental::FileWatcherCertificateProvider>(
      options.serving_key_path, options.serving_chain_path, options.roots_path, 1);
  grpc::experimental::TlsServerCredentialsOptions tls(files);
  tls.watch_identity_key_cert_pairs();
  tls.watch_root_certs();
  tls.set_cert_request_type(GRPC_SSL_REQUEST_CLIENT_CERTIFICATE_AND_VERIFY);
  auto credentials = grpc::experimental::TlsServerCredentials(tls);
  credentials->SetAuthMetadataProcessor(std::make_shared<Doorman>(services));
  return credentials;
}

}  // namespace

std::variant<ca::Caller, grpc::Status> authenticate(const grpc::CallbackServerContext& context,
                                                    const Services& services) {
  return authenticate(context.client_metadata(), context.auth_context().get(), services);
}

std::variant<ca::Caller, grpc::Status> authenticate(const ClientMetadata& metadata,
                                                    const grpc::AuthContext* peer,
                                                    const Services& services) {
  constexpr std::string_view kBearer = "Bearer ";
  const auto header = metadata.find("authorization");
  if (header != metadata.end()) {
    const std::string_view value(header->second.data(), header->second.size());
    if (value.starts_with(kBearer) && services.tokens != nullptr) {
      if (auto caller =
              services.tokens->find(std::string(value.substr(kBearer.size())), WallClock::now()))
        return *caller;
    }
    if (services.tokens != nullptr) {
      services.counters.unauthenticated.fetch_add(1, std::memory_order_relaxed);
      return grpc::Status(grpc::StatusCode::UNAUTHENTICATED, "unknown or expired token");
    }
  }
  if (peer != nullptr && peer->IsPeerAuthenticated()) {
    if (auto identity =
            mesh::Identity::parse(one_property(*peer, GRPC_PEER_SPIFFE_ID_PROPERTY_NAME)))
      return ca::Caller{.identity = identity};
  }
  // "ssl" or "tls" by the kind of credentials; what is neither is not trusted without a token.
  const std::string transport =
      peer == nullptr ? "" : one_property(*peer, GRPC_TRANSPORT_SECURITY_TYPE_PROPERTY_NAME);
  const bool is_plaintext = transport.empty() || transport == "insecure";
  const bool trusted = services.tokens == nullptr || services.trust_plaintext;
  if (trusted && is_plaintext) return ca::Caller{.any_node = true};
  services.counters.unauthenticated.fetch_add(1, std::memory_order_relaxed);
  return grpc::Status(grpc::StatusCode::UNAUTHENTICATED,
                      "a bearer token or a mesh certificate is required");
}

std::optional<std::string> envoy_of(const ClientMetadata& metadata, const Services& services) {
  constexpr std::string_view kBearer = "Bearer ";
  const auto header = metadata.find("authorization");
  if (header == metadata.end() || services.envoy_tokens == nullptr) return std::nullopt;
  const std::string_view value(header->second.data(), header->second.size());
  if (!value.starts_with(kBearer)) return std::nullopt;
  return services.envoy_tokens->verify(std::string(value.substr(kBearer.size())));
}

std::unique_ptr<grpc::Service> make_certificate_service(Hub& hub) {
  return std::make_unique<Certificates>(hub);
}

class Server::State {
 public:
  Hub hub;
  std::unique_ptr<grpc::Service> discovery, certificates, access_logs;
  std::unique_ptr<grpc::Server> server;
  int tls_port = 0, plaintext_port = 0;
};

Server::Server(std::unique_ptr<State> state) : state_(std::move(state)) {}

Parsed<std::unique_ptr<Server>> Server::start(const ServerOptions& options,
                                              const Services& services) {
  std::unique_ptr<State> state(new State{.hub = {.services = services, .types = options.types}});
  state->hub.nodes_wait = options.nodes_wait;
  state->hub.envoys_wait = options.envoys_wait;
  state->discovery = make_discovery_service(state->hub);
  state->certificates = make_certificate_service(state->hub);
  state->access_logs = make_access_log_service(state->hub);
  // gRPC's own words (a client's failed handshake, mostly) are a developer's.
  gpr_set_log_function([](gpr_log_func_args* line) { spdlog::debug("grpc {}", line->message); });
  grpc::ServerBuilder builder;
  builder.SetMaxReceiveMessageSize(kRequestBytesMax);
  builder.SetMaxSendMessageSize(kResponseBytesMax);
  builder.SetResourceQuota(grpc::ResourceQuota("weft").Resize(kGrpcBytesMax));
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kStreamsOfConnectionMax);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 30'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PING_STRIKES, 0);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 5'000);
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  if (!options.tls_address.empty())
    builder.AddListeningPort(options.tls_address, tls_credentials(options, services),
                             &state->tls_port);
  if (!options.plaintext_address.empty()) {
    builder.AddListeningPort(options.plaintext_address, grpc::InsecureServerCredentials(),
                             &state->plaintext_port);
  }
  builder.RegisterService(state->discovery.get());
  builder.RegisterService(state->certificates.get());
  builder.RegisterService(state->access_logs.get());
  state->server = builder.BuildAndStart();
  const bool bound = state->server && (options.tls_address.empty() || state->tls_port > 0) &&
                     (options.plaintext_address.empty() || state->plaintext_port > 0);
  if (!bound)
    return problem("cannot listen on " + options.tls_address + " " + options.plaintext_address);
  return std::unique_ptr<Server>(new Server(std::move(state)));
}

Server::~Server() {
  for (const auto& stream : state_->hub.open_streams()) stop(*stream);
  state_->server->Shutdown(WallClock::now() + kStopGrace);
}

void Server::wake() {
  for (const auto& stream : state_->hub.open_streams()) server::wake(*stream);
}

void Server::admit_envoys() {
  state_->hub.envoys_wait = false;
  wake();
}

void Server::admit_nodes() {
  state_->hub.nodes_wait = false;
  wake();
}

std::vector<ClientStatus> Server::clients() const {
  std::vector<ClientStatus> out;
  for (const auto& stream : state_->hub.open_streams()) out.push_back(status_of(*stream));
  return out;
}

std::size_t Server::connected() const { return state_->hub.open_streams().size(); }
int Server::tls_port() const { return state_->tls_port; }
int Server::plaintext_port() const { return state_->plaintext_port; }

}  // namespace weft::controlplane::server
