#include "ztunnel/app/app.h"

#include <fmt/format.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>

#include <set>
#include <vector>

#include "base/log.h"
#include "ztunnel/admin/config_dump.h"
#include "ztunnel/admin/exposition.h"
#include "ztunnel/admin/server.h"
#include "ztunnel/app/figures.h"
#include "ztunnel/app/trim.h"
#include "ztunnel/app/worker.h"
#include "ztunnel/ca/grpc_signer.h"
#include "ztunnel/ca/keeper.h"
#include "ztunnel/io/event.h"
#include "ztunnel/io/make_loop.h"
#include "ztunnel/io/ops.h"
#include "ztunnel/io/run.h"
#include "ztunnel/pods/agent_link.h"
#include "ztunnel/proxy/collector.h"
#include "ztunnel/proxy/metrics.h"
#include "ztunnel/state/store.h"
#include "ztunnel/tls/credentials.h"
#include "ztunnel/tls/engine.h"
#include "ztunnel/xds/client.h"
#include "ztunnel/xds/lookup.h"

namespace weft::app {
namespace {

constexpr auto kRootPoll = std::chrono::milliseconds(500);
constexpr auto kReadyPoll = std::chrono::milliseconds(250);
constexpr auto kTrimEvery = std::chrono::seconds(5);
constexpr auto kSocketIdle = std::chrono::seconds(60);
constexpr auto kDrainPoll = std::chrono::milliseconds(20);
constexpr auto kAcceptedFor = std::chrono::seconds(2);

rpc::Endpoint make_endpoint(const Remote& remote, const Config& config) {
  return {remote.address, remote.root, remote.alt_name, config.token, config.cluster_id, remote.headers};
}

xds::ClientOptions make_client_options(const Config& config) {
  xds::NodeInfo node{config.instance_ip,   config.pod_name,        config.pod_namespace, config.metadata,
                     config.metadata_json, config.node_name};
  return {make_endpoint(config.xds, config), std::move(node), config.on_demand,
          config.state_dir.empty() ? "" : config.state_dir + "/xds"};
}

ca::KeeperOptions make_keeper_options(const Config& config) {
  return {config.secret_ttl, config.state_dir.empty() ? "" : config.state_dir + "/certificates"};
}

Maxima own_maxima(const Config& config) {
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  return maxima_of(files.rlim_cur, config.threads);
}

proxy::ProxyConfig make_proxy_config(const Config& config) {
  proxy::ProxyConfig out;
  out.node = config.node_name;
  out.cluster_id = config.cluster_id;
  out.cluster_domain = config.cluster_domain;
  out.trust_domain = config.trust_domain;
  out.network = config.network;
  out.dns_upstream = config.dns_upstream;
  out.termination_grace = config.grace;
  out.connections_max = own_maxima(config).connections;
  return out;
}

io::LoopOptions main_loop_options() {
  io::LoopOptions out;
  out.buffers = 2;
  out.buffer_size = 4096;
  return out;
}

class App final : public pods::PodListener {
 public:
  App(const Config& config, std::unique_ptr<io::Loop> main)
      : config_(config),
        proxy_config_(make_proxy_config(config)),
        main_(std::move(main)),
        drain_(*main_),
        quit_(*main_),
        store_(config.network, [this](std::function<void()> act) { main_->post(std::move(act)); }),
        signer_(grpc_, make_endpoint(config.ca, config)),
        keeper_(grpc_, signer_, make_keeper_options(config)),
        client_(grpc_, make_client_options(config), [this](xds::Update update) { on_update(std::move(update)); }),
        lookup_([this](std::string name) { client_.want(std::move(name)); }),
        link_(*main_, {config.agent_socket, config.threads, config.dns_capture}, *this) {}

  Parsed<void> make_workers();
  Parsed<void> listen();
  void run();

  Parsed<void> on_add(const pods::Pod& pod, pods::PodSockets sockets) override;
  void on_delete(std::string_view uid, bool running) override;

 private:
  io::Task<void> serve();
  io::Task<void> drain();
  io::Task<void> watch_signals(int fd);
  io::Task<void> tick();
  void start();
  void on_update(xds::Update update);   // gRPC thread
  void watch_roots(std::string before);  // gRPC thread
  void update_identities();
  bool is_configured() const;
  io::Task<void> serve_agent();
  std::vector<std::string> pending_tasks() const;
  void route_admin();
  void route_metrics();
  std::string dump();
  void collect(admin::Families& out) const;
  void leave(const char* why);
  void quit(const char* why);
  void give_addresses();

  const Config& config_;
  const proxy::ProxyConfig proxy_config_;
  std::unique_ptr<io::Loop> main_;
  io::Event drain_;  // set first
  io::Event quit_;

