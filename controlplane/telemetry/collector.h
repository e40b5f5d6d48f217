// Collector: access log entries of Envoys in, Istio's standard metrics and access log lines out.
// Source: mesh-apis facts §5.1. Any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/net.h"

namespace prometheus {
class Collectable;
}
namespace envoy::data::accesslog::v3 {
class HTTPAccessLogEntry;
class TCPAccessLogEntry;
}  // namespace envoy::data::accesslog::v3

namespace weft::controlplane::telemetry {

// What the mesh knows of an address. Strings are "unknown" where it does not.
struct Workload {
  std::string workload = "unknown", ns = "unknown", app = "unknown", version = "unknown";
  std::string canonical_service = "unknown", canonical_revision = "latest", cluster = "unknown";
  std::string principal;  // with spiffe://; "" when it has none
  bool gateway = false;   // one of ours: it reports for itself what it asks of others
};
struct Service {
  std::string host, name, ns;
};
class Directory {
 public:
  virtual ~Directory() = default;
  virtual std::optional<Workload> by_address(const IpAddress& ip) const = 0;  // any thread
  virtual std::optional<Service> service_at(const SocketAddress& vip) const = 0;
  virtual std::optional<Service> service_by_host(const std::string& host) const = 0;
};

struct Options {
  // Beside reporter="waypoint" (gateways: "source"): the same counts of requests as sidecars would
  // report them. (Of connections ztunnels do.)
  bool compat_reporters = true;
  std::size_t series_max = 10'000;  // label sets a metric; more are counted as dropped
  Clock::duration series_idle = std::chrono::hours(1);  // after which a series goes
  bool access_log = true;                               // one line per request or connection
};

class Collector {
 public:
  // REQUIRES: `directory` outlives it.
  Collector(Options options, const Directory& directory);
  ~Collector();

  // `reporter`: the plan id of the Envoy that says so.
  void record(const std::string& reporter,
              const ::envoy::data::accesslog::v3::HTTPAccessLogEntry& entry);
  void record(const std::string& reporter,
              const ::envoy::data::accesslog::v3::TCPAccessLogEntry& entry);
  void lost(std::uint64_t messages);  // malformed or refused ones
  // For prometheus::Exposer::RegisterCollectable, which holds it weakly.
  std::shared_ptr<prometheus::Collectable> collectable() const;

 private:
  class State;
  std::shared_ptr<State> state_;
};

}  // namespace weft::controlplane::telemetry
