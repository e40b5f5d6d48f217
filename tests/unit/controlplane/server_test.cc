// The gRPC server, spoken to by a real gRPC client in this process.
#include "controlplane/server/server.h"

#include <gmock/gmock.h>
#include <google/protobuf/struct.pb.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "certificates.h"
#include "controlplane/ca/files.h"
#include "envoy/service/discovery/v3/ads.grpc.pb.h"
#include "fixture.h"
#include "weft/ca.grpc.pb.h"
#include "weft/workload.pb.h"

namespace weft::controlplane::server {
namespace {

namespace fs = std::filesystem;
namespace discovery = envoy::service::discovery::v3;
namespace auth = istio::v1::auth;
using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

class Grpc : public testing::Test {
 protected:
  Grpc() {
    char name[] = "/tmp/weft-server-XXXXXX";
    root_ = ::mkdtemp(name);
    std::ofstream(root_ / "tokens")
        << "- {token: one, node: node1}\n- {token: two, node: node2}\n- {token: all, node: '*'}\n"
           "- {token: stale, node: node1, expires: \"2020-01-01T00:00:00Z\"}\n";
    authority_ = std::move(
        *ca::Authority::open({.state_dir = (root_ / "state").string()}, WallClock::now()));
    tokens_ = std::make_unique<ca::Tokens>((root_ / "tokens").string());
    EXPECT_FALSE(tokens_->load());
    const auto serving =
        authority_->serve({"weft-controlplane.weft-system.svc"}, {"127.0.0.1"}, WallClock::now());
    auto started = Server::start({.types = {ztunnel::kAuthorizationType, ztunnel::kAddressType},
                                  .tls_address = "127.0.0.1:0",
                                  .plaintext_address = "127.0.0.1:0",
                                  .serving_chain_path = serving->chain_path,
                                  .serving_key_path = serving->key_path,
                                  .roots_path = authority_->bundle_path()},
                                 {cache_, *authority_, tokens_.get(), nodes_, counters_});
    EXPECT_TRUE(started) << started.error().text;
    server_ = std::move(*started);
  }
  ~Grpc() override {
    server_.reset();
    fs::remove_all(root_);
  }

  void apply(const std::string& yaml) { publish(world_.apply(yaml)); }
  void publish(const translate::Changes& changes) {
    nodes_.apply(world_.world.placements());
    cache_.apply(ztunnel::make_update(changes));
    server_->wake();
  }
  std::shared_ptr<grpc::Channel> plaintext() const {
    return grpc::CreateChannel("127.0.0.1:" + std::to_string(server_->plaintext_port()),
                               grpc::InsecureChannelCredentials());
  }
  std::shared_ptr<grpc::Channel> tls(const std::string& cert = "",
                                     const std::string& key = "") const {
    grpc::SslCredentialsOptions options{
        .pem_root_certs = authority_->bundle(), .pem_private_key = key, .pem_cert_chain = cert};
    grpc::ChannelArguments arguments;
    arguments.SetSslTargetNameOverride("weft-controlplane.weft-system.svc");
    return grpc::CreateCustomChannel("127.0.0.1:" + std::to_string(server_->tls_port()),
                                     grpc::SslCredentials(options), arguments);
  }

