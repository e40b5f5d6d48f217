// Supervisor: keeps the sandbox's own processes running. A process that ends, or could not be
// started again, is started again after 1 s, doubling to 30 s, unless a person stopped it. Daemon's
// loop only.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "sandbox/components.h"
#include "sandbox/loop.h"

namespace weft::sandbox {

struct ComponentState {
  std::string name, node, state;  // stopped | starting | ready | stopping | waiting
  pid_t pid = -1;
  int restarts = 0;
  std::string last_end;  // "exit code 1", "signal 9"; empty before the first
};

class Supervisor {
 public:
  explicit Supervisor(Loop& loop) : loop_(loop) {}
  ~Supervisor();

  Parsed<void> start(Component component);
  // Of every component that matches; empty node: all nodes. Refused: nothing matches.
  Parsed<void> stop(const std::string& name, const std::string& node, int signal);
  Parsed<void> start_again(const std::string& name, const std::string& node);
  Parsed<void> restart(const std::string& name, const std::string& node, int signal);
  // Only sends it.
  Parsed<void> signal(const std::string& name, const std::string& node, int signal);

  std::vector<ComponentState> states() const;
  bool all_ready() const;
  std::string log_of(const std::string& name,
                     const std::string& node) const;  // empty: no such component

 private:
  struct Running;
  void launch(const std::shared_ptr<Running>& running);
  void again_later(const std::shared_ptr<Running>& running);
  void ended(const std::shared_ptr<Running>& running, int status);
  void ask_ready(const std::shared_ptr<Running>& running);
  Parsed<std::vector<std::shared_ptr<Running>>> matching(const std::string& name,
                                                         const std::string& node) const;

  Loop& loop_;
  std::vector<std::shared_ptr<Running>> all_;
};

}  // namespace weft::sandbox
