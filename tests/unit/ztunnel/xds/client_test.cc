// Client against an ADS server in this process.
#include "ztunnel/xds/client.h"

#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>

#include "envoy/service/discovery/v3/ads.grpc.pb.h"
#include "resources.h"

namespace weft::xds {
namespace {

using namespace std::chrono_literals;
using Ads = envoy::service::discovery::v3::AggregatedDiscoveryService;

// Answers the first request of each type with what it holds, and keeps every request.
class Service final : public Ads::Service {
 public:
  grpc::Status DeltaAggregatedResources(grpc::ServerContext* context, grpc::ServerReaderWriter<Response, Request>* stream) override {
    {
      const std::lock_guard guard(lock_);
      ++streams;
      const auto token = context->client_metadata().find("authorization");
      if (token != context->client_metadata().end()) tokens.emplace_back(token->second.data(), token->second.size());
    }
    Request request;
    while (stream->Read(&request)) {
      const std::lock_guard guard(lock_);
      requests.push_back(request);
      changed_.notify_all();
      if (!request.response_nonce().empty()) {
        if (hang_up_after_ack && request.type_url() == state::kAuthorizationType) return grpc::Status::OK;
        continue;
      }
      for (const auto& name : request.resource_names_subscribe()) {
        if (name != "*") stream->Write(response(state::kAddressType, {}, {name}, "demand"));
      }
      if (request.has_node()) stream->Write(request.type_url() == state::kAddressType ? addresses : policies);
    }
    return grpc::Status::OK;
  }
  template <class Condition>
  bool wait(Condition condition) {
    std::unique_lock guard(lock_);
    return changed_.wait_for(guard, 10s, condition);
  }
  std::vector<Request> seen() {
    const std::lock_guard guard(lock_);
    return requests;
  }

  Response addresses = response(state::kAddressType, {workload("a", "v1")}, {}, "1");
  Response policies = response(state::kAuthorizationType, {policy("p", "v1")}, {}, "2");
  std::vector<Request> requests;
  std::vector<std::string> tokens;
  int streams = 0;
  bool hang_up_after_ack = false;
  std::mutex lock_;
  std::condition_variable changed_;
};

class ClientTest : public ::testing::Test {
 protected:
  ClientTest() : cache_(::testing::TempDir() + "weft-client-" + std::to_string(::getpid())) {
    std::remove(cache_.c_str());
    serve(0);
  }
  ~ClientTest() override {
    if (client_) client_->stop();
    stop_server();
    thread_.stop();
    std::remove(cache_.c_str());
  }
  void serve(int port) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:" + std::to_string(port), grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(&service_);
    server_ = builder.BuildAndStart();
    ASSERT_TRUE(server_);
  }
  void stop_server() {
    if (!server_) return;
    server_->Shutdown(WallClock::now());
    server_->Wait();
    server_.reset();
  }
  void start(bool on_demand = false) {
    ClientOptions options;
    options.endpoint.address = "http://127.0.0.1:" + std::to_string(port_);
    options.node.pod_name = "z";
    options.on_demand = on_demand;
    options.cache_path = cache_;
    client_ = std::make_unique<Client>(thread_, options, [this](Update update) {
      const std::lock_guard guard(lock_);
      workloads_ += update.edits.workloads.size();
      removed_ += update.edits.removed_addresses.size();
      for (auto& name : update.answered) answered_.push_back(name);
      changed_.notify_all();
    });
    client_->start();
  }
  template <class Condition>
  bool wait(Condition condition) {
    std::unique_lock guard(lock_);
    return changed_.wait_for(guard, 10s, condition);
  }

  const std::string cache_;
  Service service_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
  rpc::GrpcThread thread_;
  std::unique_ptr<Client> client_;
  std::mutex lock_;
  std::condition_variable changed_;
  std::size_t workloads_ = 0, removed_ = 0;
  std::vector<std::string> answered_;
};

bool has_ack(const std::vector<Request>& requests, const std::string& nonce, bool nack) {
  for (const auto& each : requests) {
    if (each.response_nonce() == nonce && each.has_error_detail() == nack) return true;
  }
  return false;
}

TEST_F(ClientTest, ReceivesAndAcknowledges) {
  start();
  EXPECT_TRUE(service_.wait([this] { return has_ack(service_.requests, "1", false) && has_ack(service_.requests, "2", false); }));
  EXPECT_TRUE(wait([this] { return workloads_ == 1; }));
  for (int i = 0; i < 1000 && !client_->counters().synced; ++i) std::this_thread::sleep_for(5ms);  // set after the last update
  EXPECT_TRUE(client_->counters().synced);
}

TEST_F(ClientTest, NacksWhatIsBroken) {
  service_.addresses = response(state::kAddressType, {workload("bad", "v1", 1), workload("good")}, {}, "1");
  start();
  EXPECT_TRUE(service_.wait([this] { return has_ack(service_.requests, "1", true); }));
  EXPECT_TRUE(wait([this] { return workloads_ == 1; }));
  EXPECT_EQ(client_->counters().rejected, 1u);
}

TEST_F(ClientTest, ComesBackAfterAGracefulEndWithWhatItKnows) {
  service_.hang_up_after_ack = true;
  start();
  ASSERT_TRUE(service_.wait([this] { return service_.streams >= 2 && service_.requests.size() >= 6; }));
  const auto requests = service_.seen();
  bool told = false;
  for (const auto& each : requests) told = told || (each.has_node() && each.initial_resource_versions().count("a") == 1);
  EXPECT_TRUE(told);
}

TEST_F(ClientTest, AnOutageChangesNothingAndItComesBack) {
  start();
  ASSERT_TRUE(wait([this] { return workloads_ == 1; }));
  ASSERT_TRUE(service_.wait([this] { return has_ack(service_.requests, "2", false); }));
  const int port = port_;
  stop_server();
  std::this_thread::sleep_for(100ms);
  EXPECT_FALSE(client_->counters().connected);
  {
    const std::lock_guard guard(service_.lock_);
    service_.requests.clear();
    service_.addresses = response(state::kAddressType, {}, {"a"}, "3");
  }
  serve(port);
  EXPECT_TRUE(wait([this] { return removed_ == 1; })) << "what went away meanwhile is removed";
}

TEST_F(ClientTest, ANewProcessBeginsWithTheLastGoodState) {
  start();
  ASSERT_TRUE(wait([this] { return workloads_ == 1; }));
  client_->stop();
  stop_server();
  workloads_ = 0;
  start();
  EXPECT_TRUE(wait([this] { return workloads_ == 1; }));
  EXPECT_TRUE(client_->counters().loaded);
  EXPECT_FALSE(client_->counters().synced);
}

TEST_F(ClientTest, OnDemandNamesAreAnswered) {
  start(true);
  ASSERT_TRUE(wait([this] { return workloads_ == 1; }));
  client_->want("net/10.7.7.7");
  EXPECT_TRUE(wait([this] { return answered_ == std::vector<std::string>{"net/10.7.7.7"}; }));
}

}  // namespace
}  // namespace weft::xds
