#include "controlplane/app.h"

#include <poll.h>
#include <sys/signalfd.h>

#include <csignal>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "controlplane/answers.h"
#include "controlplane/api/socket.h"
#include "controlplane/backends/ztunnel/encode.h"
#include "controlplane/ca/authority.h"
#include "controlplane/ca/callers.h"
#include "controlplane/ca/files.h"
#include "controlplane/cluster.h"
#include "controlplane/deploy/outcome.h"
#include "controlplane/directory.h"
#include "controlplane/envoys.h"
#include "controlplane/explain/explain.h"
#include "controlplane/explain/picture.h"
#include "controlplane/metrics.h"
#include "controlplane/server/server.h"
#include "controlplane/telemetry/collector.h"
#include "controlplane/translate/world.h"
#include "controlplane/xds/cache.h"
#include "controlplane/xds/fleet.h"
#include "source/files.h"

namespace weft::controlplane {
namespace {

using nlohmann::json;

constexpr auto kTick = std::chrono::milliseconds(500);
constexpr auto kStateRefresh = std::chrono::seconds(5);
// After a restart nodes keep what they know until the Envoys that were there are back, so that no
// service loses its waypoint meanwhile; and no longer than this. Envoy comes back within a second
// (deploy::bootstrap).
constexpr auto kNodesWaitMax = std::chrono::seconds(3);
// Likewise Envoys, until the key sets that tokens need are fetched: without them no token is good.
constexpr auto kEnvoysWaitMax = std::chrono::milliseconds(1500);

translate::Options world_options(const Config& config) {
  return {.naming = {.cluster_id = config.cluster_id,
                     .cluster_domain = config.cluster_domain,
                     .trust_domain = config.trust_domain},
          .root_namespaces = config.root_namespaces};
}

}  // namespace

class App::State {
 public:
  explicit State(const Config& config)
      : config(config), world(world_options(config)), nodes(config.trust_domain) {}

  std::optional<Problem> start();
  void turn();          // what the source has
  void moved();         // what Envoys took, what was fetched
  void tick();          // certificates and roots
  void admit_envoys();  // when it is time
  void admit_nodes();   // the same
  std::string answer(const std::string& request, bool trusted);

  const Config config;
  std::unique_ptr<source::Source> objects;
  translate::World world;
  xds::Cache cache;
  std::unique_ptr<ca::Authority> authority;
  std::optional<ca::Tokens> tokens;
  std::unique_ptr<Cluster> cluster;  // null: the source is files. Outlives `envoys` and `server`
  ca::NodeAuthorizer nodes;
  server::Counters counters;
  Gauges gauges;
  Directory directory;
  explain::Picture picture;
  std::unique_ptr<telemetry::Collector> collector;
  xds::Fleet fleet;
  std::optional<ca::EnvoyTokens> envoy_tokens;
  std::unique_ptr<Envoys> envoys;
  std::unique_ptr<server::Server> server;
  std::unique_ptr<Metrics> metrics;
  std::unique_ptr<api::JsonSocket> api;
  Fd signals;
  std::optional<Clock::time_point> nodes_wait_until, envoys_wait_until;  // none: they are told

 private:
  void publish(const source::Batch& batch);
  std::optional<Problem> start_envoys();
  std::optional<Problem> serve_certificate();
  std::optional<Problem> start_ca();
  std::optional<Problem> start_source();
  void publish_state();
  bool refresh_state();
  Parsed<std::unique_ptr<deploy::Outcome>> outcome();
  json ca_info() const;
  json rotate();
  json issue(const json& request);
  json explain(const json& request);

