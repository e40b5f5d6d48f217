// Delta ADS: one Stream per call, for a ztunnel or, with an Envoy's token, for that Envoy. A Stream
// owns its session under its own lock; gRPC keeps at most one read and one write going.
#include <utility>

#include "base/clock.h"
#include "base/line_budget.h"
#include "base/log.h"
#include "controlplane/server/hub.h"
#include "envoy/service/discovery/v3/ads.grpc.pb.h"

namespace weft::controlplane::server {

namespace discovery = envoy::service::discovery::v3;

namespace {

xds::Request from_wire(const discovery::DeltaDiscoveryRequest& wire) {
  xds::Request out;
  out.type = wire.type_url();
  out.subscribe.assign(wire.resource_names_subscribe().begin(),
                       wire.resource_names_subscribe().end());
  out.unsubscribe.assign(wire.resource_names_unsubscribe().begin(),
                         wire.resource_names_unsubscribe().end());
  out.initial_versions.insert(wire.initial_resource_versions().begin(),
                              wire.initial_resource_versions().end());
  out.nonce = wire.response_nonce();
  if (wire.has_error_detail()) out.error = wire.error_detail().message();
  out.node_id = wire.node().id();
  const auto& metadata = wire.node().metadata().fields();
  const auto name = metadata.find("NODE_NAME");
  if (name != metadata.end()) out.node_name = name->second.string_value();
  return out;
}

void to_wire(const xds::Response& response, discovery::DeltaDiscoveryResponse& out) {
  out.Clear();
  out.set_type_url(response.type);
  out.set_nonce(response.nonce);
  out.set_system_version_info(response.version);
  for (const xds::ResourcePtr& resource : response.resources) {
    discovery::Resource& wire = *out.add_resources();
    wire.set_name(resource->name);
    wire.set_version(resource->version);
    for (const std::string& alias : resource->aliases) wire.add_aliases(alias);
    wire.mutable_resource()->set_type_url(resource->type);
    wire.mutable_resource()->set_value(resource->body);
  }
  for (const std::string& name : response.removed) out.add_removed_resources(name);
}

}  // namespace

// A node has one, two while its ztunnel is replaced; a client that lost its connection may leave
// one behind for a while.
constexpr std::size_t kStreamsOfCallerMax = 8;
constexpr std::size_t kStreamsOfPlanMax = 256;  // the replicas of a waypoint or gateway

class Stream final : public grpc::ServerBidiReactor<discovery::DeltaDiscoveryRequest,
                                                    discovery::DeltaDiscoveryResponse> {
 public:
  Stream(Hub& hub, std::string peer, ca::Caller caller)
      : hub_(hub),
        peer_(std::move(peer)),
        caller_(std::move(caller)),
        since_(WallClock::now()),
        session_(hub.services.cache, hub.types) {}

  // Registers itself and lives until OnDone. `envoy`: the plan id of an Envoy, or "". Null: the
  // caller has as many streams as one may.
  static Stream* open(Hub& hub, std::string peer, ca::Caller caller, const std::string& envoy) {
    auto stream = std::make_shared<Stream>(hub, std::move(peer), std::move(caller));
    stream->envoy_ = envoy;
    {
      std::lock_guard lock(hub.mutex);
      const std::string who = stream->who();
      std::size_t open = 0;
      for (const auto& [other, weak] : hub.streams) open += other->who() == who ? 1 : 0;
      const std::size_t most = envoy.empty() ? kStreamsOfCallerMax : kStreamsOfPlanMax;
      if (!who.empty() && open >= most) return nullptr;
      hub.streams[stream.get()] = stream;
    }
    stream->self_ = stream;
    if (!envoy.empty()) {
      auto member = hub.services.fleet->join(envoy, [weak = std::weak_ptr(stream)] {
        if (const auto alive = weak.lock()) alive->pump();
      });
      std::lock_guard lock(stream->mutex_);
      stream->member_ = std::move(member);
    }
    spdlog::info("discovery stream opened peer={} node={}", stream->peer_, stream->name());
    stream->StartRead(&stream->request_);
    return stream.get();
  }

  // The one caller behind a stream; "" for one that speaks for many nodes.
  std::string who() const {
    if (!envoy_.empty()) return "envoy " + envoy_;
    if (caller_.any_node) return "";
    return caller_.identity ? caller_.identity->str() : caller_.node;
  }

  void pump() {
    std::lock_guard lock(mutex_);
    pump_locked();
  }

  void stop() {
    std::lock_guard lock(mutex_);
    end({grpc::StatusCode::UNAVAILABLE, "the control plane is stopping"});
  }

  ClientStatus status() {
    std::lock_guard lock(mutex_);
    if (member_) return {peer_, envoy_, "", since_, member_->responses(), member_->status(), true};
    const std::string node =
        caller_.node.empty() || caller_.any_node ? session_.node_name() : caller_.node;
    return {peer_, session_.node_id(), node, since_, session_.responses(), session_.status(),
            false};
  }

  void OnReadDone(bool ok) override {
    std::lock_guard lock(mutex_);
    if (!ok) return end(grpc::Status::OK);
    const xds::Request request = from_wire(request_);
    if (request.error) {
      hub_.services.counters.nacks.fetch_add(1, std::memory_order_relaxed);
      std::uint64_t missing = 0;
      if (refusals_.take(Clock::now(), missing)) {
        spdlog::warn(
            "client refused configuration peer={} node={} type={:?} error={:?} lines_suppressed={}",
            peer_, name(), request.type.substr(0, xds::Session::kNameBytesMax),
            request.error->substr(0, xds::Session::kErrorBytesMax), missing);
      }
    }
    if (member_ && !request.node_id.empty() && request.node_id != envoy_)
      return end({grpc::StatusCode::PERMISSION_DENIED, "the token is not for " + request.node_id});
    if (!(member_ ? member_->receive(request) : session_.receive(request))) {
      return session_.asks_too_much()
                 ? end({grpc::StatusCode::RESOURCE_EXHAUSTED, "too many or too long names"})
                 : end({grpc::StatusCode::INVALID_ARGUMENT,
                        "unknown type " + request.type.substr(0, xds::Session::kNameBytesMax)});
    }
    request_.Clear();
    StartRead(&request_);
    pump_locked();
  }

  void OnWriteDone(bool ok) override {
    std::lock_guard lock(mutex_);
    writing_ = false;
    if (ending_) {
      Finish(*ending_);
    } else if (!ok) {
      end(grpc::Status::OK);
    } else {
      pump_locked();
    }
  }

  void OnCancel() override {
    std::lock_guard lock(mutex_);
    end({grpc::StatusCode::CANCELLED, "the client went away"});
  }

  void OnDone() override {
    spdlog::info("discovery stream closed peer={} node={}", peer_, name());
    std::unique_ptr<xds::Fleet::Member> left;
    {
      std::lock_guard lock(mutex_);
      left = std::move(member_);
    }
    left.reset();
    {
      std::lock_guard lock(hub_.mutex);
      hub_.streams.erase(this);
    }
    self_.reset();
  }

 private:
  const std::string& name() const { return envoy_.empty() ? caller_.node : envoy_; }

  void pump_locked() {
    if (writing_ || ending_) return;
    if (member_ ? hub_.envoys_wait : hub_.nodes_wait) return;
    auto response = member_ ? member_->next() : session_.next();
    if (session_.must_reconnect())
      return end({grpc::StatusCode::UNAVAILABLE, "too far behind, come again"});
    if (!response) return;
    hub_.services.counters.pushes.fetch_add(1, std::memory_order_relaxed);
    hub_.services.counters.pushed_resources.fetch_add(response->resources.size(),
                                                      std::memory_order_relaxed);
    spdlog::debug("push peer={} type={} resources={} removed={} nonce={}", peer_, response->type,
                  response->resources.size(), response->removed.size(), response->nonce);
    to_wire(*response, response_);
    writing_ = true;
    StartWrite(&response_);
  }

  // Once. Waits for a write that is going on.
  void end(const grpc::Status& status) {
    if (ending_) return;
    ending_ = status;
    if (!writing_) Finish(status);
  }

  Hub& hub_;
  const std::string peer_;
  const ca::Caller caller_;
  const WallClock::time_point since_;
  std::shared_ptr<Stream> self_;
  std::string envoy_;  // set once

  std::mutex mutex_;                            // guards what follows
  std::unique_ptr<xds::Fleet::Member> member_;  // of an Envoy; else null, and session_ is used
  xds::Session session_;
  bool writing_ = false;
  LineBudget refusals_;
  std::optional<grpc::Status> ending_;
  discovery::DeltaDiscoveryRequest request_;    // gRPC's while a read is going on
  discovery::DeltaDiscoveryResponse response_;  // gRPC's while writing_
};

namespace {

// Ends a call before it began.
class Refusal final : public grpc::ServerBidiReactor<discovery::DeltaDiscoveryRequest,
                                                     discovery::DeltaDiscoveryResponse> {
 public:
  explicit Refusal(const grpc::Status& status) { Finish(status); }
  void OnDone() override { delete this; }
};

grpc::ServerBidiReactor<discovery::DeltaDiscoveryRequest, discovery::DeltaDiscoveryResponse>*
or_refuse(Stream* stream) {
  if (stream != nullptr) return stream;
  return new Refusal({grpc::StatusCode::RESOURCE_EXHAUSTED, "this caller has too many streams"});
}

class Discovery final : public discovery::AggregatedDiscoveryService::CallbackService {
 public:
  explicit Discovery(Hub& hub) : hub_(hub) {}

