#include "agent/arrivals.h"

#include <algorithm>

namespace weft::agent {

bool Arrivals::note(Arrival arrival, Clock::time_point now) {
  std::ranges::sort(arrival.ips);
  const auto [at, fresh] = known_.try_emplace(arrival.uid);
  const bool same = !fresh && at->second.arrival.netns == arrival.netns && at->second.arrival.ips == arrival.ips;
  at->second = {std::move(arrival), now};
  if (known_.size() > kMost) {
    known_.erase(std::ranges::min_element(known_, {}, [](const auto& item) { return item.second.asked_at; }));
  }
  return !same;
}

const Arrival* Arrivals::find(const std::string& uid) const {
  const auto at = known_.find(uid);
  return at == known_.end() ? nullptr : &at->second.arrival;
}

std::vector<IpAddress> Arrivals::ips_of(const std::string& uid) const {
  const Arrival* arrival = find(uid);
  return arrival == nullptr ? std::vector<IpAddress>() : arrival->ips;
}

void Arrivals::forget_old(Clock::time_point now) {
  std::erase_if(known_, [now](const auto& item) { return now - item.second.asked_at > kRemembered; });
}

Result<Netns> ArrivalFinder::find(const DesiredPod& pod) {
  const Arrival* arrival = arrivals_.find(pod.uid);
  if (arrival == nullptr || arrival->netns.empty()) return otherwise_->find(pod);
  auto found = open_if_holds(arrival->netns, pod.ips);
  return found ? std::move(found) : otherwise_->find(pod);
}

}  // namespace weft::agent
