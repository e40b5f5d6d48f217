#include "ztunnel/ca/desk.h"

#include <algorithm>
#include <utility>

namespace weft::ca {
namespace {

WallClock::duration scaled(WallClock::duration base, double factor) {
  return std::chrono::duration_cast<WallClock::duration>(base * factor);
}

}  // namespace

void Desk::want(const mesh::Identity& identity, Priority priority, Time now) {
  const auto [it, is_new] = entries_.try_emplace(identity);
  Entry& entry = it->second;
  if (entry.state == State::kInFlight) return;
  if (entry.state == State::kQueued) {
    entry.priority = std::min(entry.priority, priority);
    return;
  }
  entry.priority = is_new ? priority : std::min(entry.priority, priority);
  entry.order = next_order_++;
  if (entry.failures == 0) {
    entry.state = State::kQueued;
    entry.due = now;
  } else if (priority == Priority::kConnection) {
    entry.due = std::min(entry.due, std::max(now, entry.not_before_retry));
  }
}

void Desk::adopt(const mesh::Identity& identity, Time not_before, Time not_after, Time now) {
  Entry& entry = entries_[identity];
  const auto half = not_before + (not_after - not_before) / 2;
  entry.due = std::max(half, now);
  entry.priority = Priority::kRefresh;
}

void Desk::drop(const mesh::Identity& identity) {
  const auto it = entries_.find(identity);
  if (it == entries_.end()) return;
  if (it->second.state == State::kInFlight) --in_flight_;
  entries_.erase(it);
}

void Desk::refresh_all(Time now, WallClock::duration spread) {
  for (auto& [identity, entry] : entries_) {
    if (entry.state == State::kInFlight) entry.again = true;
    if (entry.state != State::kPlanned) continue;
    entry.due = std::min(entry.due, now + scaled(spread, random_()));
  }
}

std::optional<mesh::Identity> Desk::next(Time now) {
  const mesh::Identity* best = nullptr;
  Entry* best_entry = nullptr;
  for (auto& [identity, entry] : entries_) {
    if (entry.state == State::kPlanned && entry.due <= now) {
      entry.state = State::kQueued;
      entry.order = next_order_++;
    }
    if (entry.state != State::kQueued) continue;
    const bool better = best_entry == nullptr || entry.priority < best_entry->priority ||
                        (entry.priority == best_entry->priority && entry.order < best_entry->order);
    if (!better) continue;
    best = &identity;
    best_entry = &entry;
  }
  if (best == nullptr || in_flight_ >= kInFlightMax) return std::nullopt;
  best_entry->state = State::kInFlight;
  ++in_flight_;
  return *best;
}

bool Desk::succeeded(const mesh::Identity& identity, Time not_after, Time now) {
  const auto it = entries_.find(identity);
  if (it == entries_.end() || it->second.state != State::kInFlight) return false;
  --in_flight_;
  Entry& entry = it->second;
  entry.state = State::kPlanned;
  entry.failures = 0;
  entry.priority = Priority::kRefresh;
  // Half of what is left, a little earlier: certificates are backdated, so their own half may lie in the past.
  const auto left = std::max(not_after - now, WallClock::duration::zero());
  entry.due = std::exchange(entry.again, false)
                  ? now
                  : now + std::max<WallClock::duration>(scaled(left / 2, 0.9 + 0.1 * random_()), kRetryMin);
  return true;
}

bool Desk::failed(const mesh::Identity& identity, Time now) {
  const auto it = entries_.find(identity);
  if (it == entries_.end() || it->second.state != State::kInFlight) return false;
  --in_flight_;
  Entry& entry = it->second;
  entry.state = State::kPlanned;
  entry.again = false;
  const unsigned doublings = std::min(entry.failures++, 10u);
  const auto base = std::min<WallClock::duration>(kRetryMin * (1u << doublings), kRetryMax);
  entry.due = now + scaled(base, 0.8 + 0.4 * random_());
  entry.not_before_retry = now + kRetryMin;
  entry.priority = Priority::kWarmup;
  return true;
}

std::optional<Desk::Time> Desk::wake_at() const {
  std::optional<Time> out;
  for (const auto& [identity, entry] : entries_) {
    if (entry.state == State::kPlanned && (!out || entry.due < *out)) out = entry.due;
  }
  return out;
}

std::vector<mesh::Identity> Desk::identities() const {
  std::vector<mesh::Identity> out;
  for (const auto& [identity, entry] : entries_) out.push_back(identity);
  return out;
}

}  // namespace weft::ca