  ca::Serving serving_;
  std::string state_trouble_;
  std::string refresh_trouble_;
  Clock::time_point next_refresh_{};
  std::uint64_t problems_seen_ = 0;
  std::string tokens_trouble_;
};

std::optional<Problem> App::State::serve_certificate() {
  std::vector<std::string> dns = {"weft-controlplane.weft-system.svc",
                                  "weft-controlplane.weft-system.svc." + config.cluster_domain,
                                  "istiod.istio-system.svc",
                                  "istiod.istio-system.svc." + config.cluster_domain, "localhost"};
  std::vector<std::string> ips = config.tls_ips;
  ips.insert(ips.end(), {"127.0.0.1", "::1"});
  auto served = authority->serve(dns, ips, WallClock::now());
  if (!served) return served.error();
  serving_ = *served;
  return std::nullopt;
}

std::optional<Problem> App::State::start_ca() {
  auto opened = ca::Authority::open({.state_dir = config.state_dir,
                                     .trust_domain = config.trust_domain,
                                     .certificate_ttl = config.certificate_ttl,
                                     .root_cert = config.root_cert,
                                     .root_key = config.root_key},
                                    WallClock::now());
  if (!opened) return opened.error();
  authority = std::move(*opened);
  if (!config.tokens_file.empty()) {
    tokens.emplace(config.tokens_file);
    if (auto bad = tokens->load()) return bad;
  }
  return serve_certificate();
}

std::optional<Problem> App::State::start_envoys() {
  auto opened = ca::EnvoyTokens::open(config.state_dir);
  if (!opened) return opened.error();
  envoy_tokens.emplace(std::move(*opened));
  collector = std::make_unique<telemetry::Collector>(telemetry::Options{}, directory);
  auto written = outcome();
  if (!written) return written.error();
  auto started = Envoys::start(config, fleet, *envoy_tokens, world, std::move(*written));
  if (!started) return started.error();
  envoys = std::move(*started);
  tick();
  return std::nullopt;
}

Parsed<std::unique_ptr<deploy::Outcome>> App::State::outcome() {
  if (!config.out_dir.empty()) return deploy::files_outcome(config.out_dir);
  if (!config.out_kube) return nullptr;
  return cluster->outcome();
}

// What is not written now is tried again with the next tick.
void App::State::publish_state() {
  if (!cluster) return;
  const auto bad = cluster->publish_state();
  const std::string text = bad ? bad->text : "";
  if (text != state_trouble_ && bad)
    spdlog::error("the CA's state is not in the cluster: {}", text);
  state_trouble_ = text;
}

std::optional<Problem> App::State::start_source() {
  if (cluster) {
    auto opened = cluster->source();
    if (!opened) return opened.error();
    objects = std::move(*opened);
    return std::nullopt;
  }
  auto opened =
      source::FilesSource::open({.directory = config.source_dir, .admit = translate::admit});
  if (!opened) return opened.error();
  objects = std::move(*opened);
  return std::nullopt;
}

std::optional<Problem> App::State::start() {
  sigset_t stop;
  sigemptyset(&stop);
  sigaddset(&stop, SIGTERM);
  sigaddset(&stop, SIGINT);
  ::pthread_sigmask(SIG_BLOCK, &stop, nullptr);
  signals.reset(::signalfd(-1, &stop, SFD_CLOEXEC | SFD_NONBLOCK));
  std::signal(SIGPIPE, SIG_IGN);
  if (config.source_dir.empty()) {
    auto found = Cluster::open(config);
    if (!found) return found.error();
    cluster = std::move(*found);
  }
  if (auto bad = start_ca()) return bad;
  if (auto bad = start_source()) return bad;
  if (auto bad = start_envoys()) return bad;
  if (cluster) {  // nobody may see a root that another replica does not have
    if (auto bad = cluster->publish_state()) return bad;
  }
  turn();
  if (!world.settled()) nodes_wait_until = Clock::now() + kNodesWaitMax;
  if (!world.knows_keys()) envoys_wait_until = Clock::now() + kEnvoysWaitMax;
  // Without a file that says who is who, the API server does.
  ca::TokenCheck* checked = nullptr;
  if (tokens) {
    checked = &*tokens;
  } else if (cluster) {
    checked = &cluster->reviewer();
  }
  auto started =
      server::Server::start({.types = {ztunnel::kAuthorizationType, ztunnel::kAddressType},
                             .tls_address = config.tls_address,
                             .plaintext_address = config.plaintext_address,
                             .serving_chain_path = serving_.chain_path,
                             .serving_key_path = serving_.key_path,
                             .roots_path = authority->bundle_path(),
                             .nodes_wait = nodes_wait_until.has_value(),
                             .envoys_wait = envoys_wait_until.has_value()},
                            {.cache = cache,
                             .authority = *authority,
                             .tokens = checked,
                             .nodes = nodes,
                             .counters = counters,
                             .fleet = &fleet,
                             .envoy_tokens = &*envoy_tokens,
                             .collector = collector.get(),
                             .trust_plaintext = !tokens});
  if (!started) return started.error();
  server = std::move(*started);
  if (!config.metrics_address.empty()) {
    auto exposed = Metrics::start(config.metrics_address, gauges, *server, counters, cache);
    if (!exposed) return exposed.error();
    metrics = std::move(*exposed);
    metrics->also(collector->collectable());
  }
  if (!config.api.empty()) {
    auto listening = api::JsonSocket::open(
        config.api,
        [this](const std::string& request, bool trusted) { return answer(request, trusted); });
    if (!listening) return listening.error();
    api = std::move(*listening);
  }
  spdlog::info(
      "serving tls={} plaintext={} source={} objects={} trust_domain={} certificate_ttl={}s",
      config.tls_address, config.plaintext_address,
      config.source_dir.empty() ? "kube" : config.source_dir, objects->objects().size(),
      config.trust_domain, config.certificate_ttl.count());
  return std::nullopt;
}

void App::State::turn() {
  const source::Batch batch = objects->poll();
  if (objects->problems_generation() != problems_seen_) {
    problems_seen_ = objects->problems_generation();
    for (const source::FileProblem& one : objects->problems())
      spdlog::error("manifest {}", one.text);
    gauges.file_problems = objects->problems().size();
  }
  if (batch.empty()) return;
  ++gauges.source_generation;
  gauges.objects = objects->objects().size();
  publish(batch);
}

void App::State::moved() {
  if (envoys->collect()) publish({});
}

void App::State::admit_envoys() {
  if (!envoys_wait_until) return;
  const bool known = world.knows_keys();
  if (!known && Clock::now() < *envoys_wait_until) return;
  envoys_wait_until.reset();
  if (!known) spdlog::warn("not all key sets are fetched: Envoys are told without them");
  server->admit_envoys();
}

void App::State::admit_nodes() {
  if (!nodes_wait_until) return;
  const bool settled = world.settled();
  if (!settled && Clock::now() < *nodes_wait_until) return;
  nodes_wait_until.reset();
  if (settled) {
    spdlog::info("the waypoints' Envoys are back: nodes are told");
  } else {
    spdlog::warn("not all of the waypoints' Envoys are back: nodes are told without them");
  }
  server->admit_nodes();
}

void App::State::publish(const source::Batch& batch) {
  const auto start = Clock::now();
  world.at(start);
  const translate::Changes changes = world.apply(batch);
  nodes.apply(
      world.placements());  // before the push: whoever hears of a pod may ask for its certificate
  directory.take(changes);
  picture.take(changes);
  const std::uint64_t generation = cache.apply(ztunnel::make_update(changes));
  ++gauges.translate_generation;
  gauges.translate_problems = world.problems();
  if (server) server->wake();
  envoys->take(changes);
  envoys->observed(batch);
  const auto took = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - start);
  gauges.last_change_to_push_us = static_cast<std::uint64_t>(took.count());
  spdlog::info("configuration changed upserts={} deletes={} generation={} plans={} took_us={}",
               batch.upserts.size(), batch.deletes.size(), generation, changes.plans.size(),
               took.count());
}

