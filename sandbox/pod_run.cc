#include "sandbox/pod_run.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <spdlog/spdlog.h>
#include <sys/wait.h>

#include <algorithm>
#include <filesystem>

#include "sandbox/cgroup.h"
#include "sandbox/container.h"
#include "sandbox/environment.h"
#include "sandbox/ids.h"
#include "sandbox/volumes.h"

namespace weft::sandbox {
namespace {

constexpr auto kRetry = std::chrono::seconds(1);
constexpr int kBackoffSecondsMax = 60;

Clock::duration backoff(int restarts) {
  if (restarts == 0) return std::chrono::milliseconds(0);
  return std::chrono::seconds(std::min(1 << std::min(restarts - 1, 6), kBackoffSecondsMax));
}

Fd open_log(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), error);
  return Fd(open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
}

// Envoy comes from beside our own binaries, as it would come with the image. Empty: found in PATH.
std::string bundled_program(const std::string& name) {
  if (name != "envoy") return {};
  std::error_code error;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  const auto beside = self.parent_path() / name;
  return std::filesystem::exists(beside, error) ? beside.string() : std::string();
}

// securityContext's runAsUser and runAsGroup; the container's before the pod's.
std::optional<Drop> dropped_user(const Json& pod, const Json& container) {
  const auto one = [&](const char* field) {
    return number(container, {"securityContext", field},
                  number(pod, {"spec", "securityContext", field}, 0));
  };
  if (one("runAsUser") == 0) return std::nullopt;
  return Drop{.uid = static_cast<std::uint32_t>(one("runAsUser")),
              .gid = static_cast<std::uint32_t>(one("runAsGroup"))};
}

}  // namespace

PodRun::PodRun(Surroundings around, const Json& pod, std::string v4, std::string v6)
    : around_(std::move(around)),
      key_(key_of(pod)),
      pod_(std::make_unique<Json>(pod)),
      v4_(std::move(v4)),
      v6_(std::move(v6)),
      started_(now_rfc3339()),
      alive_(std::make_shared<bool>(true)) {
  const auto add = [](const Json& specs, auto& into) {
    for (const auto& spec : specs) {
      into.push_back(std::make_unique<Container>());
      into.back()->spec = spec;
      into.back()->name = str(spec, {"name"});
    }
  };
  add(list(pod, {"spec", "initContainers"}), init_);
  add(list(pod, {"spec", "containers"}), containers_);
  // References such as status.podIP see what is known before the first container starts.
  auto& status = (*pod_)["status"];
  status["podIPs"] = Json::array();
  for (const auto& ip : ips()) status["podIPs"].push_back({{"ip", ip}});
  if (!ips().empty()) status["podIP"] = ips()[0];
  status["hostIP"] = around_.node.net().v4();
}

PodRun::~PodRun() { *alive_ = false; }

std::vector<std::string> PodRun::ips() const {
  std::vector<std::string> all;
  for (const auto& ip : {v4_, v6_}) {
    if (!ip.empty()) all.push_back(ip);
  }
  return all;
}

void PodRun::start() {
  if (phase_ != Phase::kPending || world_) return;
  PodSpec spec;
  spec.uid = uid_of(*pod_);
  spec.name = key_.name;
  spec.ns = key_.ns;
  spec.hostname = str(*pod_, {"spec", "hostname"}, key_.name.substr(0, 63));
  spec.subdomain = str(*pod_, {"spec", "subdomain"});
  spec.host_network = truth(*pod_, {"spec", "hostNetwork"});
  spec.v4 = v4_;
  spec.v6 = v6_;
  for (const auto* group : {&init_, &containers_}) {
    for (const auto& container : *group) spec.containers.push_back(container->name);
  }
  auto world = PodWorld::create(around_.layout, around_.node, std::move(spec));
  if (!world) {
    trouble_ = world.error().text;
    spdlog::warn("pod does not start pod={}/{} error={}", key_.ns, key_.name, trouble_);
    around_.loop.after(kRetry, [this, alive = alive_] {
      if (*alive) start();
    });
    around_.changed();
    return;
  }
  trouble_.clear();
  world_ = std::move(*world);
  hold_or_advance();
}

