#include "sandbox/probe.h"

#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include "base/net.h"
#include "sandbox/json.h"

namespace weft::sandbox {
namespace {

constexpr Clock::duration kHurry = std::chrono::milliseconds(100);
constexpr int kHurriedMax = 50;

Fd dial(const std::string& address, int port, int timeout_ms) {
  const auto ip = IpAddress::parse(address);
  if (!ip) return {};
  sockaddr_storage storage;
  const auto length = SocketAddress{*ip, static_cast<std::uint16_t>(port)}.to_sockaddr(storage);
  Fd fd(socket(storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return {};
  if (connect(fd.get(), reinterpret_cast<sockaddr*>(&storage), length) == 0) return fd;
  if (errno != EINPROGRESS) return {};
  pollfd wait{fd.get(), POLLOUT, 0};
  if (poll(&wait, 1, timeout_ms) != 1) return {};
  int error = 0;
  socklen_t size = sizeof error;
  getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &size);
  return error == 0 ? std::move(fd) : Fd();
}

}  // namespace

int tcp_connect(const std::string& address, int port, int timeout_ms) {
  return dial(address, port, timeout_ms) ? 0 : 1;
}

int http_get(const std::string& address, int port, const std::string& path, const Json& headers,
             int timeout_ms) {
  const Fd fd = dial(address, port, timeout_ms);
  if (!fd) return 1;
  const bool v6 = address.find(':') != std::string::npos;
  std::string host = fmt::format("{}{}{}:{}", v6 ? "[" : "", address, v6 ? "]" : "", port);
  std::string extra;
  for (const auto& header : headers) {
    const auto name = str(header, {"name"});
    if (name == "Host")
      host = str(header, {"value"});
    else
      extra += name + ": " + str(header, {"value"}) + "\r\n";
  }
  const auto request = fmt::format(
      "GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: kube-probe/1.34\r\nAccept: */*\r\nConnection: "
      "close\r\n{}\r\n",
      path, host, extra);
  if (send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(request.size()))
    return 1;
  std::string answer;
  while (answer.size() < 12) {
    pollfd wait{fd.get(), POLLIN, 0};
    if (poll(&wait, 1, timeout_ms) != 1) return 1;
    char chunk[512];
    const auto n = recv(fd.get(), chunk, sizeof chunk, 0);
    if (n <= 0) return 1;
    answer.append(chunk, static_cast<std::size_t>(n));
  }
  if (!answer.starts_with("HTTP/1.")) return 1;
  const auto status = answer.substr(9, 3);
  return status >= "200" && status < "400" ? 0 : 1;
}

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
      const auto address = str(*http, {"host"}, target.address), path = str(*http, {"path"}, "/");
      const int port = port_of(*http);
      const bool tls = str(*http, {"scheme"}) == "HTTPS";
      const Json& headers = list(*http, {"httpHeaders"});
      return fork_into(target.node, [&, tls] {
        return tls ? tcp_connect(address, port, timeout_ms)
                   : http_get(address, port, path, headers, timeout_ms);
      });
    }
    const auto* tcp =
        at(spec, {"tcpSocket"}) != nullptr ? at(spec, {"tcpSocket"}) : at(spec, {"grpc"});
    if (tcp != nullptr) {
      const int port = port_of(*tcp);
      return fork_into(target.node, [&] { return tcp_connect(target.address, port, timeout_ms); });
    }
    Spawn what;
    for (const auto& word : list(spec, {"exec", "command"}))
      what.argv.push_back(word.get<std::string>());
    if (what.argv.empty()) return problem("a probe needs httpGet, tcpSocket or exec");
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
