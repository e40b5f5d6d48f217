#include "agent/app.h"

#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <fstream>
#include <iterator>
#include <memory>

#include "agent/api.h"
#include "agent/arrivals.h"
#include "agent/broker.h"
#include "agent/capture_bpf.h"
#include "agent/discovery.h"
#include "agent/enroller.h"
#include "agent/exchange.h"
#include "agent/inventory.h"
#include "agent/link.h"
#include "agent/metrics.h"
#include "agent/objects.h"
#include "agent/privileges.h"
#include "agent/reactor.h"
#include "agent/set_aside.h"
#include "agent/signals.h"
#include "agent/turn.h"
#include "base/log.h"
#include "bpf/user/datapath.h"

namespace weft::agent {

namespace {

constexpr auto kLookAtChain = std::chrono::seconds(1);
constexpr auto kTryAddress = std::chrono::milliseconds(250);    // that the agent of before has
constexpr auto kLookForLease = std::chrono::milliseconds(250);  // that our successor has
constexpr auto kTakeWithin = std::chrono::seconds(2);  // by our successor, from when we gave it up
constexpr auto kLeaveWithin =
    std::chrono::seconds(5);  // of a ztunnel that still gets sockets from us

// Everything that may be refused by the machine, before the rest is built.
struct Sockets {
  Fd link, api, metrics, ready, ready_of_this;
};

// An address that the agent of before still has is no failure of its successor.
Parsed<void> open(Fd& into, Result<Fd> made, const std::string& what, bool may_be_taken = false) {
  if (!made && may_be_taken && made.error().os == EADDRINUSE) return {};
  if (!made) return problem(fmt::format("cannot listen at {}: {}", what, describe(made.error())));
  into = std::move(*made);
  return {};
}

// Needs more than the three capabilities, where there is more.
Parsed<void> open_link(const Config& config, Sockets& sockets) {
  return open(sockets.link, Link::listen(config.link_path, config.ztunnel_uid, config.ztunnel_uid),
              config.link_path);
}

// Paths that a node has once are ours from here on.
Parsed<void> open_others(const Config& config, Sockets& sockets) {
  for (const auto& [path, into] :
       {std::pair(&config.api_path, &sockets.api), {&config.ready_path, &sockets.ready_of_this}}) {
    if (path->empty()) continue;
    if (auto made = open(*into, listen_unix(*path), *path); !made) return made;
  }
  for (auto [address, into] : {std::pair(config.metrics, &sockets.metrics), {config.ready, &sockets.ready}}) {
    if (!address) continue;
    if (auto made = open(*into, listen_tcp(*address), address->str(), config.take_over); !made)
      return made;
  }
  return {};
}

std::unique_ptr<NetnsFinder> make_finder(const Config& config, const Arrivals& arrivals) {
  auto anywhere = std::make_unique<EitherFinder>(std::make_unique<DirectoryFinder>(config.netns_directory),
                                                 std::make_unique<CgroupFinder>(config.cgroup, "/proc"));
  return std::make_unique<ArrivalFinder>(arrivals, std::move(anywhere));
}

class App : public LinkEvents {
 public:
  App(const Config& config, Reactor& reactor, bpf::Datapath datapath, source::Source& source,
      Sockets sockets, Lease lease)
      : config_(config),
        reactor_(reactor),
        datapath_(std::move(datapath)),
        source_(source),
        lease_(std::move(lease)),
        bpf_(datapath_),
        kernel_(bpf_),
        finder_(make_finder(config, arrivals_)),
        link_(reactor, std::move(sockets.link), {0, config.ztunnel_uid}, *this),
        enroller_(
            kernel_, *finder_, link_,
            [this](int netns, std::uint32_t loops, bool dns) {
              return open_listeners(netns, loops, dns, [this](int fd) { return kernel_.mark_owned(fd); });
            },
            Clock::now),
        broker_(enroller_, kernel_),
        chain_(config.cni) {
    serve(std::move(sockets));
  }

  Parsed<void> start() {
    if (config_.renew_listeners) enroller_.renew_listeners();
    if (auto adopted = enroller_.adopt(); !adopted) return problem("cannot read what is pinned: " + describe(adopted.error()));
    auto dns = datapath_.set_dns_ips(config_.dns_ips);
    if (!dns) return problem("cannot write the DNS servers' addresses: " + describe(dns.error()));
    auto watched = reactor_.watch(source_.fd(), EPOLLIN, [this](std::uint32_t) { read_source(); });
    if (!watched) return problem("cannot watch the source: " + describe(watched.error()));
    reactor_.after_turn([this] { after_turn(); });
    if (chain_.wanted()) keep_chained();
    return {};
  }

