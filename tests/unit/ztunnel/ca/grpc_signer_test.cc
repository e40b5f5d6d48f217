// GrpcSigner against a CA served by gRPC in this process.
#include "ztunnel/ca/grpc_signer.h"

#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include <fstream>
#include <future>

#include "csr_ca.h"
#include "weft/ca.grpc.pb.h"
#include "ztunnel/tls/credentials.h"
#include "ztunnel/tls/csr.h"

namespace weft::ca {
namespace {

namespace pb = istio::v1::auth;

class Service final : public pb::IstioCertificateService::Service {
 public:
  grpc::Status CreateCertificate(grpc::ServerContext* context, const pb::IstioCertificateRequest* request,
                                 pb::IstioCertificateResponse* response) override {
    const auto& metadata = context->client_metadata();
    const auto token = metadata.find("authorization");
    if (token == metadata.end() || token->second != "Bearer secret") return {grpc::StatusCode::UNAUTHENTICATED, "token"};
    impersonated = request->metadata().fields().at("ImpersonatedIdentity").string_value();
    ttl = request->validity_duration();
    cluster = std::string(metadata.find("clusterid")->second.data(), metadata.find("clusterid")->second.size());
    if (impersonated.ends_with("/sa/evil")) return {grpc::StatusCode::PERMISSION_DENIED, "no pod of it on this node"};
    const auto now = WallClock::now();
    response->add_cert_chain(ca.sign(request->csr(), now - std::chrono::minutes(1), now + std::chrono::hours(1)));
    if (!forget_roots) response->add_cert_chain(ca.root_pem());
    return grpc::Status::OK;
  }
  CsrCa ca{"root"};
  std::string impersonated, cluster;
  std::int64_t ttl = 0;
  bool forget_roots = false;
};

class GrpcSignerTest : public ::testing::Test {
 protected:
  GrpcSignerTest() : token_(::testing::TempDir() + "weft-token-" + std::to_string(::getpid())) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(&service_);
    server_ = builder.BuildAndStart();
    write_token("secret\n");
    signer_ = std::make_unique<GrpcSigner>(
        thread_, rpc::Endpoint{.address = "http://127.0.0.1:" + std::to_string(port_), .token = token_, .cluster_id = "east"});
  }
  ~GrpcSignerTest() override {
    signer_->stop();
    thread_.stop();
    std::remove(token_.c_str());
  }
  void write_token(const std::string& text) { std::ofstream(token_) << text; }

  Result<Issued> ask(const std::string& account, std::string* key_pem = nullptr) {
    const mesh::Identity identity{"td", "ns", account};
    auto request = tls::make_certificate_request(identity);
    if (key_pem != nullptr) *key_pem = request->key_pem;
    std::promise<Result<Issued>> answer;
    thread_.post([&] {
      signer_->sign(identity, request->csr_pem, std::chrono::hours(24), [&](Result<Issued> issued) { answer.set_value(std::move(issued)); });
    });
    return answer.get_future().get();
  }

  const std::string token_;
  Service service_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
  rpc::GrpcThread thread_;
  std::unique_ptr<GrpcSigner> signer_;
};

TEST_F(GrpcSignerTest, GetsACertificateForTheIdentityItImpersonates) {
  std::string key;
  const auto issued = ask("app", &key);
  ASSERT_TRUE(issued) << describe(issued.error());
  EXPECT_EQ(service_.impersonated, "spiffe://td/ns/ns/sa/app");
  EXPECT_EQ(service_.ttl, 86400);
  EXPECT_EQ(service_.cluster, "east");
  const auto credentials = tls::Credentials::parse(issued->chain_pem, key, issued->roots_pem);
  ASSERT_TRUE(credentials);
  EXPECT_EQ((*credentials)->identity().service_account, "app");
}

TEST_F(GrpcSignerTest, ReadsTheTokenAtEachCall) {
  write_token("stale");
  EXPECT_EQ(ask("app").error().code, Code::kDenied);
  write_token("secret");
  EXPECT_TRUE(ask("app"));
  std::remove(token_.c_str());
  EXPECT_EQ(ask("app").error().code, Code::kUnreachable);
}

TEST_F(GrpcSignerTest, TellsARefusalFromAnAbsence) {
  EXPECT_EQ(ask("evil").error().code, Code::kDenied);
  server_->Shutdown();
  server_->Wait();
  EXPECT_EQ(ask("app").error().code, Code::kUnreachable);
}

TEST_F(GrpcSignerTest, AnAnswerWithoutRootsIsMalformed) {
  service_.forget_roots = true;
  EXPECT_EQ(ask("app").error().code, Code::kMalformed);
}

}  // namespace
}  // namespace weft::ca
