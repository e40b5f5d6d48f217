#include "sandbox/supervisor.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <spdlog/spdlog.h>
#include <sys/wait.h>

#include <algorithm>

#include "sandbox/json.h"
#include "sandbox/probe_call.h"

namespace weft::sandbox {
namespace {

constexpr auto kReadyInterval = std::chrono::milliseconds(30);
constexpr auto kHealthy =
    std::chrono::seconds(20);  // after this much life the next restart is quick again
constexpr int kBackoffSecondsMax = 30;
constexpr auto kKillAfter = std::chrono::seconds(30);

}  // namespace

struct Supervisor::Running {
  Component component;
  pid_t pid = -1;
  bool wanted = true;
  bool ready = false;
  bool alive = true;          // false: the supervisor is gone
  bool start_at_end = false;  // restart
  int restarts = 0;
  int failures = 0;  // in a row
  std::string last_end;
  Clock::time_point started;
};

Supervisor::~Supervisor() {
  for (const auto& running : all_) running->alive = false;
}

Parsed<void> Supervisor::start(Component component) {
  auto running = std::make_shared<Running>();
  running->component = std::move(component);
  all_.push_back(running);
  launch(running);
  if (running->pid > 0) return {};
  running->wanted = false;
  return problem(running->last_end);
}

void Supervisor::launch(const std::shared_ptr<Running>& running) {
  auto& c = running->component;
  const Fd log(open(c.log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  c.command.out = log.get();
  const auto pid = spawn(c.command);
  c.command.out = -1;
  if (!pid) {
    running->last_end =
        fmt::format("cannot start {}: {}", c.command.program.empty() ? c.name : c.command.program,
                    pid.error().text);
    spdlog::error("{}", running->last_end);
    return again_later(running);
  }
  running->pid = *pid;
  running->started = Clock::now();
  running->ready = c.ready.port == 0;
  spdlog::info("started component={} node={} pid={}", c.name, c.node, *pid);
  loop_.on_exit(*pid, [this, running](int status) {
    if (running->alive) ended(running, status);
  });
  if (!running->ready) ask_ready(running);
}

void Supervisor::ask_ready(const std::shared_ptr<Running>& running) {
  const auto pid = running->pid;
  if (!running->alive || pid < 0) return;
  const auto& check = running->component.ready;
  const auto child = fork_into({.net = check.net}, [&] {
    return http_get({.address = check.address, .port = check.port, .path = check.path},
                    Json::array(), 500);
  });
  const auto again = [this, running, pid] {
    loop_.after(kReadyInterval, [this, running, pid] {
      if (running->alive && running->pid == pid) ask_ready(running);
    });
  };
  if (!child) return again();
  loop_.on_exit(*child, [running, pid, again](int status) {
    if (running->pid != pid) return;
    if (status == 0)
      running->ready = true;
    else
      again();
  });
}

void Supervisor::ended(const std::shared_ptr<Running>& running, int status) {
  running->last_end = WIFSIGNALED(status) ? fmt::format("signal {}", WTERMSIG(status))
                                          : fmt::format("exit code {}", WEXITSTATUS(status));
  spdlog::info("ended component={} node={} pid={} {}", running->component.name,
               running->component.node, running->pid, running->last_end);
  running->pid = -1;
  running->ready = false;
  if (std::exchange(running->start_at_end, false)) return launch(running);
  if (Clock::now() - running->started > kHealthy) running->failures = 0;
  again_later(running);
}

void Supervisor::again_later(const std::shared_ptr<Running>& running) {
  if (!running->wanted) return;
  const auto wait =
      std::chrono::seconds(std::min(1 << std::min(running->failures++, 5), kBackoffSecondsMax));
  loop_.after(wait, [this, running] {
    if (!running->alive || !running->wanted || running->pid > 0) return;
    ++running->restarts;
    launch(running);
  });
}

Parsed<std::vector<std::shared_ptr<Supervisor::Running>>> Supervisor::matching(
    const std::string& name, const std::string& node) const {
  std::vector<std::shared_ptr<Running>> found;
  std::string known;
  for (const auto& running : all_) {
    const auto& c = running->component;
    if (c.name == name && (node.empty() || c.node.empty() || c.node == node))
      found.push_back(running);
    known += fmt::format("{}{}{}", known.empty() ? "" : ", ", c.name,
                         c.node.empty() ? "" : " on " + c.node);
  }
  if (found.empty()) {
    return problem(fmt::format("there is no component {}{}; there are: {}", name,
                               node.empty() ? "" : " on " + node, known));
  }
  return found;
}

Parsed<void> Supervisor::stop(const std::string& name, const std::string& node, int signal) {
  const auto found = matching(name, node);
  if (!found) return problem(found.error().text);
  for (const auto& running : *found) {
    running->wanted = false;
    running->start_at_end = false;
    if (running->pid < 0) continue;
    kill(running->pid, signal);
    loop_.after(kKillAfter, [running, pid = running->pid] {
      if (running->pid == pid && !running->wanted) kill(pid, SIGKILL);
    });
  }
  return {};
}

Parsed<void> Supervisor::start_again(const std::string& name, const std::string& node) {
  const auto found = matching(name, node);
  if (!found) return problem(found.error().text);
  for (const auto& running : *found) {
    running->wanted = true;
    running->failures = 0;
    if (running->pid > 0) continue;
    launch(running);
    if (running->pid < 0) return problem(running->last_end);
  }
  return {};
}

Parsed<void> Supervisor::restart(const std::string& name, const std::string& node, int signal) {
  const auto found = matching(name, node);
  if (!found) return problem(found.error().text);
  for (const auto& running : *found) {
    if (running->pid < 0) continue;
    running->wanted = true;
    running->start_at_end = true;
    running->ready = false;
    kill(running->pid, signal);
    loop_.after(kKillAfter, [running, pid = running->pid] {
      if (running->pid == pid) kill(pid, SIGKILL);
    });
  }
  return start_again(name, node);
}

Parsed<void> Supervisor::signal(const std::string& name, const std::string& node, int signal) {
  const auto found = matching(name, node);
  if (!found) return problem(found.error().text);
  for (const auto& running : *found) {
    if (running->pid > 0) kill(running->pid, signal);
  }
  return {};
}

std::vector<ComponentState> Supervisor::states() const {
  std::vector<ComponentState> states;
  for (const auto& r : all_) {
    const char* state = r->pid > 0 ? (r->start_at_end || !r->wanted ? "stopping"
                                      : r->ready                    ? "ready"
                                                                    : "starting")
                                   : (r->wanted ? "waiting" : "stopped");
    states.push_back(
        {r->component.name, r->component.node, state, r->pid, r->restarts, r->last_end});
  }
  return states;
}

bool Supervisor::all_ready() const {
  return std::all_of(all_.begin(), all_.end(),
                     [](const auto& r) { return r->ready && r->pid > 0; });
}

std::string Supervisor::log_of(const std::string& name, const std::string& node) const {
  for (const auto& r : all_) {
    if (r->component.name == name &&
        (node.empty() || r->component.node.empty() || r->component.node == node))
      return r->component.log;
  }
  return {};
}

}  // namespace weft::sandbox
