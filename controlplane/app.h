// App: builds the control plane's parts, wires them and drives them from one thread: source → world
// → cache → streams.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "controlplane/config.h"

namespace weft::controlplane {

class App {
 public:
  // Everything is up and the first configuration is served when this returns.
  static Parsed<std::unique_ptr<App>> start(const Config& config);
  ~App();
  // Until SIGTERM or SIGINT, which must be blocked in all threads (start() does that).
  void run();

 private:
  class State;
  explicit App(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace weft::controlplane