  void on_hello(ConnectionId id, const zds::Hello& hello) override {
    zds::Hello obeyed = hello;
    obeyed.dns = hello.dns && config_.dns_capture;
    enroller_.on_hello(id, obeyed);
  }
  void on_gone(ConnectionId id) override {
    broker_.forget(id);
    enroller_.on_gone(id);
    if (leaving_ && link_.connections().empty()) reactor_.stop();
  }
  void on_sockets_wanted(ConnectionId id, const zds::SocketRequest& request) override {
    link_.grant(id, broker_.answer(id, request, Clock::now()));
  }

  // One that stepped aside goes on giving sockets to its ztunnel, which is ending too and finishes
  // what it has accepted.
  void leave() {
    metrics_.reset();
    ready_.reset();
    if (!kernel_.is_aside() || leaving_ || link_.connections().empty()) return reactor_.stop();
    leaving_ = true;
    reactor_.at(Clock::now() + kLeaveWithin, [this] { reactor_.stop(); });
  }
  bool to_resume() const { return to_resume_; }

 private:
  using Get = HttpAnswer (App::*)(std::string_view path) const;

  void serve_http(std::unique_ptr<Exchange>& into, Fd listener, Get get) {
    into = std::make_unique<Exchange>(
        reactor_, std::move(listener), "\r\n\r\n", true,
        http_handler([this, get](std::string_view path) { return (this->*get)(path); }));
  }

  // Where the agent of before is still, we are when it has ended.
  void serve_at(std::unique_ptr<Exchange>& into, const std::optional<SocketAddress>& address,
                Fd listener, Get get) {
    if (!address || leaving_) return;
    if (!listener) {
      if (auto made = listen_tcp(*address)) listener = *std::move(made);
    }
    if (listener) return serve_http(into, std::move(listener), get);
    reactor_.at(Clock::now() + kTryAddress,
                [this, &into, &address, get] { serve_at(into, address, Fd(), get); });
  }

  void serve(Sockets sockets) {
    serve_at(metrics_, config_.metrics, std::move(sockets.metrics), &App::metrics);
    serve_at(ready_, config_.ready, std::move(sockets.ready), &App::readiness);
    if (sockets.ready_of_this)
      serve_http(ready_of_this_, std::move(sockets.ready_of_this), &App::readiness);
    if (sockets.api) {
      api_ = std::make_unique<Exchange>(reactor_, std::move(sockets.api), "\n", false, [this](std::string_view line) { return api(line); });
    }
  }

  void read_source() {
    const auto batch = source_.poll();
    report_problems();
    if (!inventory_.apply(batch) && source_read_) return;
    source_read_ = true;
    ++source_generation_;
    arrivals_.forget_old(Clock::now());
    decide();
  }

  void decide() {
    enroller_.want(inventory_.decide(config_.node, [this](const std::string& uid) { return arrivals_.ips_of(uid); }));
  }

  // Others write that file too: look again.
  void keep_chained() {
    if (kernel_.is_aside()) return;
    if (inventory_.uninstalling()) return unchain();
    const auto kept = chain_.ensure();
    const std::string trouble = kept ? "" : kept.error().text;
    if (kept && *kept) spdlog::info("weft-cni is chained, pods wait for the mesh directory={}", config_.cni.config_directory);
    if (trouble != chain_trouble_ && !trouble.empty()) spdlog::error("weft-cni is not chained, pods may start before they are captured reason=\"{}\"", trouble);
    chain_trouble_ = trouble;
    reactor_.at(Clock::now() + kLookAtChain, [this] { keep_chained(); });
  }

  // Looks again too: an uninstall that is called off brings the chain back.
  void unchain() {
    const auto gone = chain_.remove();
    const std::string trouble = gone ? "" : gone.error().text;
    if (trouble != chain_trouble_ && !trouble.empty()) spdlog::error("weft-cni cannot be taken out of the chain reason=\"{}\"", trouble);
    chain_trouble_ = trouble;
    reactor_.at(Clock::now() + kLookAtChain, [this] { keep_chained(); });
  }