  fs::path root_;
  TestWorld world_;
  xds::Cache cache_;
  ca::NodeAuthorizer nodes_{"cluster.local"};
  Counters counters_;
  std::unique_ptr<ca::Authority> authority_;
  std::unique_ptr<ca::Tokens> tokens_;
  std::unique_ptr<Server> server_;
};

// A ztunnel, as far as discovery goes.
class Client {
 public:
  Client(const std::shared_ptr<grpc::Channel>& channel, const std::string& token)
      : stub_(discovery::AggregatedDiscoveryService::NewStub(channel)) {
    if (!token.empty()) context_.AddMetadata("authorization", "Bearer " + token);
    context_.set_deadline(std::chrono::system_clock::now() + 10s);
    stream_ = stub_->DeltaAggregatedResources(&context_);
  }
  ~Client() {
    context_.TryCancel();
    if (!ended_) (void)stream_->Finish();
  }
  struct Ask {
    std::vector<std::string> subscribe, unsubscribe;
    std::map<std::string, std::string> versions;
  };
  void ask(const std::string& type, const Ask& what = {}) {
    discovery::DeltaDiscoveryRequest request;
    request.set_type_url(type);
    request.mutable_node()->set_id(
        "ztunnel~10.0.0.1~ztunnel-a.weft-system~weft-system.svc.cluster.local");
    (*request.mutable_node()->mutable_metadata()->mutable_fields())["NODE_NAME"].set_string_value(
        "node1");
    for (const auto& name : what.subscribe) request.add_resource_names_subscribe(name);
    for (const auto& name : what.unsubscribe) request.add_resource_names_unsubscribe(name);
    for (const auto& [name, version] : what.versions)
      (*request.mutable_initial_resource_versions())[name] = version;
    stream_->Write(request);
  }
  discovery::DeltaDiscoveryResponse next() {
    discovery::DeltaDiscoveryResponse response;
    EXPECT_TRUE(stream_->Read(&response));
    return response;
  }
  void answer(const discovery::DeltaDiscoveryResponse& response, const std::string& error = "") {
    discovery::DeltaDiscoveryRequest request;
    request.set_type_url(response.type_url());
    request.set_response_nonce(response.nonce());
    if (!error.empty()) request.mutable_error_detail()->set_message(error);
    stream_->Write(request);
  }
  grpc::Status end() {
    discovery::DeltaDiscoveryResponse response;
    while (stream_->Read(&response)) continue;
    ended_ = true;
    return stream_->Finish();
  }

