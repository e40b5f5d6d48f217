// The state of one container inside a PodRun. Shared by pod_run.cc (which drives it) and
// pod_status.cc (which shows it).
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "sandbox/json.h"
#include "sandbox/pod_run.h"
#include "sandbox/pre_stop.h"
#include "sandbox/probe.h"

namespace weft::sandbox {

struct PodRun::Container {
  enum class State { kWaiting, kRunning, kTerminated };

  Json spec;
  std::string name;
  State state = State::kWaiting;
  std::string reason = "ContainerCreating";
  std::string message;
  pid_t pid = -1;
  int exit_code = 0;
  int signal = 0;
  int restarts = 0;
  bool was_started = false;  // at least once
  bool ready = false;
  bool startup_done = false;
  bool restart_due = false;  // waits for its timer
  std::string started_at, finished_at;
  Json last_state = Json::object();
  std::vector<std::string> env;
  std::unique_ptr<Probe> startup, readiness, liveness;
  std::unique_ptr<PreStop> pre_stop;  // runs; SIGTERM comes after it

  bool succeeded() const { return state == State::kTerminated && exit_code == 0; }
  bool over() const { return state == State::kTerminated && !restart_due; }
};

}  // namespace weft::sandbox
