// Access logs of Envoys: one Receiver per call, for as long as the Envoy lives. What arrives goes
// to the collector, on gRPC's thread.
#include <utility>

#include "base/log.h"
#include "controlplane/server/hub.h"
#include "controlplane/telemetry/collector.h"
#include "envoy/service/accesslog/v3/als.grpc.pb.h"

namespace weft::controlplane::server {
namespace {

namespace als = ::envoy::service::accesslog::v3;

// Envoy flushes at 16 KiB; a message may be larger by one entry and the node's description.
constexpr std::size_t kMessageBytesMax = 4 << 20;

class Receiver final : public grpc::ServerReadReactor<als::StreamAccessLogsMessage> {
 public:
  Receiver(telemetry::Collector& collector, std::string envoy)
      : collector_(collector), envoy_(std::move(envoy)) {
    StartRead(&message_);
  }

  void OnReadDone(bool ok) override {
    if (!ok) return Finish(grpc::Status::OK);
    if (message_.ByteSizeLong() > kMessageBytesMax) {
      collector_.lost(1);
      return Finish({grpc::StatusCode::RESOURCE_EXHAUSTED, "a message of more than 4 MiB"});
    }
    for (const auto& entry : message_.http_logs().log_entry()) collector_.record(envoy_, entry);
    for (const auto& entry : message_.tcp_logs().log_entry()) collector_.record(envoy_, entry);
    message_.Clear();
    StartRead(&message_);
  }
  void OnDone() override { delete this; }

 private:
  telemetry::Collector& collector_;
  const std::string envoy_;  // the plan id that its token speaks for
  als::StreamAccessLogsMessage message_;
};

class Refusal final : public grpc::ServerReadReactor<als::StreamAccessLogsMessage> {
 public:
  explicit Refusal(const grpc::Status& status) { Finish(status); }
  void OnDone() override { delete this; }
};

class AccessLogs final : public als::AccessLogService::CallbackService {
 public:
  explicit AccessLogs(Hub& hub) : hub_(hub) {}

  grpc::ServerReadReactor<als::StreamAccessLogsMessage>* StreamAccessLogs(
      grpc::CallbackServerContext* context, als::StreamAccessLogsResponse*) override {
    const auto envoy = envoy_of(context->client_metadata(), hub_.services);
    if (!envoy)
      return new Refusal({grpc::StatusCode::UNAUTHENTICATED, "an Envoy's token is required"});
    if (hub_.services.collector == nullptr)
      return new Refusal({grpc::StatusCode::UNIMPLEMENTED, "no access logs are taken here"});
    return new Receiver(*hub_.services.collector, *envoy);
  }

 private:
  Hub& hub_;
};

}  // namespace

std::unique_ptr<grpc::Service> make_access_log_service(Hub& hub) {
  return std::make_unique<AccessLogs>(hub);
}

}  // namespace weft::controlplane::server
