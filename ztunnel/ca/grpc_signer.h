// GrpcSigner: istio.v1.auth CreateCertificate. Source: ambient-protocol facts §6.1, §6.2.
#pragma once

#include <memory>
#include <string>

#include "ztunnel/ca/keeper.h"
#include "ztunnel/rpc/channel.h"
#include "ztunnel/rpc/grpc_thread.h"

namespace weft::ca {

class GrpcSigner final : public Signer {
 public:
  GrpcSigner(rpc::GrpcThread& thread, rpc::Endpoint endpoint);
  ~GrpcSigner() override;  // REQUIRES: stop() returned

  // Runs on the GrpcThread; `done` does too. At most kWait.
  void sign(const mesh::Identity& identity, std::string csr_pem, std::chrono::seconds ttl, Done done) override;
  // The next request makes a new channel and reads the roots anew. GrpcThread.
  void renew_channel() { channel_.reset(); }
  // Cancels what is in flight and waits for it. Any thread but the GrpcThread.
  void stop();

  static constexpr auto kWait = std::chrono::seconds(5);

 private:
  struct Call;

  rpc::GrpcThread& thread_;
  const rpc::Endpoint endpoint_;
  // Owned by the GrpcThread.
  std::shared_ptr<grpc::Channel> channel_;
  std::map<Call*, std::unique_ptr<Call>> calls_;
  bool stopping_ = false;
  std::function<void()> on_idle_;
};

}  // namespace weft::ca
