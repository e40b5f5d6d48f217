#include "controlplane/metrics.h"

#include <prometheus/collectable.h>
#include <prometheus/exposer.h>
#include <prometheus/metric_family.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "base/fd.h"
#include "base/net.h"

namespace weft::controlplane {
namespace {

using prometheus::MetricFamily;
using prometheus::MetricType;

class Source final : public prometheus::Collectable {
 public:
  Source(const Gauges& gauges, const server::Server& server, const server::Counters& counters,
         const xds::Cache& cache)
      : gauges_(gauges), server_(server), counters_(counters), cache_(cache) {}

  std::vector<MetricFamily> Collect() const override {
    const auto clients = server_.clients();
    std::uint64_t acked = cache_.generation();
    for (const auto& client : clients) {
      if (client.envoy) continue;
      for (const auto& type : client.types) acked = std::min(acked, type.acked);
    }
    std::vector<MetricFamily> out;
    auto count = [&](const char* name, const char* help, const std::atomic<std::uint64_t>& value) {
      out.push_back(
          family(name, help, MetricType::Counter, {{{}, static_cast<double>(value.load())}}));
    };
    auto gauge = [&](const char* name, const char* help, double value) {
      out.push_back(family(name, help, MetricType::Gauge, {{{}, value}}));
    };
    gauge("weft_controlplane_connected_clients", "Discovery streams that are open.",
          static_cast<double>(clients.size()));
    count("weft_controlplane_pushes_total", "Discovery responses sent.", counters_.pushes);
    count("weft_controlplane_pushed_resources_total", "Resources in them.",
          counters_.pushed_resources);
    count("weft_controlplane_nacks_total", "Responses that a client refused.", counters_.nacks);
    out.push_back(family("weft_controlplane_config_generation",
                         "How far the configuration has come, by stage.", MetricType::Gauge,
                         {{"source", static_cast<double>(gauges_.source_generation)},
                          {"translate", static_cast<double>(gauges_.translate_generation)},
                          {"xds", static_cast<double>(cache_.generation())},
                          {"acked", static_cast<double>(acked)}}));
    gauge("weft_controlplane_objects", "Objects that the source holds.",
          static_cast<double>(gauges_.objects));
    gauge("weft_controlplane_source_problems", "Manifests that are broken or shadowed.",
          static_cast<double>(gauges_.file_problems));
    gauge("weft_controlplane_translate_problems",
          "Conditions that are false: objects not enforced as written.",
          static_cast<double>(gauges_.translate_problems));
    gauge("weft_controlplane_change_to_push_seconds",
          "From reading the last change to handing it to the streams.",
          static_cast<double>(gauges_.last_change_to_push_us) / 1e6);
    count("weft_controlplane_certificates_issued_total", "Certificates signed.",
          counters_.certificates_issued);
    count("weft_controlplane_certificates_refused_total", "Certificate requests refused.",
          counters_.certificates_refused);
    count("weft_controlplane_unauthenticated_total", "Calls without a good token or certificate.",
          counters_.unauthenticated);
    gauge("weft_controlplane_ca_rotation_phase",
          "0 one root, 1 new root trusted, 2 new root signs.", gauges_.ca_phase.load());
    return out;
  }

 private:
  static MetricFamily family(const char* name, const char* help, MetricType type,
                             std::vector<std::pair<std::string, double>> values) {
    MetricFamily out{name, help, type, {}};
    for (auto& [stage, value] : values) {
      prometheus::ClientMetric metric;
      if (!stage.empty()) metric.label.push_back({"stage", stage});
      metric.counter.value = value;
      metric.gauge.value = value;
      out.metric.push_back(std::move(metric));
    }
    return out;
  }

  const Gauges& gauges_;
  const server::Server& server_;
  const server::Counters& counters_;
  const xds::Cache& cache_;
};

constexpr auto kCallEvery = std::chrono::milliseconds(5);

void call(const std::string& address) {
  const auto where = SocketAddress::parse(address);
  if (!where) return;
  sockaddr_storage storage;
  const auto length = where->to_sockaddr(storage);  // 0.0.0.0 and :: mean this host
  const Fd fd(::socket(storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (fd) (void)!::connect(fd.get(), reinterpret_cast<const sockaddr*>(&storage), length);
}

}  // namespace

class Metrics::State {
 public:
  State(const std::string& address, std::shared_ptr<Source> source)
      : address(address), source(std::move(source)), exposer(std::in_place, address, 1) {
    exposer->RegisterCollectable(this->source);
  }
  // The exposer's web server looks whether it is to end once in 2 s, and when somebody calls.
  ~State() {
    const std::jthread caller([this](const std::stop_token& ended) {
      for (; !ended.stop_requested(); std::this_thread::sleep_for(kCallEvery)) call(address);
    });
    exposer.reset();
  }
  const std::string address;
  std::shared_ptr<Source> source;  // the exposer holds it weakly
  std::optional<prometheus::Exposer> exposer;
};

Metrics::Metrics(std::unique_ptr<State> state) : state_(std::move(state)) {}
Metrics::~Metrics() = default;

void Metrics::also(const std::shared_ptr<prometheus::Collectable>& more) {
  state_->exposer->RegisterCollectable(more);
}

Parsed<std::unique_ptr<Metrics>> Metrics::start(const std::string& address, const Gauges& gauges,
                                                const server::Server& server,
                                                const server::Counters& counters,
                                                const xds::Cache& cache) {
  try {
    auto source = std::make_shared<Source>(gauges, server, counters, cache);
    return std::unique_ptr<Metrics>(
        new Metrics(std::make_unique<State>(address, std::move(source))));
  } catch (const std::exception& error) {
    return problem("cannot serve metrics on " + address + ": " + error.what());
  }
}

}  // namespace weft::controlplane