  grpc::ServerBidiReactor<discovery::DeltaDiscoveryRequest, discovery::DeltaDiscoveryResponse>*
  DeltaAggregatedResources(grpc::CallbackServerContext* context) override {
    if (const auto envoy = envoy_of(context->client_metadata(), hub_.services)) {
      if (hub_.services.fleet == nullptr)
        return new Refusal({grpc::StatusCode::UNIMPLEMENTED, "no Envoys are served here"});
      return or_refuse(Stream::open(hub_, context->peer(), {}, *envoy));
    }
    auto caller = authenticate(*context, hub_.services);
    if (const auto* refused = std::get_if<grpc::Status>(&caller)) return new Refusal(*refused);
    return or_refuse(
        Stream::open(hub_, context->peer(), std::move(std::get<ca::Caller>(caller)), ""));
  }

 private:
  Hub& hub_;
};

}  // namespace

std::vector<std::shared_ptr<Stream>> Hub::open_streams() const {
  std::lock_guard lock(mutex);
  std::vector<std::shared_ptr<Stream>> out;
  for (const auto& [raw, weak] : streams) {
    if (auto stream = weak.lock()) out.push_back(std::move(stream));
  }
  return out;
}

ClientStatus status_of(Stream& stream) { return stream.status(); }
void wake(Stream& stream) { stream.pump(); }
void stop(Stream& stream) { stream.stop(); }

std::unique_ptr<grpc::Service> make_discovery_service(Hub& hub) {
  return std::make_unique<Discovery>(hub);
}

}  // namespace weft::controlplane::server
