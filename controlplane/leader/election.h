// Election: who of several control planes writes, by a Lease of the API server, as a value: no I/O,
// no clock. The driver makes the calls that next() names and tells the answers.
//
//   kFollowing ─the lease is ours (taken free, expired, or new)→ kLeading
//        ↑────────── another's name in it, or kRenewMost without a renewal ──────────┘
//
// One writer at any time: a leader stops writing kRenewMost after the *start* of its last good
// renewal; others take the lease kLeaseLife after they last *saw* it change, by their own monotonic
// clock. What was sent before the first and arrives before the second is all that is under way.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "base/clock.h"

namespace weft::controlplane::leader {

inline constexpr std::chrono::seconds kLeaseLife{15};
inline constexpr std::chrono::seconds kRenewMost{10};
inline constexpr std::chrono::seconds kRenewEvery{2};
inline constexpr std::chrono::seconds kLookEvery{1};

struct LeaseCall {
  enum class Kind : std::uint8_t { kGet, kCreate, kReplace } kind = Kind::kGet;
  std::string body;  // of kCreate and kReplace
};

class Election {
 public:
  Election(std::string ns, std::string name, std::string me);
  Election(const Election&) = delete;
  Election& operator=(const Election&) = delete;
  ~Election();

  // Not before this.
  Clock::time_point due() const { return due_; }
  // The call to make now. `wall` goes into the lease, for people.
  LeaseCall next(Clock::time_point now, WallClock::time_point wall);
  // Its answer. `status` 0: none. An answer that is no Lease is as good as none.
  void answer(long status, const std::string& body, Clock::time_point now);
  // Gives the lease up: the call that says so; nothing when it is not ours.
  std::optional<LeaseCall> resign(WallClock::time_point wall) const;

  // Until when we may write; in the past when we may not.
  Clock::time_point leads_until() const { return leads_until_; }
  const std::string& holder() const { return holder_; }  // as last seen

 private:
  nlohmann::json lease(WallClock::time_point wall, bool taking) const;
  void see(const nlohmann::json& lease, Clock::time_point now);

  const std::string ns_, name_, me_;
  Clock::time_point due_{}, leads_until_{};
  std::string holder_, version_;  // the lease's resourceVersion; empty: there is no lease
  bool known_ = false;            // version_ is of the last look, no call has failed since
  Clock::time_point seen_{};      // when the version was another the last time
  std::int64_t transitions_ = 0;
  std::string acquired_;  // RFC 3339, of our leadership
  Clock::time_point asked_{};
  LeaseCall::Kind asked_kind_ = LeaseCall::Kind::kGet;
};

}  // namespace weft::controlplane::leader