// Another replica's rotation. True: the authority is another now.
bool App::State::refresh_state() {
  if (!cluster || Clock::now() < next_refresh_) return false;
  next_refresh_ = Clock::now() + kStateRefresh;
  const auto news = cluster->refresh_state();
  const std::string trouble = news ? "" : news.error().text;
  if (trouble != refresh_trouble_ && !trouble.empty())
    spdlog::warn("the CA's state in the cluster cannot be read: {}", trouble);
  refresh_trouble_ = trouble;
  if (!news) return false;
  if (!*news) return false;
  if (auto bad = authority->reload()) {
    spdlog::error("the CA's state in the cluster is not taken: {}", bad->text);
    return false;
  }
  spdlog::info("root state taken over from another replica phase=\"{}\"",
               ca::to_string(authority->info().phase));
  return true;
}

void App::State::tick() {
  const auto now = WallClock::now();
  const bool taken = refresh_state();
  const bool moves = !cluster || cluster->may_rotate();
  const bool moved = moves && authority->tick(now);
  if (moved)
    spdlog::info("root rotation moved phase=\"{}\"", ca::to_string(authority->info().phase));
  const bool stale = now >= serving_.not_before + (serving_.not_after - serving_.not_before) / 2;
  if (moved || taken || stale) {
    if (auto bad = serve_certificate()) spdlog::error("serving certificate: {}", bad->text);
  }
  gauges.ca_phase = static_cast<int>(authority->info().phase);
  const auto trouble = tokens ? tokens->trouble() : std::nullopt;
  const std::string text = trouble ? trouble->text : "";
  if (text != tokens_trouble_ && !text.empty()) spdlog::error("tokens: {}", text);
  tokens_trouble_ = text;
  if (const auto roots = ca::read_file(authority->bundle_path())) envoys->tick(*roots);
  publish_state();
}