  state::Store store_;
  rpc::GrpcThread grpc_;
  ca::GrpcSigner signer_;
  ca::Keeper keeper_;
  xds::Client client_;
  xds::OnDemand lookup_;
  pods::AgentLink link_;
  proxy::Metrics metrics_;
  proxy::LiveCounts live_counts_;
  std::vector<std::unique_ptr<Worker>> workers_;
  admin::Exposition exposition_;
  std::unique_ptr<admin::Server> admin_, stats_, ready_, ready_of_this_;
  bool beside_another_ = false;  // one that is to be replaced has our addresses
  std::set<mesh::Identity> identities_;
};

Parsed<void> App::make_workers() {
  const auto kind = io::parse_loop_kind(config_.io).value_or(io::LoopKind::kAuto);
  for (std::uint32_t i = 0; i < config_.threads; ++i) {
    auto loop = io::make_loop(kind);
    if (!loop) return problem("cannot make a loop: " + describe(loop.error()));
    if (i == 0) spdlog::info("serving threads={} io={} tls=\"{}\"", config_.threads, (*loop)->name(), tls::library_version());
    const auto ask = [this, i](pods::SocketAsk asked) {
      main_->post([this, i, asked = std::move(asked)]() mutable {
        link_.ask(std::move(asked), [this, i](const pods::SocketAsk& ask, Result<std::vector<Fd>> sockets) {
          workers_[i]->granted(ask, std::move(sockets));
        });
      });
    };
    workers_.push_back(std::make_unique<Worker>(WorkerParts{.loop = *std::move(loop),
                                                            .config = proxy_config_,
                                                            .certificates = keeper_,
                                                            .metrics = metrics_.add_shard(),
                                                            .lookup = config_.on_demand ? &lookup_ : nullptr,
                                                            .live_counts = live_counts_,
                                                            .ask = ask,
                                                            .pooled_max = own_maxima(config_).pooled_sockets}));
  }
  return {};
}

Parsed<void> App::listen() {
  const std::pair<std::unique_ptr<admin::Server>*, SocketAddress> wanted[] = {
      {&admin_, config_.admin}, {&stats_, config_.metrics}, {&ready_, config_.ready}};
  for (const auto& [server, address] : wanted) {
    auto listening = config_.take_over ? admin::Server::listen_when_free(*main_, address)
                                       : admin::Server::listen(*main_, address);
    if (!listening) return problem(fmt::format("cannot listen on {}: {}", address.str(), describe(listening.error())));
    *server = *std::move(listening);
    if ((*server)->listening()) continue;
    beside_another_ = true;
    spdlog::info("another process has the address, waiting for it address={}", address.str());
  }
  if (!config_.ready_socket.empty()) {
    auto listening = admin::Server::listen_at(*main_, config_.ready_socket);
    if (!listening)
      return problem(fmt::format("WEFT_READY_SOCKET=\"{}\": {}", config_.ready_socket,
                                 describe(listening.error())));
    ready_of_this_ = *std::move(listening);
  }
  route_admin();
  route_metrics();
  return {};
}

Parsed<void> App::on_add(const pods::Pod& pod, pods::PodSockets sockets) {
  if (drain_.is_set()) return problem("draining");
  for (std::size_t i = 0; i < workers_.size(); ++i) workers_[i]->add_pod(pod, std::move(sockets.loops[i]));
  return {};
}

void App::on_delete(std::string_view uid, bool running) {
  for (auto& worker : workers_) worker->remove_pod(std::string(uid), running);
}

void App::on_update(xds::Update update) {
  main_->post([this, update = std::move(update)]() mutable {
    store_.apply(std::move(update.edits));
    if (update.answered.empty()) return;
    store_.flush();  // the answer is in every loop's queue before the waiters are woken
    lookup_.answered(update.answered);
  });
}

// A certificate for each pod of this node, and for nobody else.
void App::update_identities() {
  if (link_.state() != pods::AgentLink::State::kLive || store_.generation() == 0) return;
  std::set<mesh::Identity> wanted;
  for (const auto& [uid, pod] : link_.pods()) {
    const auto workload = store_.current()->local_workload(pod.name, pod.ns, pod.service_account, config_.node_name);
    wanted.insert(workload ? workload->identity() : mesh::Identity{config_.trust_domain, pod.ns, pod.service_account});
  }
  if (wanted == identities_) return;
  identities_ = wanted;
  keeper_.retain(wanted);
}

// Either file is a sign that the CA changed its root, or which root signs: certificates of before may soon not be trusted any more.
void App::watch_roots(std::string before) {
  std::string now;
  for (const auto& source : {config_.xds.root, config_.ca.root}) {
    if (auto root = rpc::read_root(source)) now += *root;
  }
  if (now.empty()) now = before;
  if (now != before && !before.empty()) {
    spdlog::info("the root file changed, certificates are renewed path={}", config_.ca.root);
    signer_.renew_channel();
    keeper_.roots_changed();
  }
  grpc_.after(kRootPoll, [this, now = std::move(now)]() mutable { watch_roots(std::move(now)); });
}

bool App::is_configured() const {
  const auto& xds = client_.counters();
  return xds.synced || xds.loaded;
}

std::vector<std::string> App::pending_tasks() const {
  std::vector<std::string> out;
  if (!is_configured()) out.emplace_back("state manager");
  if (!link_.ready()) out.emplace_back("workload proxy manager");
  if (drain_.is_set()) out.emplace_back("draining");
  return out;
}

void App::route_admin() {
  admin_->route("GET", "/", [](const admin::HttpRequest&) {
    return admin::HttpResponse{.body = "weft-ztunnel " WEFT_VERSION
                                       "\nGET  /config_dump\nGET  /healthz\nPOST /logging?level=LEVEL\nPOST /drain\n"
                                       "POST /quitquitquit\n"};
  });
  admin_->route("GET", "/config_dump", [this](const admin::HttpRequest&) {
    return admin::HttpResponse{.content_type = "application/json", .body = dump()};
  });
  admin_->route("GET", "/healthz", [](const admin::HttpRequest&) { return admin::HttpResponse{.body = "ok\n"}; });
  admin_->route("POST", "/logging", [this](const admin::HttpRequest& request) {
    const auto level = request.query.contains("reset") ? config_.log_level : request.parameter("level").value_or("");
    if (!log::set_level(level)) {
      return admin::HttpResponse{.status = 400, .body = "level: wanted error, warn, info, debug, trace or off\n"};
    }
    spdlog::info("log level changed level={}", level);
    return admin::HttpResponse{.body = "level " + level + "\n"};
  });
  admin_->route("POST", "/drain", [this](const admin::HttpRequest&) {
    leave("POST /drain");
    return admin::HttpResponse{.body = "draining\n"};
  });
  admin_->route("POST", "/quitquitquit", [this](const admin::HttpRequest&) {
    quit("POST /quitquitquit");
    return admin::HttpResponse{.body = "shutdown now\n"};
  });
}

void App::route_metrics() {
  exposition_.add(proxy::make_collector(metrics_, WEFT_VERSION));
  exposition_.add(admin::make_collectable([this](admin::Families& out) { collect(out); }));
  const auto metrics = [this](const admin::HttpRequest&) {
    return admin::HttpResponse{.content_type = "text/plain; version=0.0.4; charset=utf-8", .body = exposition_.text()};
  };
  stats_->route("GET", "/metrics", metrics);
  stats_->route("GET", "/stats/prometheus", metrics);
  const auto ready = [this](const admin::HttpRequest&) {
    const auto pending = pending_tasks();
    if (pending.empty()) return admin::HttpResponse{.body = "ready\n"};
    return admin::HttpResponse{.status = 500, .body = fmt::format("not ready, pending: {}\n", fmt::join(pending, ", "))};
  };
  ready_->route("GET", "/healthz/ready", ready);
  if (ready_of_this_) ready_of_this_->route("GET", "/healthz/ready", ready);
}

void App::collect(admin::Families& out) const {
  collect_figures({client_.counters(), link_.counters(), keeper_, store_.current()->generation(), *store_.current()}, out);
}

std::string App::dump() {
  std::vector<admin::DumpedIdentity> certificates;
  for (const auto& each : keeper_.list()) certificates.push_back(dump_certificate(each));
  std::vector<admin::DumpedPod> pods;
  for (const auto& [uid, pod] : link_.pods()) {
    pods.push_back({uid, pod.name, pod.ns, pod.service_account, "Up", live_counts_.read(uid)});
  }
  for (const auto& [uid, why] : link_.pending()) pods.push_back({uid, "", "", "", "Pending: " + why, 0});
  return admin::config_dump({*store_.current(), std::move(certificates), std::move(pods), config_.shown(), WEFT_VERSION});
}

// Another ztunnel gets the pods; here nothing more is accepted, and connections keep their grace.
void App::leave(const char* why) {
  if (!drain_.is_set()) spdlog::info("draining reason=\"{}\" grace_s={}", why, config_.grace.count());
  drain_.set();
}

void App::quit(const char* why) {
  if (!quit_.is_set()) spdlog::info("ending reason=\"{}\"", why);
  quit_.set();
  leave(why);
}

void App::give_addresses() {
  admin_->stop();
  stats_->stop();
  ready_->stop();
}

io::Task<void> App::watch_signals(int fd) {
  const auto readable = co_await io::readable(*main_, fd);
  if (!readable) co_return;
  quit("signal");
  if (config_.take_over) give_addresses();  // the next one waits for them
}

io::Task<void> App::tick() {
  while (!quit_.is_set() && !pending_tasks().empty()) {
    [[maybe_unused]] const auto waited = co_await quit_.wait(main_->in(kReadyPoll));
  }
  trim_memory();
  while (!quit_.is_set()) {
    for (auto& worker : workers_) worker->trim_sockets(kSocketIdle);
    [[maybe_unused]] const auto waited = co_await quit_.wait(main_->in(kTrimEvery));
  }
}

void App::start() {
  store_.subscribe([this](const state::SnapshotPtr& snapshot) {
    for (auto& worker : workers_) worker->set_snapshot(snapshot);
    update_identities();
    if (snapshot->generation() > 0) {
      spdlog::debug("snapshot published generation={} workloads={} services={} policies={}", snapshot->generation(),
                    snapshot->world().workloads.size(), snapshot->world().services.size(),
                    snapshot->world().policies.size());
    }
  });
  link_.on_pods([this] { update_identities(); });
  link_.on_live([this] {
    for (auto& worker : workers_) worker->link_up();
    update_identities();
  });
  for (unsigned i = 0; i < workers_.size(); ++i) workers_[i]->start(i);
  keeper_.load();
  client_.start();
  grpc_.post([this] { watch_roots(""); });
}

// What was accepted is finished, and may need sockets for it a moment longer.
io::Task<void> App::drain() {
  const auto deadline = main_->in(config_.grace);
  const auto accepted_until = main_->in(kAcceptedFor);
  std::vector<std::future<void>> drained;
  for (auto& worker : workers_) drained.push_back(worker->drain(deadline));
  for (auto& each : drained) {
    while (each.wait_for(std::chrono::seconds(0)) != std::future_status::ready) {
      co_await io::sleep_for(*main_, kDrainPoll);
      if (accepted_until.passed(main_->now())) link_.stop();
    }
  }
  link_.stop();
}

// One that takes over from another greets the agent when it can serve: until then the other one
// serves alone.
io::Task<void> App::serve_agent() {
  while (beside_another_ && !is_configured() && !drain_.is_set()) {
    [[maybe_unused]] const auto waited = co_await drain_.wait(main_->in(kReadyPoll));
  }
  co_await link_.run();
}

io::Task<void> App::serve() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  Fd signal_fd(::signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC));
  io::Scope children;
  children.spawn(watch_signals(signal_fd.get()));
  children.spawn(tick());
  children.spawn(admin_->run());
  children.spawn(stats_->run());
  children.spawn(ready_->run());
  if (ready_of_this_) children.spawn(ready_of_this_->run());
  children.spawn(serve_agent());
  [[maybe_unused]] auto asked = co_await drain_.wait();
  co_await drain();
  asked = co_await quit_.wait();
  give_addresses();
  if (ready_of_this_) ready_of_this_->stop();
  main_->cancel(signal_fd.get());
  co_await children.join();
}

