#include "sandbox/probe.h"

#include <signal.h>
#include <unistd.h>

#include "sandbox/json.h"
#include "sandbox/probe_call.h"

namespace weft::sandbox {
namespace {

constexpr Clock::duration kHurry = std::chrono::milliseconds(100);
constexpr int kHurriedMax = 50;

}  // namespace

// Shared with callbacks of the loop, which look at `alive` first.
struct Probe::State : std::enable_shared_from_this<Probe::State> {
  Loop& loop;
  Json spec;
  ProbeTarget target;
  std::function<void(bool)> verdict;
  bool alive = true;
  pid_t running = -1;
  Loop::Timer timer = 0, limit = 0;
  long successes = 0, failures = 0;
  int last = -1;  // verdict told: -1 none, 0 bad, 1 good
  bool eager = false;
  int hurried = 0;

  State(Loop& l, Json s, ProbeTarget t, std::function<void(bool)> v)
      : loop(l), spec(std::move(s)), target(std::move(t)), verdict(std::move(v)) {}

  int port_of(const Json& action) const {
    const auto* port = at(action, {"port"});
    if (port == nullptr) return 0;
    return port->is_number() ? port->get<int>() : target.named_port(port->get<std::string>());
  }

  Parsed<pid_t> start() {
    const int timeout_ms = static_cast<int>(number(spec, {"timeoutSeconds"}, 1)) * 1000;
    if (const auto* http = at(spec, {"httpGet"})) {
      const HttpProbe probe{.address = str(*http, {"host"}, target.address),
                            .port = port_of(*http),
                            .path = str(*http, {"path"}, "/"),
                            .tls = str(*http, {"scheme"}) == "HTTPS"};
      const Json& headers = list(*http, {"httpHeaders"});
      return fork_into(target.node, [&] { return http_get(probe, headers, timeout_ms); });
    }
    if (const auto* tcp = at(spec, {"tcpSocket"})) {
      const auto address = str(*tcp, {"host"}, target.address);
      const int port = port_of(*tcp);
      return fork_into(target.node, [&] { return tcp_connect(address, port, timeout_ms); });
    }
    if (const auto* grpc = at(spec, {"grpc"})) {
      const auto service = str(*grpc, {"service"});
      const int port = port_of(*grpc);
      return fork_into(target.node,
                       [&] { return grpc_check(target.address, port, service, timeout_ms); });
    }
    Spawn what;
    for (const auto& word : list(spec, {"exec", "command"}))
      what.argv.push_back(word.get<std::string>());
    if (what.argv.empty()) return problem("a probe needs httpGet, tcpSocket, grpc or exec");
    what.env = target.env;
    what.entry = target.container;
    return spawn(what);
  }

  void arm(Clock::duration wait) {
    timer = loop.after(wait, [self = shared_from_this()] { self->attempt(); });
  }

  void attempt() {
    timer = 0;
    if (!alive) return;
    const auto pid = start();
    if (!pid) return judge(false);
    running = *pid;
    const auto timeout = std::chrono::seconds(number(spec, {"timeoutSeconds"}, 1));
    limit = loop.after(timeout, [self = shared_from_this()] {
      if (self->running > 0) kill(self->running, SIGKILL);
    });
    loop.on_exit(running, [self = shared_from_this()](int status) {
      self->running = -1;
      self->loop.cancel(self->limit);
      if (self->alive) self->judge(status == 0);
    });
  }

  void judge(bool ok) {
    successes = ok ? successes + 1 : 0;
    failures = ok ? 0 : failures + 1;
    int now = last;
    if (ok && successes >= number(spec, {"successThreshold"}, 1)) now = 1;
    if (!ok && failures >= number(spec, {"failureThreshold"}, 3)) now = 0;
    const bool tell = now != last;
    last = now;
    const auto period = std::chrono::seconds(number(spec, {"periodSeconds"}, 10));
    const bool hurry = eager && last != 1 && ++hurried < kHurriedMax;
    arm(hurry ? kHurry : Clock::duration(period));
    if (tell) verdict(now == 1);
  }
};

Probe::Probe(Loop& loop, const Json& spec, ProbeTarget target, bool eager,
             std::function<void(bool)> verdict)
    : state_(std::make_shared<State>(loop, spec, std::move(target), std::move(verdict))) {
  state_->eager = eager;
  const auto delay = std::chrono::seconds(number(spec, {"initialDelaySeconds"}));
  state_->arm(delay.count() > 0 ? Clock::duration(delay) : std::chrono::milliseconds(50));
}

Probe::~Probe() {
  state_->alive = false;
  state_->loop.cancel(state_->timer);
  if (state_->running > 0) kill(state_->running, SIGKILL);
}

}  // namespace weft::sandbox