void PodRun::hold_or_advance() {
  const auto uid = uid_of(*pod_);
  const auto wanted = [this, uid] { return wants_mesh(around_.store, key_, uid); };
  if (!around_.hold || world_->spec().host_network || !wanted()) return advance();
  const Json question = {
      {"cmd", "ready-for-pod"}, {"uid", uid}, {"netns", "/run/netns/" + uid}, {"ips", ips()}};
  const auto trouble = [this](const std::string& text) {
    trouble_ = text;
    if (!text.empty())
      spdlog::warn("pod is held back pod={}/{} reason=\"{}\"", key_.ns, key_.name, text);
    around_.changed();
  };
  const auto go = [this] {
    // The hold that calls us must not die under its own feet.
    around_.loop.after(Clock::duration(0), [this, alive = alive_] {
      if (*alive) hold_.reset();
    });
    advance();
  };
  hold_ = std::make_unique<Hold>(around_.loop, around_.layout.agent_socket(around_.node.name()),
                                 question, Hold::Events{wanted, go, trouble});
  around_.changed();
}

// Starts what may start now: init containers one after the other, then all containers.
void PodRun::advance() {
  if (phase_ != Phase::kPending && phase_ != Phase::kRunning) return;
  for (const auto& container : init_) {
    if (container->succeeded()) continue;
    if (container->state == Container::State::kWaiting && !container->restart_due)
      start_container(*container);
    around_.changed();
    return;
  }
  for (const auto& container : containers_) {
    if (held_) break;
    if (container->state == Container::State::kWaiting && !container->restart_due)
      start_container(*container);
  }
  const bool started = std::all_of(containers_.begin(), containers_.end(),
                                   [](const auto& c) { return c->was_started; });
  if (phase_ == Phase::kPending && started) phase_ = Phase::kRunning;
  const bool over =
      std::all_of(containers_.begin(), containers_.end(), [](const auto& c) { return c->over(); });
  if (phase_ == Phase::kRunning && over) phase_ = Phase::kFinished;
  around_.changed();
}

void PodRun::start_container(Container& container) {
  const auto wait = [&](const char* reason, std::string message, Clock::duration retry) {
    container.reason = reason;
    container.message = std::move(message);
    container.restart_due = true;
    around_.loop.after(retry, [this, alive = alive_, c = &container] {
      if (!*alive) return;
      c->restart_due = false;
      advance();
    });
  };
  auto env = container_environment(around_.store, *pod_, container.spec);
  if (!env) return wait("CreateContainerConfigError", env.error().text, kRetry);
  auto argv = container_command(container.spec, *env);
  if (!argv) return wait("CreateContainerError", argv.error().text, std::chrono::hours(24));
  auto mounts = prepare_volumes(around_.layout, around_.store, *pod_, container.spec);
  if (!mounts) return wait("CreateContainerConfigError", mounts.error().text, kRetry);
  container.env = *env;
  const Fd log =
      open_log(around_.layout.container_log(key_.ns, key_.name, uid_of(*pod_), container.name));
  Spawn what;
  what.argv = *argv;
  what.env = *env;
  what.entry = world_->entry(container.name);
  what.out = log.get();
  what.cwd = str(container.spec, {"workingDir"}, "/");
  what.files_max = 1 << 20;
  what.program = bundled_program(argv->front());
  what.drop = dropped_user(*pod_, container.spec);
  if (!mounts->empty()) what.prepare = [&] { return mount_volumes(*mounts); };
  const auto pid = spawn(what);
  if (!pid)
    return wait("RunContainerError", pid.error().text,
                std::max<Clock::duration>(kRetry, backoff(++container.restarts)));
  container.pid = *pid;
  container.state = Container::State::kRunning;
  container.reason.clear();
  container.message.clear();
  container.was_started = true;
  container.started_at = now_rfc3339();
  container.startup_done = false;
  container.ready = false;
  around_.loop.on_exit(*pid, [this, alive = alive_, c = &container](int status) {
    if (*alive) container_ended(*c, status);
  });
  start_probes(container);
}

