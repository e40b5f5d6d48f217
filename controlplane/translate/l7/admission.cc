#include "controlplane/translate/l7/admission.h"

#include <algorithm>

namespace weft::controlplane::translate::l7 {
namespace {

constexpr std::size_t kVersionsMax = 16;

using State = Progress::State;

// The worst of a host's ports; kAcked with none of them known would be a lie.
State state_of(const Progress& progress, const std::vector<std::string>& ports) {
  State out = State::kAcked;
  for (const std::string& port : ports) {
    const auto found = progress.services.find(port);
    const State one = found == progress.services.end() ? State::kPending : found->second.state;
    if (one == State::kPending) return one;
    if (one == State::kRejected) out = one;
  }
  return ports.empty() ? State::kPending : out;
}

bool is_listed(const Progress& progress, const std::string& host) {
  const auto found = progress.services.lower_bound(host + ":");
  return found != progress.services.end() && found->first.starts_with(host + ":");
}

}  // namespace

void Admissions::given(const std::string& plan_id, std::map<std::string, Version> services) {
  Of& of = plans_[plan_id];
  for (auto& [host, service] : of.services) {
    if (!services.contains(host)) of.leaving[host] = std::move(service);
  }
  std::erase_if(of.services, [&](const auto& entry) { return !services.contains(entry.first); });
  for (auto& [host, version] : services) {
    Service& service = of.services[host];
    if (const auto back = of.leaving.find(host); back != of.leaving.end()) {
      service = std::move(back->second);
      of.leaving.erase(back);
    }
    if (!service.possible.empty() && service.current == version) continue;
    service.current = version;
    if (std::find(service.possible.begin(), service.possible.end(), version) ==
        service.possible.end())
      service.possible.push_back(std::move(version));
    // Too many changes unanswered: the oldest are as good as one that enforces nothing.
    if (service.possible.size() > kVersionsMax) {
      service.possible.erase(service.possible.begin());
      service.possible.front().policies.clear();
    }
  }
}

void Admissions::served(
    const std::string& plan_id, const Progress& progress,
    const std::function<std::vector<std::string>(const std::string& host)>& ports_of) {
  const auto found = plans_.find(plan_id);
  if (found == plans_.end()) return;
  Of& of = found->second;
  of.connected = progress.connected;
  bool all = progress.connected;
  for (auto& [host, service] : of.services) {
    service.state = state_of(progress, ports_of(host));
    if (!progress.connected) continue;
    all = all && service.state != State::kPending;
    if (service.state == State::kAcked) service.possible = {service.current};
    if (service.state == State::kRejected && !of.known)
      service.possible = {service.current, {.policies = {}, .reach = service.current.reach}};
  }
  std::erase_if(of.leaving, [&](const auto& entry) {
    return progress.connected && !is_listed(progress, entry.first);
  });
  of.known = of.known || all;
}

bool Admissions::blocks(const Of& of, const Service& service, const std::string& policy,
                        std::uint64_t hash,
                        const std::function<bool(const std::string&)>& covers) const {
  const bool moving = of.connected && service.state != State::kRejected;
  return std::any_of(service.possible.begin(), service.possible.end(), [&](const Version& one) {
    const auto enforced = one.policies.find(policy);
    if (enforced != one.policies.end() && (enforced->second == hash || moving)) return false;
    return std::any_of(one.reach.begin(), one.reach.end(), covers);
  });
}

std::vector<std::string> Admissions::admitted(
    const std::string& policy, std::uint64_t hash,
    const std::function<bool(const std::string& host)>& covers) const {
  std::vector<std::string> out;
  for (const auto& [plan_id, of] : plans_) {
    if (!of.known) continue;
    bool any = false, blocked = false;
    for (const auto& [host, service] : of.services) {
      any = any || service.current.policies.contains(policy);
      blocked = blocked || blocks(of, service, policy, hash, covers);
    }
    for (const auto& [host, service] : of.leaving)
      blocked = blocked || blocks(of, service, policy, hash, covers);
    if (any && !blocked) out.push_back(plan_id);
  }
  return out;
}

bool Admissions::is_known(const std::string& plan_id) const {
  const auto found = plans_.find(plan_id);
  return found != plans_.end() && found->second.known;
}

}  // namespace weft::controlplane::translate::l7
