// What Prometheus sees of the control plane. Numbers are read when it scrapes, on the exposer's
// thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "controlplane/server/server.h"
#include "controlplane/xds/cache.h"

namespace prometheus {
class Collectable;
}

namespace weft::controlplane {

// Written by the main thread. Any thread (atomic).
struct Gauges {
  std::atomic<std::uint64_t> source_generation{0},
      translate_generation{0};  // batches read, batches translated
  std::atomic<std::uint64_t> objects{0}, file_problems{0}, translate_problems{0};
  std::atomic<std::uint64_t> last_change_to_push_us{0};
  std::atomic<int> ca_phase{0};
};

class Metrics {
 public:
  // Listens on `address`. REQUIRES: the arguments outlive it.
  static Parsed<std::unique_ptr<Metrics>> start(const std::string& address, const Gauges& gauges,
                                                const server::Server& server,
                                                const server::Counters& counters,
                                                const xds::Cache& cache);
  ~Metrics();

  // Exposes `more` too, as long as somebody holds it.
  void also(const std::shared_ptr<prometheus::Collectable>& more);

 private:
  class State;
  explicit Metrics(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace weft::controlplane
