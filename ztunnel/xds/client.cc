#include "ztunnel/xds/client.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/support/async_stream.h>

#include <deque>
#include <future>

#include "base/log.h"
#include "envoy/service/discovery/v3/ads.grpc.pb.h"
#include "ztunnel/state/decode.h"
#include "ztunnel/xds/cache.h"

namespace weft::xds {
namespace {

using Ads = envoy::service::discovery::v3::AggregatedDiscoveryService;

constexpr auto kBackoffMin = std::chrono::milliseconds(10);
constexpr auto kBackoffMax = std::chrono::seconds(15);
constexpr auto kSaveWaitMin = std::chrono::milliseconds(200);
constexpr int kSaveShare = 10;  // writing the cache takes at most this fraction of the thread's time

// What a control plane does on purpose (a restart, an aged connection): come back at once.
bool is_graceful(int code, const std::string& message) {
  return code == grpc::OK || code == grpc::UNKNOWN || code == grpc::CANCELLED || code == grpc::DEADLINE_EXCEEDED ||
         message.find("transport is closing") != std::string::npos || message.find("GOAWAY") != std::string::npos;
}

}  // namespace

// One call. Dies (by the client) only when every operation has come back.
class Client::Stream {
 public:
  Stream(Client& client, std::shared_ptr<grpc::Channel> channel)
      : client_(client), channel_(std::move(channel)), stub_(Ads::NewStub(channel_)) {
    started_.act = [this](bool ok) { on_started(ok); };
    read_.act = [this](bool ok) { on_read(ok); };
    written_.act = [this](bool ok) { on_written(ok); };
    finished_.act = [this](bool) { on_finished(); };
  }

  Parsed<void> start() {
    if (auto headers = rpc::add_headers(client_.options_.endpoint, context_); !headers) return headers;
    call_ = stub_->PrepareAsyncDeltaAggregatedResources(&context_, &client_.thread_.queue());
    call_->StartCall(&started_);
    return {};
  }

  void send(Request request) {
    if (!open_) return;  // start() of the session says it all
    out_.push_back(std::move(request));
    write_next();
  }

  void cancel() { context_.TryCancel(); }

 private:
  void on_started(bool ok) {
    if (!ok) return finish();
    open_ = true;
    for (auto& request : client_.session_.start()) out_.push_back(std::move(request));
    write_next();
    reading_ = true;
    call_->Read(&response_, &read_);
  }

  void on_read(bool ok) {
    reading_ = false;
    if (!ok) return end();
    client_.on_response(response_);
    reading_ = true;
    call_->Read(&response_, &read_);
  }

  void on_written(bool ok) {
    writing_ = false;
    if (!ok || ending_) return end();
    write_next();
  }

  void write_next() {
    if (!open_ || writing_ || ending_ || out_.empty()) return;
    writing_ = true;
    request_ = std::move(out_.front());
    out_.pop_front();
    call_->Write(request_, &written_);
  }

  void end() {
    ending_ = true;
    if (reading_ || writing_) return context_.TryCancel();
    if (!finishing_) finish();
  }

  void finish() {
    finishing_ = true;
    call_->Finish(&status_, &finished_);
  }

  // `this` dies in on_end.
  void on_finished() {
    const bool started = open_;
    const auto status = status_;
    client_.on_end(started, status.error_code(), status.error_message());
  }

