// PodRun: one pod's life on a node, as a kubelet leads it.
//
//   kPending ─captured, if it is of the mesh; init containers done, containers started→ kRunning
//   ─all ended→ kFinished
//      └───────────────── terminate ───────────────→ kTerminating ─all ended, world removed→ kGone
//
// Owns the pod's world and its containers. Runs on the daemon's loop; tells the owner by `changed`
// when its status is another.
#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "sandbox/hold.h"
#include "sandbox/loop.h"
#include "sandbox/pod_world.h"
#include "sandbox/probe.h"
#include "sandbox/store.h"

namespace weft::sandbox {

struct ExecTarget {
  pid_t pid = -1;  // whose namespaces to enter
  std::string cgroup;
  std::vector<std::string> env;
  std::string cwd = "/";
};

class PodRun {
 public:
  enum class Phase { kPending, kRunning, kFinished, kTerminating, kGone };

  struct Surroundings {
    Loop& loop;
    const Store& store;
    const Layout& layout;
    const Node& node;
    std::function<void()> changed;
    bool hold = true;  // pods of the mesh wait for the agent (hold.h)
  };

  // `pod` is the stored object; addresses may be empty (hostNetwork).
  PodRun(Surroundings around, const nlohmann::json& pod, std::string v4, std::string v6);
  ~PodRun();

  // Makes the world and starts the first containers. A failure is shown in status and tried again.
  void start();
  // preStop and then SIGTERM, SIGKILL after `grace`, which begins now. A second call with less
  // grace shortens the wait.
  void terminate(Clock::duration grace);

  // Sends `number` to every running container. `held`: what ends stays ended until it is called
  // again without.
  void signal(int number, bool held);

  Phase phase() const { return phase_; }
  const Node& node() const { return around_.node; }
  const Key& key() const { return key_; }
  // status as Kubernetes shows it; `before` gives the transition times.
  nlohmann::json status(const nlohmann::json& before) const;
  std::vector<std::string> ips() const;
  // Refused: no such container, or it does not run. Empty name: the first.
  Parsed<ExecTarget> target(const std::string& container) const;

 private:
  struct Container;
  void hold_or_advance();
  void advance();
  void start_container(Container& container);
  void container_ended(Container& container, int wait_status);
  void start_probes(Container& container);
  void stop_container(Container& container);
  void ask_to_end(Container& container);
  void finish_termination();
  Container* find(const std::string& name) const;
  ProbeTarget probe_target(const Container& container) const;

  Surroundings around_;
  Key key_;
  std::unique_ptr<nlohmann::json> pod_;
  std::string v4_, v6_;
  std::string started_;
  std::string trouble_;  // why the world cannot be made, or its containers not started
  Phase phase_ = Phase::kPending;
  bool held_ = false;
  std::unique_ptr<PodWorld> world_;
  std::unique_ptr<Hold> hold_;  // until the agent has the pod
  std::vector<std::unique_ptr<Container>> init_, containers_;
  Loop::Timer timer_ = 0;
  std::shared_ptr<bool> alive_;
};

}  // namespace weft::sandbox