  void report_problems() {
    if (source_.problems_generation() == problems_seen_) return;
    problems_seen_ = source_.problems_generation();
    for (const auto& problem : source_.problems()) {
      spdlog::error("a manifest is broken, what it held before stays file={} reason=\"{}\"", problem.file, problem.text);
    }
  }

  void after_turn() {
    std::string why;
    const bool ready = is_ready(&why);
    if (ready) applied_generation_ = source_generation_;
    if (ready != was_ready_) ready ? spdlog::info("ready") : spdlog::info("not ready reason=\"{}\"", why);
    was_ready_ = ready;
    const auto next = enroller_.next_wakeup();
    if (next == wakeup_at_ && wakeup_ != 0) return;
    reactor_.cancel(wakeup_);
    wakeup_at_ = next;
    wakeup_ = next == Clock::time_point::max() ? 0 : reactor_.at(next, [this] {
      wakeup_ = 0;
      enroller_.tick();
    });
  }

  bool is_ready(std::string* why) const {
    if (!source_read_) return *why = "the source has not been read", false;
    if (!enroller_.connected()) return *why = "no ztunnel is connected", false;
    return enroller_.settled(why);
  }

  HttpAnswer readiness(std::string_view path) const {
    if (path != "/healthz/ready" && path != "/") return {.status = 404, .body = "try /healthz/ready\n"};
    std::string why;
    return is_ready(&why) ? HttpAnswer{.body = "ready\n"} : HttpAnswer{.status = 503, .body = why + "\n"};
  }

  HttpAnswer metrics(std::string_view path) const {
    if (path != "/metrics" && path != "/stats/prometheus") return {.status = 404, .body = "try /metrics\n"};
    MetricFacts facts;
    if (auto counters = datapath_.counters()) facts.events = *counters;
    if (auto fill = datapath_.fill()) facts.maps = std::move(*fill);
    if (auto programs = datapath_.programs()) facts.programs = std::move(*programs);
    facts.pods = enroller_.pods();
    facts.enroller = enroller_.counts();
    facts.ztunnels = link_.connections().size();
    facts.sockets_granted_total = broker_.granted_total();
    facts.socket_requests_refused_total = broker_.refused_total();
    facts.source_problems = source_.problems().size();
    facts.source_generation = source_generation_;
    facts.applied_generation = applied_generation_;
    return {.type = "text/plain; version=0.0.4; charset=utf-8", .body = metrics_text(facts)};
  }

  std::string api(std::string_view line) {
    auto request = api_command(line);
    if (!request) return api_error(request.error().text);
    switch (request->command) {
      case ApiRequest::Command::kStatus:
        return status();
      case ApiRequest::Command::kStepAside:
        return step_aside();
      case ApiRequest::Command::kReadyForPod:
        return ready_for_pod(std::move(request->arrival));
    }
    return api_error("unknown cmd");
  }

  std::string step_aside() {
    if (!kernel_.is_aside()) {
      spdlog::info(
          "stepping aside: another agent of this node captures and releases pods from here on");
      kernel_.set_aside();
      lease_.give_up();
      reactor_.at(Clock::now() + kTakeWithin, [this] { look_for_lease(); });
    }
    return aside_json();
  }

  // A successor that died left the node to nobody.
  void look_for_lease() {
    if (leaving_) return;
    const auto ours = lease_.take();
    if (ours && *ours) {
      spdlog::warn("the agent that took over is gone: this one starts again in its place");
      to_resume_ = true;
      return reactor_.stop();
    }
    reactor_.at(Clock::now() + kLookForLease, [this] { look_for_lease(); });
  }

  std::string ready_for_pod(Arrival arrival) {
    if (kernel_.is_aside()) return arrival_json({"wait", "another agent of this node takes over"});
    const std::string uid = arrival.uid;
    const bool news = arrivals_.note(std::move(arrival), Clock::now());
    if (!source_read_) return arrival_json({"wait", "the agent has not read its source yet"});
    if (news) decide();
    return arrival_json(judge_arrival(uid, enroller_.pod(uid), enroller_.plain_pods()));
  }

  std::string status() const {
    StatusFacts facts;
    facts.node = config_.node;
    facts.ready = is_ready(&facts.not_ready_why);
    facts.ztunnels = link_.connections().size();
    facts.uninstalling = inventory_.uninstalling();
    if (auto programs = datapath_.programs()) {
      for (const auto& program : *programs) facts.programs.push_back({program.name, program.id});
    }
    for (const auto& problem : source_.problems()) facts.problems.emplace_back(problem.file, problem.text);
    facts.pods = enroller_.pods();
    facts.plain = enroller_.plain_pods();
    return status_json(facts);
  }

