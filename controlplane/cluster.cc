#include "controlplane/cluster.h"

#include <unistd.h>

#include <cstdio>
#include <random>
#include <utility>

#include "base/log.h"
#include "controlplane/deploy/kube.h"
#include "controlplane/translate/world.h"
#include "source/kube/source.h"

namespace weft::controlplane {
namespace {

constexpr auto kReviewMost = std::chrono::seconds(3);

// Unlike every other replica, and every former life of this one.
std::string replica_name() {
  char host[256] = "weft-controlplane";
  ::gethostname(host, sizeof host - 1);
  std::random_device chance;
  char suffix[16];
  std::snprintf(suffix, sizeof suffix, "_%08x", chance());
  return std::string(host) + suffix;
}

// "NAMESPACE/NAME".
std::pair<std::string, std::string> parts_of(const std::string& name) {
  const auto slash = name.find('/');
  return {name.substr(0, slash), name.substr(slash + 1)};
}

}  // namespace

Parsed<std::unique_ptr<Cluster>> Cluster::open(const Config& config) {
  std::unique_ptr<Cluster> out(new Cluster(config));
  if (auto bad = out->find()) return std::unexpected(*bad);
  return out;
}

std::optional<Problem> Cluster::find() {
  auto access = source::kube::find_access(config_.kubeconfig);
  if (!access) return Problem{"--source: " + access.error().text};
  access_ = std::move(*access);
  if (config_.state_secret.empty()) return std::nullopt;
  state_client_ = std::make_unique<source::kube::Client>(access_);
  const auto [ns, secret] = parts_of(config_.state_secret);
  shared_state_.emplace(ca::SharedStateOptions{
      .ns = ns,
      .secret = secret,
      .state_dir = config_.state_dir,
      .call = [this](const source::kube::Call& call) { return state_client_->call(call); }});
  return shared_state_->fetch();
}

Parsed<std::unique_ptr<source::Source>> Cluster::source() const {
  auto opened = source::kube::KubeSource::open({.access = access_,
                                                .resources = source::kube::controlplane_resources(),
                                                .admit = translate::admit});
  if (!opened) return problem("--source: " + opened.error().text);
  return std::move(*opened);
}

ca::Reviewer& Cluster::reviewer() {
  if (reviewer_) return *reviewer_;
  review_client_ = std::make_unique<source::kube::Client>(access_);
  const auto ask = [this](const std::string& body) -> std::optional<std::string> {
    const auto reply = review_client_->call({.method = "POST",
                                             .path = "/apis/authentication.k8s.io/v1/tokenreviews",
                                             .body = body,
                                             .limit = kReviewMost});
    if (reply.ok()) return reply.body;
    spdlog::warn("TokenReview: {}", reply.describe());
    return std::nullopt;
  };
  reviewer_ = std::make_unique<ca::Reviewer>(
      config_.trust_domain, ca::ReviewerOptions{.audience = config_.token_audience,
                                                .node_accounts = {config_.node_accounts.begin(),
                                                                  config_.node_accounts.end()},
                                                .ask = ask});
  return *reviewer_;
}

std::unique_ptr<deploy::Outcome> Cluster::outcome() {
  const auto [ns, name] = parts_of(config_.lease);
  elector_ = std::make_unique<leader::Elector>(
      leader::ElectorOptions{.access = access_,
                             .ns = ns,
                             .name = name,
                             .me = config_.replica.empty() ? replica_name() : config_.replica});
  return deploy::kube_outcome({.access = access_,
                               .resources = source::kube::controlplane_resources(),
                               .term = [this] { return elector_->term(); }});
}

std::optional<bool> Cluster::leads() const {
  if (!elector_) return std::nullopt;
  return elector_->term() != 0;
}

std::optional<Problem> Cluster::publish_state() {
  return shared_state_ ? shared_state_->publish() : std::nullopt;
}

Parsed<bool> Cluster::refresh_state() {
  if (!shared_state_) return false;
  return shared_state_->refresh();
}

}  // namespace weft::controlplane
