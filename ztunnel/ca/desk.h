// Desk: which identity is asked for next, and when again. Pure: time and chance are arguments. Not thread-safe.
//
//   kPlanned ─due, want→ kQueued ─next→ kInFlight ─succeeded: half of what is left; failed: backoff→ kPlanned
//
// Source: ambient-protocol facts §6.4.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "mesh/identity.h"

namespace weft::ca {

// In the order of urgency: a connection waits; a pod was seen; a certificate gets old.
enum class Priority : std::uint8_t { kConnection, kWarmup, kRefresh };

class Desk {
 public:
  using Time = WallClock::time_point;
  using Random = std::function<double()>;  // uniform in [0, 1)

  static constexpr std::size_t kInFlightMax = 8;
  static constexpr auto kRetryMin = std::chrono::milliseconds(500);
  static constexpr auto kRetryMax = std::chrono::seconds(30);

  explicit Desk(Random random) : random_(std::move(random)) {}

  // Queues it, or moves it forward. While it backs off after a failure only kConnection is heard, and not before kRetryMin is over.
  void want(const mesh::Identity& identity, Priority priority, Time now);
  // Planned by the life of a certificate that is there already (from disk): at its half, or now.
  void adopt(const mesh::Identity& identity, Time not_before, Time not_after, Time now);
  void drop(const mesh::Identity& identity);
  bool has(const mesh::Identity& identity) const { return entries_.contains(identity); }
  // Refreshes everything within `spread`.
  void refresh_all(Time now, WallClock::duration spread);

  // Queues what is due, and takes the most urgent if fewer than kInFlightMax are in flight.
  std::optional<mesh::Identity> next(Time now);
  // The answer for one that next() gave. False: it was dropped meanwhile.
  bool succeeded(const mesh::Identity& identity, Time not_after, Time now);
  bool failed(const mesh::Identity& identity, Time now);

  // When the next planned one is due; nullopt: nothing planned.
  std::optional<Time> wake_at() const;
  std::size_t in_flight() const { return in_flight_; }
  std::vector<mesh::Identity> identities() const;

 private:
  enum class State : std::uint8_t { kPlanned, kQueued, kInFlight };
  struct Entry {
    State state = State::kPlanned;
    Priority priority = Priority::kRefresh;
    std::uint64_t order = 0;  // among equals: first come, first served
    Time due{};
    Time not_before_retry{};
    unsigned failures = 0;
    bool again = false;  // wanted (roots changed) while in flight
  };

  std::map<mesh::Identity, Entry> entries_;
  std::size_t in_flight_ = 0;
  std::uint64_t next_order_ = 0;
  const Random random_;
};

}  // namespace weft::ca