  // Set once.
  const Config& config_;
  Reactor& reactor_;
  bpf::Datapath datapath_;
  source::Source& source_;
  Lease lease_;
  BpfCapture bpf_;
  SetAside kernel_;
  Arrivals arrivals_;
  std::unique_ptr<NetnsFinder> finder_;
  Link link_;
  Enroller enroller_;
  Broker broker_;
  const cni::Chain chain_;
  std::unique_ptr<Exchange> metrics_, ready_, ready_of_this_, api_;
  // Owned by the reactor's thread.
  Inventory inventory_;
  std::string chain_trouble_;
  bool source_read_ = false;
  std::uint64_t source_generation_ = 0;
  std::uint64_t applied_generation_ = 0;
  std::uint64_t problems_seen_ = 0;
  bool was_ready_ = false;
  bool leaving_ = false;
  bool to_resume_ = false;
  std::uint64_t wakeup_ = 0;
  Clock::time_point wakeup_at_{};
};

// What was left for the machine to say.
Parsed<Config> look_around(Config config) {
  constexpr const char* kCgroups = "/sys/fs/cgroup";
  if (config.cgroup == "auto") {
    config.cgroup = find_pods_cgroup(kCgroups);
    if (config.cgroup.empty())
      return problem(fmt::format(
          "--cgroup: no kubepods directory of cgroup2 below {}: is this a kubelet's node?",
          kCgroups));
  }
  if (config.dns_from_resolv_conf) {
    std::ifstream file("/etc/resolv.conf");
    config.dns_ips = nameservers(std::string(std::istreambuf_iterator<char>(file), {}));
    if (config.dns_ips.empty()) return problem("--dns-ip: /etc/resolv.conf names no server");
  }
  spdlog::info("node cgroup={} dns_ips={}", config.cgroup, config.dns_ips.size());
  return config;
}

}  // namespace

Parsed<Ended> run(const Config& given) {
  auto settled = look_around(given);
  if (!settled) return std::unexpected(settled.error());
  const Config& config = *settled;
  auto signals = stop_signals();
  if (!signals) return problem(describe(signals.error()));
  Sockets sockets;
  if (auto made = open_link(config, sockets); !made) return std::unexpected(made.error());
  auto lease = Lease::of(config.pin_directory);
  if (!lease) return std::unexpected(lease.error());
  if (auto dropped = keep_only_needed_privileges(); !dropped) return problem(describe(dropped.error()));
  // The agent runs in the node's network namespace, as kubelet does.
  const Fd here(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const auto node_netns = bpf::netns_cookie_of(here.get());
  if (!node_netns) return problem("the node's network namespace: " + describe(node_netns.error()));
  const auto turn = wait_for_turn(
      *lease, {config.take_over, config.api_path, sockets.link.get(), signals->get()});
  if (!turn) return std::unexpected(turn.error());
  if (*turn == Turn::kStopped) return Ended::kStopped;
  if (auto made = open_others(config, sockets); !made) return std::unexpected(made.error());
  const std::string node_cgroup = config.node_cgroup.empty() ? top_of_cgroups(config.cgroup) : config.node_cgroup;
  auto datapath = bpf::Datapath::open(
      {.cgroup = config.cgroup, .node_cgroup = node_cgroup, .node_netns_cookie = *node_netns, .pin_dir = config.pin_directory});
  if (!datapath) return std::unexpected(datapath.error());
  auto source = open_objects(config);
  if (!source) return std::unexpected(source.error());
  auto reactor = Reactor::make();
  if (!reactor) return problem(describe(reactor.error()));

  App app(config, **reactor, std::move(*datapath), **source, std::move(sockets), *std::move(lease));
  if (auto started = app.start(); !started) return std::unexpected(started.error());
  auto watched =
      (*reactor)->watch(signals->get(), EPOLLIN, [&app, &reactor, &signals](std::uint32_t) {
        (*reactor)->forget(signals->get());
        app.leave();
      });
  if (!watched) return problem(describe(watched.error()));
  (*reactor)->run();
  spdlog::info("stopping; what is captured stays captured");
  (*reactor)->forget((*source)->fd());
  return app.to_resume() ? Ended::kResume : Ended::kStopped;
}

}  // namespace weft::agent