void App::run() {
  start();
  io::run_until_done(*main_, serve());
  for (auto& worker : workers_) worker->stop();
  keeper_.stop();
  client_.stop();
  signer_.stop();
  grpc_.stop();
  spdlog::info("ended");
}

// The state directory is ours alone: 0700.
Parsed<void> prepare_state_dir(const std::string& path) {
  if (path.empty()) return {};
  struct stat found{};
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return problem(fmt::format("WEFT_STATE_DIR=\"{}\": cannot be made (errno {})", path, errno));
  if (::stat(path.c_str(), &found) != 0 || !S_ISDIR(found.st_mode)) return problem(fmt::format("WEFT_STATE_DIR=\"{}\": not a directory", path));
  if (found.st_uid != ::geteuid() || (found.st_mode & 0077) != 0) {
    return problem(fmt::format("WEFT_STATE_DIR=\"{}\": wanted owner {} and mode 0700 (keys are kept there), found owner {} and mode {:o}",
                               path, ::geteuid(), found.st_uid, found.st_mode & 07777));
  }
  return {};
}

}  // namespace

Parsed<void> run(const Config& config) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);  // before any thread: all inherit it
  ::signal(SIGPIPE, SIG_IGN);
  if (auto directory = prepare_state_dir(config.state_dir); !directory) return directory;
  auto main = io::make_epoll_loop(main_loop_options());
  if (!main) return problem("cannot make the main loop: " + describe(main.error()));
  App app(config, *std::move(main));
  if (auto made = app.make_workers(); !made) return made;
  if (auto listening = app.listen(); !listening) return listening;
  app.run();
  return {};
}

}  // namespace weft::app
