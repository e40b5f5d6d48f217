#include "sandbox/pre_stop.h"

#include <signal.h>
#include <spdlog/spdlog.h>

#include "sandbox/json.h"
#include "sandbox/probe_call.h"

namespace weft::sandbox {
namespace {

constexpr int kHttpTimeoutMs = 30'000;

int port_of(const Json& action, const ProbeTarget& target) {
  const auto* port = at(action, {"port"});
  if (port == nullptr) return 0;
  return port->is_number() ? port->get<int>() : target.named_port(port->get<std::string>());
}

Parsed<pid_t> begin(const Json& handler, const ProbeTarget& target) {
  if (const auto* http = at(handler, {"httpGet"})) {
    const HttpProbe probe{.address = str(*http, {"host"}, target.address),
                          .port = port_of(*http, target),
                          .path = str(*http, {"path"}, "/"),
                          .tls = str(*http, {"scheme"}) == "HTTPS"};
    const Json& headers = list(*http, {"httpHeaders"});
    return fork_into(target.node, [&] { return http_get(probe, headers, kHttpTimeoutMs); });
  }
  Spawn what;
  for (const auto& word : list(handler, {"exec", "command"}))
    what.argv.push_back(word.get<std::string>());
  if (what.argv.empty()) return problem("preStop needs exec, httpGet or sleep");
  what.env = target.env;
  what.entry = target.container;
  return spawn(what);
}

}  // namespace

// Shared with callbacks of the loop, which look at `alive` first.
struct PreStop::State {
  Loop& loop;
  std::function<void()> done;
  bool alive = true;
  pid_t running = -1;
  Loop::Timer timer = 0;
};

PreStop::PreStop(Loop& loop, const Json& handler, ProbeTarget target, std::function<void()> done)
    : state_(std::make_shared<State>(State{.loop = loop, .done = std::move(done)})) {
  const auto after = [&](Clock::duration wait) {
    state_->timer = loop.after(wait, [state = state_] {
      state->timer = 0;
      if (state->alive) state->done();
    });
  };
  if (at(handler, {"sleep"}) != nullptr) {
    after(std::chrono::seconds(number(handler, {"sleep", "seconds"})));
    return;
  }
  const auto pid = begin(handler, target);
  if (!pid) {
    spdlog::warn("preStop does not run error=\"{}\"", pid.error().text);
    after(Clock::duration(0));
    return;
  }
  state_->running = *pid;
  loop.on_exit(*pid, [state = state_](int) {
    state->running = -1;
    if (state->alive) state->done();
  });
}

PreStop::~PreStop() {
  state_->alive = false;
  if (state_->timer != 0) state_->loop.cancel(state_->timer);
  if (state_->running > 0) kill(state_->running, SIGKILL);
}

}  // namespace weft::sandbox
