#include "ztunnel/ca/grpc_signer.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/support/async_unary_call.h>

#include <future>

#include "base/log.h"
#include "weft/ca.grpc.pb.h"

namespace weft::ca {
namespace {

namespace pb = istio::v1::auth;

Error to_error(const grpc::Status& status) {
  switch (status.error_code()) {
    case grpc::PERMISSION_DENIED: return {Code::kDenied, 0, "the CA refuses this identity"};
    case grpc::UNAUTHENTICATED: return {Code::kDenied, 0, "the CA does not accept our token"};
    case grpc::DEADLINE_EXCEEDED: return {Code::kTimedOut, 0, "certificate from the CA"};
    case grpc::INVALID_ARGUMENT: return {Code::kMalformed, 0, "the CA refuses our request"};
    default: return {Code::kUnreachable, 0, "the CA"};
  }
}

void append_pem(std::string& out, const std::string& pem) {
  out += pem;
  if (!out.ends_with('\n')) out += '\n';
}

}  // namespace

struct GrpcSigner::Call {
  grpc::ClientContext context;
  std::unique_ptr<grpc::ClientAsyncResponseReader<pb::IstioCertificateResponse>> reader;
  pb::IstioCertificateResponse response;
  grpc::Status status;
  rpc::GrpcThread::Tag tag;
  Done done;
};

GrpcSigner::GrpcSigner(rpc::GrpcThread& thread, rpc::Endpoint endpoint)
    : thread_(thread), endpoint_(std::move(endpoint)) {}
GrpcSigner::~GrpcSigner() = default;

void GrpcSigner::sign(const mesh::Identity& identity, std::string csr_pem, std::chrono::seconds ttl, Done done) {
  if (stopping_) return done(fail(Code::kUnreachable, "stopping"));
  if (!channel_) {
    auto channel = rpc::make_channel(endpoint_);
    if (!channel) {
      spdlog::error("no channel to the CA error=\"{}\"", channel.error().text);
      return done(fail(Code::kUnreachable, "the CA's root file"));
    }
    channel_ = *std::move(channel);
  }
  auto call = std::make_unique<Call>();
  if (auto headers = rpc::add_headers(endpoint_, call->context); !headers) {
    spdlog::error("no token for the CA error=\"{}\"", headers.error().text);
    return done(fail(Code::kUnreachable, "the bearer token's file"));
  }
  call->context.set_deadline(WallClock::now() + kWait);
  pb::IstioCertificateRequest request;
  request.set_csr(std::move(csr_pem));
  request.set_validity_duration(ttl.count());
  (*request.mutable_metadata()->mutable_fields())["ImpersonatedIdentity"].set_string_value(identity.str());
  call->done = std::move(done);
  Call* raw = call.get();
  raw->tag.act = [this, raw, identity](bool) {
    auto owned = std::move(calls_.extract(raw).mapped());
    Result<Issued> result = std::unexpected(to_error(owned->status));
    if (!owned->status.ok()) {
      spdlog::warn("CA: identity={} code={} error=\"{}\"", identity.str(), static_cast<int>(owned->status.error_code()),
                   owned->status.error_message());
    } else if (owned->response.cert_chain_size() < 2) {
      result = fail(Code::kMalformed, "the CA's answer has no leaf or no roots");
    } else {
      Issued issued;
      const int last = owned->response.cert_chain_size() - 1;
      for (int i = 0; i < last; ++i) append_pem(issued.chain_pem, owned->response.cert_chain(i));
      append_pem(issued.roots_pem, owned->response.cert_chain(last));
      result = std::move(issued);
    }
    owned->done(std::move(result));
    if (calls_.empty() && on_idle_) std::exchange(on_idle_, nullptr)();
  };
  const auto stub = pb::IstioCertificateService::NewStub(channel_);
  raw->reader = stub->AsyncCreateCertificate(&raw->context, request, &thread_.queue());
  raw->reader->Finish(&raw->response, &raw->status, &raw->tag);
  calls_.emplace(raw, std::move(call));
}

void GrpcSigner::stop() {
  std::promise<void> idle;
  thread_.post([this, &idle] {
    stopping_ = true;
    if (calls_.empty()) return idle.set_value();
    on_idle_ = [&idle] { idle.set_value(); };
    for (auto& [raw, call] : calls_) call->context.TryCancel();
  });
  idle.get_future().wait();
}

}  // namespace weft::ca
