// Reviewer: whose bearer token it is, as the API server says (TokenReview). Blocks the calling
// thread for as long as the API server takes, kReviewMost at most. Any thread (one lock).
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>

#include "controlplane/ca/callers.h"

namespace weft::controlplane::ca {

struct ReviewerOptions {
  std::string audience = "weft-ca";
  // "NAMESPACE/NAME" of the service accounts whose pods speak for their node; all others speak for
  // themselves alone.
  std::set<std::string> node_accounts = {"weft-system/weft-node"};
  // POSTs a TokenReview and gives the answer's body; nothing when there was no good answer.
  std::function<std::optional<std::string>(const std::string& body)> ask;
};

class Reviewer : public TokenCheck {
 public:
  static constexpr std::chrono::seconds kKept{10};    // what the API server said of a good token
  static constexpr std::chrono::seconds kKeptBad{2};  // … of another, or that it said nothing
  static constexpr std::size_t kKeptMax = 4096;

  Reviewer(std::string trust_domain, ReviewerOptions options);
  std::optional<Caller> find(const std::string& token, WallClock::time_point now) override;

  // The caller that the answer tells of; nothing when the token is not good for us: not
  // authenticated, of another audience, of no pod.
  static std::optional<Caller> read(const std::string& answer, const std::string& trust_domain,
                                    const ReviewerOptions& options);

 private:
  struct Known {
    std::optional<Caller> caller;
    WallClock::time_point until;
  };
  const std::string trust_domain_;
  const ReviewerOptions options_;
  std::mutex mutex_;
  std::map<std::string, Known> known_;  // by SHA-256 of the token: no secret is kept
};

}  // namespace weft::controlplane::ca
