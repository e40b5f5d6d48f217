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
#include "agent/signals.h"
#include "base/log.h"
#include "bpf/user/datapath.h"

namespace weft::agent {

namespace {

constexpr auto kLookAtChain = std::chrono::seconds(1);

// Everything that needs more than the three capabilities, or may be refused by the machine, before the rest is built.
struct Sockets {
  Fd link, api, metrics, ready;
};

Parsed<Sockets> open_sockets(const Config& config) {
  Sockets sockets;
  const auto open = [](Fd& into, Result<Fd> made, const std::string& what) -> Parsed<void> {
    if (!made) return problem(fmt::format("cannot listen at {}: {}", what, describe(made.error())));
    into = std::move(*made);
    return {};
  };
  if (auto made = open(sockets.link, Link::listen(config.link_path, config.ztunnel_uid, config.ztunnel_uid), config.link_path); !made) {
    return std::unexpected(made.error());
  }
  if (!config.api_path.empty()) {
    if (auto made = open(sockets.api, listen_unix(config.api_path), config.api_path); !made) return std::unexpected(made.error());
  }
  for (auto [address, into] : {std::pair(config.metrics, &sockets.metrics), {config.ready, &sockets.ready}}) {
    if (!address) continue;
    if (auto made = open(*into, listen_tcp(*address), address->str()); !made) return std::unexpected(made.error());
  }
  return sockets;
}

std::unique_ptr<NetnsFinder> make_finder(const Config& config, const Arrivals& arrivals) {
  auto anywhere = std::make_unique<EitherFinder>(std::make_unique<DirectoryFinder>(config.netns_directory),
                                                 std::make_unique<CgroupFinder>(config.cgroup, "/proc"));
  return std::make_unique<ArrivalFinder>(arrivals, std::move(anywhere));
}

class App : public LinkEvents {
 public:
  App(const Config& config, Reactor& reactor, bpf::Datapath datapath, source::Source& source,
      Sockets sockets)
      : config_(config),
        reactor_(reactor),
        datapath_(std::move(datapath)),
        source_(source),
        kernel_(datapath_),
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
  }
  void on_sockets_wanted(ConnectionId id, const zds::SocketRequest& request) override {
    link_.grant(id, broker_.answer(id, request, Clock::now()));
  }

 private:
  void serve(Sockets sockets) {
    const auto http = [this](std::unique_ptr<Exchange>& into, Fd listener, std::function<HttpAnswer(std::string_view)> get) {
      if (listener) into = std::make_unique<Exchange>(reactor_, std::move(listener), "\r\n\r\n", true, http_handler(std::move(get)));
    };
    http(metrics_, std::move(sockets.metrics), [this](std::string_view path) { return metrics(path); });
    http(ready_, std::move(sockets.ready), [this](std::string_view path) { return readiness(path); });
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
    return request->command == ApiRequest::Command::kStatus ? status() : ready_for_pod(std::move(request->arrival));
  }

  std::string ready_for_pod(Arrival arrival) {
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
  BpfCapture kernel_;
  Arrivals arrivals_;
  std::unique_ptr<NetnsFinder> finder_;
  Link link_;
  Enroller enroller_;
  Broker broker_;
  const cni::Chain chain_;
  std::unique_ptr<Exchange> metrics_, ready_, api_;
  // Owned by the reactor's thread.
  Inventory inventory_;
  std::string chain_trouble_;
  bool source_read_ = false;
  std::uint64_t source_generation_ = 0;
  std::uint64_t applied_generation_ = 0;
  std::uint64_t problems_seen_ = 0;
  bool was_ready_ = false;
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

Parsed<void> run(const Config& given) {
  auto settled = look_around(given);
  if (!settled) return std::unexpected(settled.error());
  const Config& config = *settled;
  auto signals = stop_signals();
  if (!signals) return problem(describe(signals.error()));
  auto sockets = open_sockets(config);
  if (!sockets) return std::unexpected(sockets.error());
  if (auto dropped = keep_only_needed_privileges(); !dropped) return problem(describe(dropped.error()));
  // The agent runs in the node's network namespace, as kubelet does.
  const Fd here(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const auto node_netns = bpf::netns_cookie_of(here.get());
  if (!node_netns) return problem("the node's network namespace: " + describe(node_netns.error()));
  const std::string node_cgroup = config.node_cgroup.empty() ? top_of_cgroups(config.cgroup) : config.node_cgroup;
  auto datapath = bpf::Datapath::open(
      {.cgroup = config.cgroup, .node_cgroup = node_cgroup, .node_netns_cookie = *node_netns, .pin_dir = config.pin_directory});
  if (!datapath) return std::unexpected(datapath.error());
  auto source = open_objects(config);
  if (!source) return std::unexpected(source.error());
  auto reactor = Reactor::make();
  if (!reactor) return problem(describe(reactor.error()));

  App app(config, **reactor, std::move(*datapath), **source, std::move(*sockets));
  if (auto started = app.start(); !started) return started;
  auto watched = (*reactor)->watch(signals->get(), EPOLLIN, [&reactor](std::uint32_t) { (*reactor)->stop(); });
  if (!watched) return problem(describe(watched.error()));
  (*reactor)->run();
  spdlog::info("stopping; what is captured stays captured");
  (*reactor)->forget((*source)->fd());
  return {};
}

}  // namespace weft::agent
