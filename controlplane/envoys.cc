#include "controlplane/envoys.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "base/log.h"
#include "controlplane/deploy/status.h"

namespace weft::controlplane {
namespace {

constexpr auto kLeavesAfter = std::chrono::seconds(2);

translate::Progress convert(const envoy::Progress& progress) {
  const auto one = [](const envoy::ServiceProgress& from) {
    translate::Progress::One to{
        .state = translate::Progress::State::kPending, .served = from.served, .text = from.text};
    if (from.state == envoy::ServiceState::kAcked) to.state = translate::Progress::State::kAcked;
    if (from.state == envoy::ServiceState::kRejected)
      to.state = translate::Progress::State::kRejected;
    return to;
  };
  translate::Progress out{.connected = progress.connected, .services = {}, .listeners = {}};
  for (const auto& [name, from] : progress.services) out.services[name] = one(from);
  for (const auto& [name, from] : progress.listeners) out.listeners[name] = one(from);
  return out;
}

}  // namespace

Envoys::Envoys(const Config& config, const ca::EnvoyTokens& tokens, translate::World& world)
    : config_(config),
      tokens_(tokens),
      world_(world),
      wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  settings_.server = config.envoy_server;
  settings_.server_name = "weft-controlplane.weft-system.svc";
}

Envoys::~Envoys() = default;

Parsed<std::unique_ptr<Envoys>> Envoys::start(const Config& config, xds::Fleet& fleet,
                                              const ca::EnvoyTokens& tokens,
                                              translate::World& world,
                                              std::unique_ptr<deploy::Outcome> outcome) {
  std::unique_ptr<Envoys> envoys(new Envoys(config, tokens, world));
  envoys->outcome_ = std::move(outcome);
  auto* self = envoys.get();
  envoys->feed_ = std::make_unique<envoy::Feed>(
      envoy::Settings{.trust_domain = config.trust_domain,
                      .cluster_id = config.cluster_id,
                      .tracing = config.tracing},
      fleet, [&tokens](const std::string& id) { return tokens.make(id); });
  envoys->feed_->on_change([self](const std::string& id) { self->note(id); });
  envoys->fetcher_ = std::make_unique<jwks::Fetcher>(
      jwks::Timing{}, [self](const std::string& uri, const Parsed<std::string>& keys) {
        {
          const std::scoped_lock lock(self->mutex_);
          self->fetched_.insert_or_assign(uri, keys);
        }
        self->note("");
      });
  return envoys;
}

void Envoys::note(const std::string& plan_id) {
  if (!plan_id.empty()) {
    const std::scoped_lock lock(mutex_);
    moved_.insert(plan_id);
  }
  const std::uint64_t one = 1;
  (void)!::write(wake_.get(), &one, sizeof one);
}

void Envoys::take(const translate::Changes& changes) {
  for (const model::Plan& plan : changes.plans) {
    feed_->set(plan);
    told_.erase(plan.id);  // what was said was about the plan before
    const std::scoped_lock lock(mutex_);
    moved_.insert(plan.id);
  }
  for (const std::string& id : changes.removed_plans) {
    feed_->remove(id);
    told_.erase(id);
  }
  // The first time none may be wanted: then what a former life made goes.
  if (changes.gateways || !planned_)
    gateways(changes.gateways.value_or(std::vector<translate::DesiredGateway>{}));
  planned_ = true;
  if (changes.jwks_uris) fetcher_->want(*changes.jwks_uris);
  if (!changes.statuses.empty()) write_statuses(changes.statuses);
  if (!changes.plans.empty()) note("");
}

bool Envoys::collect() {
  std::uint64_t count = 0;
  (void)!::read(wake_.get(), &count, sizeof count);
  std::set<std::string> moved;
  std::map<std::string, Parsed<std::string>> fetched;
  {
    const std::scoped_lock lock(mutex_);
    moved.swap(moved_);
    fetched.swap(fetched_);
  }
  const auto now = Clock::now();
  const auto due = world_.deadline();
  world_.at(now);
  bool news = !fetched.empty() || (due && *due <= now);
  for (const auto& [uri, keys] : fetched) {
    if (!keys) spdlog::warn("key set not fetched: {}", keys.error().text);
    world_.fetched(uri, keys);
  }
  for (const std::string& id : moved) {
    const translate::Progress progress = convert(feed_->progress(id));
    if (told_.contains(id) && told_[id] == progress) continue;
    told_[id] = progress;
    world_.served(id, progress);
    news = true;
  }
  return news;
}

void Envoys::plan(const translate::DesiredGateway& gateway, deploy::Envoy& out) const {
  out.gateway = gateway.kind == model::Plan::Kind::kGateway;
  out.ns = gateway.ns;
  out.name = gateway.name;
  out.id = gateway.plan_id;
  out.token = tokens_.make(gateway.plan_id);
  out.pod_labels = gateway.pod_labels;
  if (!out.gateway) return;
  for (const std::uint16_t port : gateway.ports)
    out.ports.push_back({"port-" + std::to_string(port), port});
}

void Envoys::gateways(const std::vector<translate::DesiredGateway>& all) {
  std::set<std::string> wanted;
  for (const translate::DesiredGateway& gateway : all) {
    wanted.insert(gateway.plan_id);
    leaving_.erase(gateway.plan_id);
    deploy::Envoy envoy;
    plan(gateway, envoy);
    if (!running_.contains(gateway.plan_id))
      spdlog::info("wanted: {} because of {}", gateway.plan_id, gateway.reason);
    running_[gateway.plan_id] = std::move(envoy);
  }
  // World has taken traffic off it, and drained it, before it stopped wanting it.
  const auto until = Clock::now() + kLeavesAfter;
  for (const auto& [id, envoy] : running_) {
    if (wanted.contains(id) || leaving_.contains(id)) continue;
    spdlog::info("no longer wanted: {}", id);
    leaving_[id] = until;
  }
  write_objects();
}

void Envoys::tick(const std::string& roots_pem) {
  bool changed = false;
  const auto due = world_.deadline();
  if (due && *due <= Clock::now()) note("");  // something has lingered long enough
  if (roots_pem != settings_.roots_pem) {
    settings_.roots_pem = roots_pem;
    changed = !running_.empty();
  }
  std::erase_if(leaving_, [&](const auto& one) {
    if (one.second > Clock::now()) return false;
    running_.erase(one.first);
    return changed = true;
  });
  if (changed) write_objects();
}

void Envoys::write_objects() {
  if (outcome_ == nullptr || config_.envoy_server.empty() || settings_.roots_pem.empty()) return;
  std::vector<nlohmann::json> all;
  for (const auto& [id, envoy] : running_) {
    for (auto& object : deploy::manifests(envoy, settings_)) all.push_back(std::move(object));
  }
  if (auto bad = outcome_->objects(all)) spdlog::error("deployments: {}", bad->text);
}

void Envoys::write_statuses(const std::vector<source::ObjectKey>& keys) {
  if (outcome_ == nullptr) return;
  std::vector<deploy::StatusPatch> changed;
  std::vector<source::ObjectKey> gone;
  for (const source::ObjectKey& key : keys) {
    if (const translate::ObjectStatus* status = world_.status(key)) {
      changed.push_back(deploy::status_patch(*status));
    } else {
      gone.push_back(key);
    }
  }
  if (auto bad = outcome_->statuses(changed, gone)) spdlog::error("statuses: {}", bad->text);
}

}  // namespace weft::controlplane
