// One container's probe (readiness, liveness or startup) as a kubelet runs it: HTTP, TCP and gRPC
// from the node's network, exec in the container; period, timeout, thresholds. Each attempt is a
// short-lived child. Lives on the daemon's loop.
#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "sandbox/loop.h"
#include "sandbox/process.h"

namespace weft::sandbox {

struct ProbeTarget {
  std::string address;  // of the pod
  Entry node;           // for all but exec
  Entry container;      // for exec; the descriptors outlive the probe
  std::vector<std::string> env;
  std::function<int(const std::string&)> named_port;
};

class Probe {
 public:
  // `verdict(ok)` whenever a threshold is passed for the first time or the verdict changes. Starts
  // at once. `eager`: until the first success it asks more often than the period says (a readiness
  // probe of a container that is starting).
  Probe(Loop& loop, const nlohmann::json& spec, ProbeTarget target, bool eager,
        std::function<void(bool)> verdict);
  ~Probe();
  Probe(const Probe&) = delete;
  Probe& operator=(const Probe&) = delete;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace weft::sandbox
