// A container's lifecycle.preStop as a kubelet runs it: exec in the container, httpGet from the
// node's network, or sleep. A handler that fails is over. Lives on the daemon's loop.
#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>

#include "sandbox/probe.h"

namespace weft::sandbox {

class PreStop {
 public:
  // Begins at once; `done` is called once, from the loop, never from here.
  PreStop(Loop& loop, const nlohmann::json& handler, ProbeTarget target,
          std::function<void()> done);
  // Kills what still runs; `done` is not called any more.
  ~PreStop();
  PreStop(const PreStop&) = delete;
  PreStop& operator=(const PreStop&) = delete;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace weft::sandbox
