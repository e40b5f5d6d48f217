// PodRun::status: a pod's state as Kubernetes writes it.
#include <fmt/format.h>

#include <algorithm>

#include "sandbox/container.h"
#include "sandbox/ids.h"

namespace weft::sandbox {
namespace {

void add_condition(Json& status, const Json& before, const std::string& type, bool is_true,
                   const std::string& reason = "", const std::string& message = "") {
  Json condition = {{"type", type}, {"status", is_true ? "True" : "False"}};
  if (!reason.empty()) condition["reason"] = reason;
  if (!message.empty()) condition["message"] = message;
  condition["lastTransitionTime"] = now_rfc3339();
  for (const auto& old : list(before, {"conditions"})) {
    if (str(old, {"type"}) == type && old["status"] == condition["status"]) {
      condition["lastTransitionTime"] = str(old, {"lastTransitionTime"}, now_rfc3339());
    }
  }
  status["conditions"].push_back(std::move(condition));
}

}  // namespace

Json PodRun::status(const Json& before) const {
  const auto container_status = [&](const Container& c) {
    Json state;
    if (c.state == Container::State::kWaiting) {
      state["waiting"] = {{"reason", c.reason}};
      if (!c.message.empty()) state["waiting"]["message"] = c.message;
    } else if (c.state == Container::State::kRunning) {
      state["running"] = {{"startedAt", c.started_at}};
    } else {
      state["terminated"] = {{"exitCode", c.exit_code},
                             {"reason", c.reason},
                             {"startedAt", c.started_at},
                             {"finishedAt", c.finished_at}};
      if (c.signal != 0) state["terminated"]["signal"] = c.signal;
    }
    return Json{{"name", c.name},
                {"image", str(c.spec, {"image"})},
                {"imageID", ""},
                {"ready", c.ready},
                {"started", c.state == Container::State::kRunning && c.startup_done},
                {"restartCount", c.restarts},
                {"state", state},
                {"lastState", c.last_state}};
  };
  Json status = {{"hostIP", around_.node.net().v4()},
                 {"hostIPs", Json::array({{{"ip", around_.node.net().v4()}},
                                          {{"ip", around_.node.net().v6()}}})},
                 {"startTime", started_},
                 {"qosClass", "BestEffort"},
                 {"conditions", Json::array()},
                 {"containerStatuses", Json::array()}};
  if (world_ || phase_ == Phase::kGone || phase_ == Phase::kTerminating) {
    for (const auto& ip : ips()) status["podIPs"].push_back({{"ip", ip}});
    if (!ips().empty()) status["podIP"] = ips()[0];
  }
  bool all_ready = true, any_running = false, all_started = true, any_failed = false,
       all_over = true;
  for (const auto& c : containers_) {
    status["containerStatuses"].push_back(container_status(*c));
    all_ready = all_ready && c->ready;
    any_running = any_running || c->state == Container::State::kRunning;
    all_started = all_started && c->was_started;
    all_over = all_over && c->over();
    any_failed = any_failed || (c->state == Container::State::kTerminated && c->exit_code != 0);
  }
  bool initialized = true;
  for (const auto& c : init_) {
    status["initContainerStatuses"].push_back(container_status(*c));
    initialized = initialized && c->succeeded();
    if (phase_ == Phase::kFinished && c->over() && c->exit_code != 0) any_failed = true;
  }
  const bool finished =
      phase_ == Phase::kFinished ||
      ((phase_ == Phase::kTerminating || phase_ == Phase::kGone) && all_started && all_over);
  status["phase"] = finished      ? (any_failed ? "Failed" : "Succeeded")
                    : all_started ? "Running"
                                  : "Pending";
  const bool completed = status["phase"] == "Succeeded";
  const bool ready =
      all_ready && any_running && phase_ != Phase::kTerminating && phase_ != Phase::kGone;
  const auto why = ready ? "" : completed ? "PodCompleted" : "ContainersNotReady";
  add_condition(status, before, "PodScheduled", true);
  add_condition(status, before, "Initialized", initialized && trouble_.empty(),
                trouble_.empty() ? "" : "SandboxError", trouble_);
  add_condition(status, before, "ContainersReady", ready, why);
  add_condition(status, before, "Ready", ready, why);
  if (!trouble_.empty()) {
    status["reason"] = "FailedCreatePodSandBox";
    status["message"] = trouble_;
  }
  return status;
}

}  // namespace weft::sandbox