 private:
  bool ended_ = false;
  std::unique_ptr<discovery::AggregatedDiscoveryService::Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<
      grpc::ClientReaderWriter<discovery::DeltaDiscoveryRequest, discovery::DeltaDiscoveryResponse>>
      stream_;
};

std::vector<std::string> names(const discovery::DeltaDiscoveryResponse& response) {
  std::vector<std::string> out;
  for (const auto& resource : response.resources()) out.push_back(resource.name());
  return out;
}

const std::string kUid = "Kubernetes//Pod/shop/web";

TEST_F(Grpc, SubscribeUpdateRemove) {
  apply(pod_yaml("shop", "web", "10.0.0.1"));
  Client client(tls(), "one");
  client.ask(ztunnel::kAddressType);
  const auto first = client.next();
  EXPECT_EQ(first.type_url(), ztunnel::kAddressType);
  EXPECT_THAT(names(first), ElementsAre(kUid));
  ::istio::workload::Address address;
  ASSERT_TRUE(first.resources(0).resource().UnpackTo(&address));
  EXPECT_EQ(address.workload().name(), "web");
  EXPECT_THAT(first.resources(0).aliases(), ElementsAre("/10.0.0.1"));
  client.answer(first);
  apply(pod_yaml("shop", "db", "10.0.0.2"));
  EXPECT_THAT(names(client.next()), ElementsAre("Kubernetes//Pod/shop/db"));
  publish(world_.erase("Pod", "shop", "web"));
  EXPECT_THAT(client.next().removed_resources(), ElementsAre(kUid));
  EXPECT_EQ(server_->connected(), 1u);
}

TEST_F(Grpc, AChangeArrivesWithinFiftyMilliseconds) {
  Client client(tls(), "one");
  client.ask(ztunnel::kAddressType);
  client.answer(client.next());
  const auto start = Clock::now();
  apply(pod_yaml("shop", "web", "10.0.0.1"));
  client.next();
  EXPECT_LT(Clock::now() - start, 50ms);
}

TEST_F(Grpc, PoliciesArriveBeforeWorkloadsThatNameThem) {
  Client client(plaintext(), "one");
  client.ask(ztunnel::kAuthorizationType);
  client.ask(ztunnel::kAddressType);
  client.answer(client.next());
  client.answer(client.next());
  apply(pod_yaml("shop", "web", "10.0.0.1") +
        "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: p, "
        "namespace: shop}\nspec: {selector: {matchLabels: {app: web}}}\n");
  EXPECT_EQ(client.next().type_url(), ztunnel::kAuthorizationType);
  EXPECT_EQ(client.next().type_url(), ztunnel::kAddressType);
}

TEST_F(Grpc, NackIsCountedAndShown) {
  apply(pod_yaml("shop", "web", "10.0.0.1"));
  Client client(plaintext(), "one");
  client.ask(ztunnel::kAddressType);
  client.answer(client.next(), "cannot read web");
  for (int i = 0; i < 200 && counters_.nacks == 0; ++i) std::this_thread::sleep_for(5ms);
  EXPECT_EQ(counters_.nacks, 1u);
  const auto clients = server_->clients();
  ASSERT_EQ(clients.size(), 1u);
  EXPECT_EQ(clients[0].node, "node1");
  ASSERT_EQ(clients[0].types.size(), 1u);
  EXPECT_EQ(clients[0].types[0].last_error, "cannot read web");
  EXPECT_LT(clients[0].types[0].acked, clients[0].types[0].sent);
}

TEST_F(Grpc, ReconnectWithVersionsIsIncremental) {
  apply(pod_yaml("shop", "web", "10.0.0.1") + pod_yaml("shop", "db", "10.0.0.2"));
  std::map<std::string, std::string> versions;
  {
    Client client(plaintext(), "one");
    client.ask(ztunnel::kAddressType);
    const auto all = client.next();
    for (const auto& resource : all.resources()) versions[resource.name()] = resource.version();
  }
  EXPECT_EQ(versions.size(), 2u);
  publish(world_.erase("Pod", "shop", "db"));
  apply(pod_yaml("shop", "new", "10.0.0.3"));
  Client client(plaintext(), "one");
  client.ask(ztunnel::kAddressType, {.subscribe = {}, .unsubscribe = {}, .versions = versions});
  const auto delta = client.next();
  EXPECT_THAT(names(delta), ElementsAre("Kubernetes//Pod/shop/new"));
  EXPECT_THAT(delta.removed_resources(), ElementsAre("Kubernetes//Pod/shop/db"));
}

TEST_F(Grpc, OnDemandAnswersWhatIsThereAndWhatIsNot) {
  apply(pod_yaml("shop", "web", "10.0.0.1", "{}", ""));
  Client client(plaintext(), "two");
  client.ask(ztunnel::kAddressType, {.subscribe = {"*"}, .unsubscribe = {"*"}, .versions = {}});
  client.answer(client.next());
  client.ask(ztunnel::kAddressType,
             {.subscribe = {"/10.0.0.1"}, .unsubscribe = {}, .versions = {}});
  apply(pod_yaml("shop", "noise", "10.0.0.9"));
  client.ask(ztunnel::kAddressType,
             {.subscribe = {"/10.0.0.77"}, .unsubscribe = {}, .versions = {}});
  std::vector<std::string> removed;
  for (int i = 0; i < 4 && removed.empty(); ++i) {
    const auto response = client.next();
    for (const auto& name : response.removed_resources()) removed.push_back(name);
  }
  EXPECT_THAT(removed, ElementsAre("/10.0.0.77"));
}

TEST_F(Grpc, CallersWithoutAGoodTokenAreTurnedAway) {
  for (const char* token : {"", "wrong", "stale"}) {
    for (const auto& channel : {tls(), plaintext()}) {
      Client client(channel, token);
      client.ask(ztunnel::kAddressType);
      EXPECT_EQ(client.end().error_code(), grpc::StatusCode::UNAUTHENTICATED) << token;
    }
  }
  EXPECT_EQ(counters_.unauthenticated, 6u);
}

TEST_F(Grpc, UnknownTypeEndsTheStream) {
  Client client(plaintext(), "one");
  client.ask("type.googleapis.com/envoy.config.cluster.v3.Cluster");
  EXPECT_EQ(client.end().error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(Grpc, ACallerCannotMakeUsRememberWithoutEnd) {
  const std::string long_name(xds::Session::kNameBytesMax + 1, 'x');
  for (const Client::Ask& ask : {Client::Ask{.subscribe = {long_name}}, Client::Ask{.versions = {{"a", long_name}}}}) {
    Client client(plaintext(), "one");
    client.ask(ztunnel::kAddressType, ask);
    EXPECT_EQ(client.end().error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  }
  Client client(plaintext(), "one");
  std::vector<std::string> names;
  for (std::size_t i = 0; i < xds::Session::kNamesMax / 2 + 1; ++i) names.push_back("nobody/" + std::to_string(i));
  client.ask(ztunnel::kAddressType, {.subscribe = names});
  for (auto& name : names) name += "!";
  client.ask(ztunnel::kAddressType, {.subscribe = names});
  EXPECT_EQ(client.end().error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
}

TEST_F(Grpc, ANodeHasAFewStreamsAndAnotherNodeItsOwn) {
  const auto channel = plaintext();
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 8; ++i) {
    clients.push_back(std::make_unique<Client>(channel, "one"));
    clients.back()->ask(ztunnel::kAddressType);
    clients.back()->next();
  }
  EXPECT_EQ(Client(channel, "one").end().error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  Client other(channel, "two");
  other.ask(ztunnel::kAddressType);
  other.next();
  clients.clear();
  for (int tries = 0; server_->connected() > 1 && tries < 500; ++tries) std::this_thread::sleep_for(10ms);
  Client again(channel, "one");
  again.ask(ztunnel::kAddressType);
  again.next();
}

TEST_F(Grpc, StoppingEndsStreams) {
  Client client(plaintext(), "one");
  client.ask(ztunnel::kAddressType);
  client.next();
  server_.reset();
  EXPECT_FALSE(client.end().ok());
}

class Certify : public Grpc {
 protected:
  Certify() { apply(pod_yaml("shop", "web", "10.0.0.1")); }  // node1, shop/web

  grpc::Status create(const std::shared_ptr<grpc::Channel>& channel, const std::string& token,
                      const std::string& identity, const std::string& csr,
                      std::int64_t seconds = 3600) {
    const auto stub = auth::IstioCertificateService::NewStub(channel);
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + 10s);
    if (!token.empty()) context.AddMetadata("authorization", "Bearer " + token);
    auth::IstioCertificateRequest request;
    request.set_csr(csr);
    request.set_validity_duration(seconds);
    if (!identity.empty())
      (*request.mutable_metadata()->mutable_fields())["ImpersonatedIdentity"].set_string_value(
          identity);
    response_.Clear();
    return stub->CreateCertificate(&context, request, &response_);
  }
  auth::IstioCertificateResponse response_;
  const std::string web_ = "spiffe://cluster.local/ns/shop/sa/web";
};

TEST_F(Certify, IdentityTable) {
  using grpc::StatusCode;
  struct Row {
    const char* name;
    const char* token;
    std::string identity, csr;
    StatusCode code;
  };
  const std::string db = "spiffe://cluster.local/ns/shop/sa/db";
  const ca::Key key = ca::make_key(), other = ca::make_key();
  const Row rows[] = {
      {"own node", "one", web_, csr_for(web_), StatusCode::OK},
      {"foreign node", "two", web_, csr_for(web_), StatusCode::PERMISSION_DENIED},
      {"no such pod", "one", db, csr_for(db), StatusCode::PERMISSION_DENIED},
      {"other trust domain", "one", "spiffe://evil/ns/shop/sa/web",
       csr_for("spiffe://evil/ns/shop/sa/web"), StatusCode::PERMISSION_DENIED},
      {"operator", "all", db, csr_for(db), StatusCode::OK},
      {"SAN is not what was granted", "one", web_, csr_for(db), StatusCode::INVALID_ARGUMENT},
      {"bad signature", "one", web_, make_csr(key.get(), "URI:" + web_, other.get()),
       StatusCode::INVALID_ARGUMENT},
      {"no csr", "one", web_, "", StatusCode::INVALID_ARGUMENT},
      {"no identity", "one", "", csr_for(web_), StatusCode::INVALID_ARGUMENT},
      {"not an identity", "one", "spiffe://cluster.local/web", csr_for(web_),
       StatusCode::INVALID_ARGUMENT},
      {"unknown token", "nope", web_, csr_for(web_), StatusCode::UNAUTHENTICATED},
      {"expired token", "stale", web_, csr_for(web_), StatusCode::UNAUTHENTICATED},
      {"no token", "", web_, csr_for(web_), StatusCode::UNAUTHENTICATED},
  };
  for (const Row& row : rows) {
    const auto status = create(tls(), row.token, row.identity, row.csr);
    EXPECT_EQ(status.error_code(), row.code) << row.name << ": " << status.error_message();
  }
  EXPECT_EQ(counters_.certificates_issued, 2u);
  EXPECT_EQ(counters_.certificates_refused, 8u);
}

TEST_F(Certify, DeletedPodsIdentityIsRefused) {
  EXPECT_TRUE(create(plaintext(), "one", web_, csr_for(web_)).ok());
  publish(world_.erase("Pod", "shop", "web"));
  EXPECT_EQ(create(plaintext(), "one", web_, csr_for(web_)).error_code(),
            grpc::StatusCode::PERMISSION_DENIED);
}

TEST_F(Certify, ChainEndsWithTheRoots) {
  ASSERT_TRUE(create(plaintext(), "one", web_, csr_for(web_), 20).ok());
  ASSERT_EQ(response_.cert_chain_size(), 2);
  EXPECT_EQ(response_.cert_chain(1), authority_->bundle());
  EXPECT_EQ(verify({response_.cert_chain(0)}, response_.cert_chain(1)), "");
  const auto leaf = std::move(ca::parse_certs(response_.cert_chain(0))->front());
  EXPECT_LE(ca::not_after(leaf.get()) - WallClock::now(), 20s);
}

TEST_F(Certify, AStrangersMessageIsNotRead) {
  // 17 MiB: read, it would be refused as too long.
  const std::string csr(17 << 20, 'x');
  EXPECT_EQ(create(tls(), "", web_, csr).error_code(), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(create(tls(), "one", web_, csr).error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
}

TEST_F(Certify, AMeshCertificateIsGoodForDiscoveryAndItsOwnRenewalOnly) {
  const ca::Key key = ca::make_key();
  ASSERT_TRUE(create(tls(), "one", web_, make_csr(key.get(), "URI:" + web_)).ok());
  const auto channel = tls(response_.cert_chain(0), ca::key_pem(key.get()));
  Client client(channel, "");
  client.ask(ztunnel::kAddressType);
  EXPECT_THAT(names(client.next()), ElementsAre(kUid));
  EXPECT_TRUE(create(channel, "", "", csr_for(web_)).ok());
  const std::string db = "spiffe://cluster.local/ns/shop/sa/db";
  EXPECT_EQ(create(channel, "", db, csr_for(db)).error_code(), grpc::StatusCode::PERMISSION_DENIED);
}

TEST_F(Certify, ServingCertificateFollowsARotatedRoot) {
  ASSERT_TRUE(authority_->rotate(WallClock::now()));
  ASSERT_TRUE(authority_->rotate(WallClock::now()));
  ASSERT_TRUE(authority_->rotate(WallClock::now()));
  ASSERT_TRUE(authority_->serve({"weft-controlplane.weft-system.svc"}, {}, WallClock::now()));
  grpc::Status status;
  for (int i = 0; i < 50; ++i) {  // looked at every second
    status = create(tls(), "one", web_, csr_for(web_));
    if (status.ok()) break;
    std::this_thread::sleep_for(100ms);
  }
  EXPECT_TRUE(status.ok()) << status.error_message();
}

}  // namespace
}  // namespace weft::controlplane::server