json App::State::ca_info() const {
  json out = ca_answer(authority->info(), counters);
  out["trustDomain"] = config.trust_domain;
  out["certificateTtlSeconds"] = config.certificate_ttl.count();
  return out;
}

json App::State::rotate() {
  if (cluster && !cluster->may_rotate())
    return {{"error", "another replica leads: it rotates the roots"}};
  const auto phase = authority->rotate(WallClock::now());
  if (!phase) return {{"error", phase.error().text}};
  spdlog::info("root rotation moved phase=\"{}\"", ca::to_string(*phase));
  publish_state();
  if (auto bad = serve_certificate()) return {{"error", bad->text}};
  return ca_info();
}

// {"cmd":"issue","ns":…,"sa":…}: a workload's identity for tests and for talking to a node by hand.
json App::State::issue(const json& request) {
  auto text = [&](const char* key) {
    return request.contains(key) && request[key].is_string() ? request[key].get<std::string>() : "";
  };
  const mesh::Identity identity{config.trust_domain, text("ns"), text("sa")};
  if (mesh::Identity::parse(identity.str()) != identity)
    return {{"error", "ns and sa must name a service account"}};
  const auto minted = authority->mint(identity, WallClock::now());
  if (!minted) return {{"error", minted.error().text}};
  spdlog::warn("identity given out by the API identity={}", identity.str());
  return {{"identity", identity.str()},
          {"key", minted->key},
          {"chain", minted->chain},
          {"roots", minted->roots}};
}

// {"cmd":"explain","source":…,"destination":…}: explain/explain.h.
json App::State::explain(const json& request) {
  const auto query = explain::read_query(request);
  if (!query) return {{"error", query.error().text}};
  auto answer = explain::explain(world, picture.snapshot(), *query, WallClock::now());
  return answer ? std::move(*answer) : json{{"error", answer.error().text}};
}

std::string App::State::answer(const std::string& request, bool trusted) {
  const json parsed = json::parse(request, nullptr, false);
  const std::string command =
      parsed.is_object() && parsed.contains("cmd") && parsed["cmd"].is_string()
          ? parsed["cmd"].get<std::string>()
          : "";
  json out{{"error",
            "unknown command, known: status, clients, ca, explain, rotate-root, issue, healthz"}};
  if (command == "status")
    out = status_answer(world, *objects, gauges, cache, cluster ? cluster->leads() : std::nullopt);
  if (command == "clients") out = clients_answer(server->clients(), cache.generation());
  if (command == "ca") out = ca_info();
  if (command == "explain") out = explain(parsed);
  if (command == "healthz") out = {{"ok", true}, {"version", WEFT_VERSION}};
  if (command == "rotate-root" || command == "issue") {
    out = !trusted             ? json{{"error", command + " is only for the Unix socket"}}
          : command == "issue" ? issue(parsed)
                               : rotate();
  }
  return out.dump(-1, ' ', false, json::error_handler_t::replace);
}

App::App(std::unique_ptr<State> state) : state_(std::move(state)) {}
App::~App() = default;

Parsed<std::unique_ptr<App>> App::start(const Config& config) {
  auto state = std::make_unique<State>(config);
  if (auto bad = state->start()) return std::unexpected(*bad);
  return std::unique_ptr<App>(new App(std::move(state)));
}

void App::run() {
  auto next_tick = Clock::now();
  for (;;) {
    std::vector<pollfd> interest = {{.fd = state_->signals.get(), .events = POLLIN},
                                    {.fd = state_->objects->fd(), .events = POLLIN},
                                    {.fd = state_->envoys->wake_fd(), .events = POLLIN}};
    if (state_->api) state_->api->interest(interest);
    const auto wait = std::chrono::ceil<std::chrono::milliseconds>(next_tick - Clock::now());
    ::poll(interest.data(), interest.size(), std::max(0, static_cast<int>(wait.count())));
    if ((interest[0].revents & POLLIN) != 0) break;
    if ((interest[1].revents & POLLIN) != 0) state_->turn();
    if ((interest[2].revents & POLLIN) != 0) state_->moved();
    if (state_->api) state_->api->turn();
    state_->admit_envoys();
    state_->admit_nodes();
    if (Clock::now() < next_tick) continue;
    state_->tick();
    next_tick = Clock::now() + kTick;
  }
  spdlog::info("stopping");
}

}  // namespace weft::controlplane