ProbeTarget PodRun::probe_target(const Container& container) const {
  ProbeTarget target;
  target.address = v4_.empty() ? v6_ : v4_;
  target.node.cgroup_dir = around_.node.own();
  target.node.net = around_.node.pause().net.get();
  target.container = world_->entry(container.name);
  target.env = container.env;
  target.named_port = [ports = list(container.spec, {"ports"})](const std::string& name) {
    for (const auto& port : ports) {
      if (str(port, {"name"}) == name) return static_cast<int>(number(port, {"containerPort"}));
    }
    return 0;
  };
  return target;
}

void PodRun::start_probes(Container& container) {
  auto* c = &container;
  const auto start_others = [this, c] {
    c->startup_done = true;
    if (const auto* spec = at(c->spec, {"readinessProbe"})) {
      c->readiness =
          std::make_unique<Probe>(around_.loop, *spec, probe_target(*c), true, [this, c](bool ok) {
            c->ready = ok;
            around_.changed();
          });
    } else {
      c->ready = true;
    }
    if (const auto* spec = at(c->spec, {"livenessProbe"})) {
      c->liveness =
          std::make_unique<Probe>(around_.loop, *spec, probe_target(*c), false, [this, c](bool ok) {
            if (!ok) stop_container(*c);
          });
    }
    around_.changed();
  };
  const auto* startup = at(container.spec, {"startupProbe"});
  if (startup == nullptr) return start_others();
  container.startup = std::make_unique<Probe>(
      around_.loop, *startup, probe_target(container), true, [this, c, start_others](bool ok) {
        if (!ok) return stop_container(*c);
        if (c->startup_done) return;
        // The probe that calls us must not die under its own feet.
        around_.loop.after(Clock::duration(0), [alive = alive_, c, start_others] {
          if (*alive && c->state == Container::State::kRunning) {
            c->startup.reset();
            start_others();
          }
        });
        c->startup_done = true;
      });
}

// preStop, if there is one, and then SIGTERM.
void PodRun::ask_to_end(Container& container) {
  const auto* handler = at(container.spec, {"lifecycle", "preStop"});
  if (handler == nullptr) {
    kill(container.pid, SIGTERM);
    return;
  }
  if (container.pre_stop != nullptr) return;
  container.pre_stop =
      std::make_unique<PreStop>(around_.loop, *handler, probe_target(container), [c = &container] {
        if (c->pid > 0) kill(c->pid, SIGTERM);
      });
}

// A failed liveness or startup probe: SIGTERM, SIGKILL after the grace period; the restart policy
// does the rest.
void PodRun::stop_container(Container& container) {
  if (container.pid < 0) return;
  ask_to_end(container);
  const auto grace =
      std::chrono::seconds(number(*pod_, {"spec", "terminationGracePeriodSeconds"}, 30));
  around_.loop.after(grace, [alive = alive_, c = &container, pid = container.pid] {
    if (*alive && c->pid == pid) kill(pid, SIGKILL);
  });
}