  Client& client_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<Ads::Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientAsyncReaderWriter<Request, Response>> call_;
  rpc::GrpcThread::Tag started_, read_, written_, finished_;
  Request request_;
  Response response_;
  grpc::Status status_;
  std::deque<Request> out_;
  bool open_ = false, reading_ = false, writing_ = false, ending_ = false, finishing_ = false;
};

Client::Client(rpc::GrpcThread& thread, ClientOptions options, Sink sink)
    : thread_(thread),
      options_(std::move(options)),
      sink_(std::move(sink)),
      session_(options_.node, options_.on_demand, !options_.cache_path.empty()),
      backoff_(kBackoffMin),
      save_wait_(kSaveWaitMin) {}

Client::~Client() = default;

void Client::start() {
  thread_.post([this] {
    if (!options_.cache_path.empty()) {
      auto saved = read_cache(options_.cache_path);
      if (saved) {
        Update update{session_.load(*saved), {}};
        counters_.loaded = session_.known(state::kAddressType) > 0;
        spdlog::info("began with the last good state addresses={} policies={}", session_.known(state::kAddressType),
                     session_.known(state::kAuthorizationType));
        sink_(std::move(update));
      } else if (saved.error().code != Code::kNotFound) {
        spdlog::warn("the last good state is not usable path={} error=\"{}\"", options_.cache_path,
                     describe(saved.error()));
      }
    }
    connect();
  });
}

void Client::stop() {
  std::promise<void> stopped;
  thread_.post([this, &stopped] {
    stopping_ = true;
    if (save_scheduled_) save();
    if (!stream_) return stopped.set_value();
    on_stopped_ = [&stopped] { stopped.set_value(); };
    stream_->cancel();
  });
  stopped.get_future().wait();
}

void Client::want(std::string name) {
  thread_.post([this, name = std::move(name)] {
    Request request;
    const auto want = session_.want(name, request);
    if (want == Session::Want::kHeld) sink_(Update{{}, {name}});
    if (want == Session::Want::kAsk && stream_) stream_->send(std::move(request));
  });
}

void Client::connect() {
  if (stopping_) return;
  auto channel = rpc::make_channel(options_.endpoint);
  if (!channel) return on_end(false, grpc::FAILED_PRECONDITION, channel.error().text);
  stream_ = std::make_unique<Stream>(*this, *std::move(channel));
  if (auto started = stream_->start(); !started) on_end(false, grpc::FAILED_PRECONDITION, started.error().text);
}

void Client::on_response(const Response& response) {
  Request reply;
  auto outcome = session_.handle(response, reply);
  const std::size_t index = response.type_url() == state::kAddressType ? 0 : 1;
  counters_.messages[index].fetch_add(1, std::memory_order_relaxed);
  counters_.bytes[index].fetch_add(response.ByteSizeLong(), std::memory_order_relaxed);
  counters_.rejected.fetch_add(outcome.rejected, std::memory_order_relaxed);
  counters_.accepted.fetch_add(outcome.resources - outcome.rejected, std::memory_order_relaxed);
  if (!outcome.nack.empty()) spdlog::error("xds: refused resources type={} error=\"{}\"", response.type_url(), outcome.nack);
  spdlog::debug("xds: received type={} resources={} removed={} nonce={}", response.type_url(), response.resources_size(),
                response.removed_resources_size(), response.nonce());
  if (!counters_.connected.exchange(true)) {
    spdlog::info("connected to the control plane address={}", options_.endpoint.address);
    told_ = false;
  }
  backoff_ = kBackoffMin;
  stream_->send(std::move(reply));
  const bool changed = !outcome.edits.empty();
  sink_(Update{std::move(outcome.edits), std::move(outcome.answered)});
  if (session_.synced()) counters_.synced = true;
  if (changed) schedule_save();
}

void Client::on_end(bool started, int code, const std::string& message) {
  stream_.reset();
  counters_.connected = false;
  const bool graceful = started && is_graceful(code, message);
  const std::size_t reason = !started ? 0 : code == grpc::OK ? 3 : graceful ? 2 : 1;
  counters_.terminations[reason].fetch_add(1, std::memory_order_relaxed);
  if (stopping_) {
    if (on_stopped_) on_stopped_();
    return;
  }
  if (!told_ && !graceful) {
    told_ = true;
    spdlog::warn("the control plane is away, going on with what is known address={} code={} error=\"{}\"",
                 options_.endpoint.address, code, message);
  } else {
    spdlog::debug("xds stream ended code={} error=\"{}\"", code, message);
  }
  if (graceful) backoff_ = kBackoffMin;
  thread_.after(backoff_, [this] { connect(); });
  backoff_ = std::min<Clock::duration>(backoff_ * 2, kBackoffMax);
}

void Client::schedule_save() {
  if (options_.cache_path.empty() || save_scheduled_) return;
  save_scheduled_ = true;
  thread_.after(save_wait_, [this] {
    if (save_scheduled_) save();
  });
}

void Client::save() {
  save_scheduled_ = false;
  const auto begun = Clock::now();
  auto written = write_cache(options_.cache_path, session_.save());
  if (!written) spdlog::error("cannot keep the last good state path={} error=\"{}\"", options_.cache_path, describe(written.error()));
  save_wait_ = std::max<Clock::duration>(kSaveWaitMin, kSaveShare * (Clock::now() - begun));
}

}  // namespace weft::xds
