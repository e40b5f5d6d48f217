// Hold: a pod of the mesh starts its containers only after the node's agent has captured it, so that
// it never runs an instruction outside the mesh: not while the agent is away, either. What the CNI
// plugin does in a cluster. A pod that is not of the mesh waits for nobody.
//
// Asks the agent's API socket (agent/api.h, ready-for-pod) again and again; one question at a time,
// without blocking the daemon's loop.
#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "sandbox/loop.h"
#include "sandbox/store.h"

namespace weft::sandbox {

// What the pod's and its namespace's labels in the store ask for now (mesh::decide_enrollment).
// False when there is no such pod any more.
bool wants_mesh(const Store& store, const Key& pod, const std::string& uid);

class Hold {
 public:
  // A wait that is shorter is nobody's concern; an agent that is away is asked more seldom.
  static constexpr auto kQuiet = std::chrono::seconds(1);
  static constexpr auto kAskAgain = std::chrono::milliseconds(10);
  static constexpr auto kAskAgainAway = std::chrono::milliseconds(250);
  static constexpr auto kAnswerWithin = std::chrono::seconds(1);

  struct Events {
    std::function<bool()> wanted;                     // the pod is still to be of the mesh
    std::function<void()> go;                         // the containers may start; called once
    std::function<void(const std::string&)> trouble;  // why it takes long, "" no more
  };

  // `question`: one JSON object. Nothing is called from inside the constructor.
  Hold(Loop& loop, std::string socket, const nlohmann::json& question, Events events);
  ~Hold();
  Hold(const Hold&) = delete;
  Hold& operator=(const Hold&) = delete;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace weft::sandbox