void PodRun::container_ended(Container& container, int wait_status) {
  kill_cgroup(world_->cgroup(container.name));  // its children go with it
  container.pid = -1;
  container.state = Container::State::kTerminated;
  container.exit_code = exit_code(wait_status);
  container.signal = WIFSIGNALED(wait_status) ? WTERMSIG(wait_status) : 0;
  container.reason = container.exit_code == 0 ? "Completed" : "Error";
  container.finished_at = now_rfc3339();
  container.ready = false;
  container.startup.reset();
  container.readiness.reset();
  container.liveness.reset();
  container.pre_stop.reset();
  if (phase_ == Phase::kTerminating) return finish_termination();
  const bool is_init =
      std::any_of(init_.begin(), init_.end(), [&](const auto& c) { return c.get() == &container; });
  const auto policy = str(*pod_, {"spec", "restartPolicy"}, "Always");
  const bool again =
      is_init ? container.exit_code != 0 && policy != "Never"
              : policy == "Always" || (policy == "OnFailure" && container.exit_code != 0);
  if (is_init && container.exit_code != 0 && !again) phase_ = Phase::kFinished;
  if (again) {
    const auto pause = backoff(container.restarts);
    ++container.restarts;
    container.last_state = {{"terminated",
                             {{"exitCode", container.exit_code},
                              {"reason", container.reason},
                              {"startedAt", container.started_at},
                              {"finishedAt", container.finished_at}}}};
    container.restart_due = true;
    container.state = Container::State::kWaiting;
    container.reason = "CrashLoopBackOff";
    container.message = fmt::format("back-off restarting failed container {}", container.name);
    around_.loop.after(pause, [this, alive = alive_, c = &container] {
      if (!*alive) return;
      c->restart_due = false;
      advance();
    });
  }
  advance();
}

void PodRun::signal(int number, bool held) {
  held_ = held;
  for (const auto& container : containers_) {
    if (container->state == Container::State::kRunning && number > 0) kill(container->pid, number);
  }
  advance();
}

void PodRun::terminate(Clock::duration grace) {
  if (phase_ == Phase::kGone) return;
  const bool first = phase_ != Phase::kTerminating;
  phase_ = Phase::kTerminating;
  if (first) {
    for (const auto& container : containers_) container->readiness.reset();
    for (const auto* group : {&init_, &containers_}) {
      for (const auto& container : *group) {
        container->liveness.reset();
        container->startup.reset();
        if (container->pid <= 0) continue;
        if (grace.count() > 0) {
          ask_to_end(*container);
        } else {
          kill(container->pid, SIGKILL);
        }
      }
    }
  }
  hold_.reset();
  around_.loop.cancel(timer_);
  timer_ = around_.loop.after(grace, [this, alive = alive_] {
    if (!*alive || !world_) return;
    for (const auto* group : {&init_, &containers_}) {
      for (const auto& container : *group) {
        if (container->pid > 0) kill_cgroup(world_->cgroup(container->name));
      }
    }
  });
  finish_termination();
}

void PodRun::finish_termination() {
  for (const auto* group : {&init_, &containers_}) {
    for (const auto& container : *group) {
      if (container->pid > 0) return;
    }
  }
  around_.loop.cancel(timer_);
  if (world_) {
    const auto done = world_->destroy();
    if (!done)
      spdlog::error("pod leaves something behind pod={}/{} error={}", key_.ns, key_.name,
                    done.error().text);
    world_.reset();
  }
  phase_ = Phase::kGone;
  around_.changed();
}

PodRun::Container* PodRun::find(const std::string& name) const {
  for (const auto* group : {&containers_, &init_}) {
    for (const auto& container : *group) {
      if (name.empty() || container->name == name) return container.get();
    }
  }
  return nullptr;
}

Parsed<ExecTarget> PodRun::target(const std::string& name) const {
  const auto* container = find(name);
  if (container == nullptr) {
    return problem(fmt::format("container {} is not valid for pod {}", name, key_.name));
  }
  if (!world_ || phase_ == Phase::kGone)
    return problem(fmt::format("pod {} has no namespaces yet: {}", key_.name, trouble_));
  if (container->pid <= 0) {
    return problem(fmt::format("container {} of pod {} does not run ({}){}{}", container->name,
                               key_.name, container->reason, container->message.empty() ? "" : ": ",
                               container->message));
  }
  return ExecTarget{.pid = container->pid,
                    .cgroup = world_->cgroup(container->name),
                    .env = container->env,
                    .cwd = str(container->spec, {"workingDir"}, "/")};
}

}  // namespace weft::sandbox
