// Who may ask for which identity. TokenCheck: who a bearer token speaks for (Tokens: a file says
// it). NodeAuthorizer: which identities live on a node. Any thread (one lock each).
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "controlplane/translate/world.h"
#include "mesh/identity.h"

namespace weft::controlplane::ca {

// Who called. `any_node`: an operator's token (node "*"), which may have any identity of the trust
// domain.
struct Caller {
  std::string node;
  bool any_node = false;
  std::optional<mesh::Identity> identity;  // of a client certificate, or given for the token
  // Of a token that is bound to a pod, "ns/name" and UID: good as long as that very pod runs (on
  // `node`, where it speaks for one).
  std::string pod, pod_uid;
  bool operator==(const Caller&) const = default;
};

class TokenCheck {
 public:
  virtual ~TokenCheck() = default;
  // Nothing: not a good token. May block. Any thread.
  virtual std::optional<Caller> find(const std::string& token, WallClock::time_point now) = 0;
};

// A YAML list of {token, node, expires?, identity?}; `expires` is RFC 3339 UTC. Read again when the
// file changes; a broken file keeps the tokens that were there.
class Tokens : public TokenCheck {
 public:
  static Parsed<std::map<std::string, std::pair<Caller, WallClock::time_point>>> parse(
      const std::string& text, const std::string& file);

  explicit Tokens(std::string path) : path_(std::move(path)) {}
  // The file as it is now must be good.
  std::optional<Problem> load();
  std::optional<Caller> find(const std::string& token, WallClock::time_point now) override;
  std::optional<Problem> trouble() const;  // why the last reload failed

 private:
  std::optional<Problem> load_locked();
  bool changed();

  const std::string path_;
  mutable std::mutex mutex_;
  std::map<std::string, std::pair<Caller, WallClock::time_point>> tokens_;
  std::optional<Problem> trouble_;
  struct Stamp {
    std::uint64_t inode = 0, size = 0;
    std::int64_t seconds = 0, nanoseconds = 0;
    bool operator==(const Stamp&) const = default;
  } stamp_;
};

class NodeAuthorizer {
 public:
  explicit NodeAuthorizer(std::string trust_domain) : trust_domain_(std::move(trust_domain)) {}
  void apply(const std::vector<translate::Placement>& placements);

  // Nothing when `caller` may have `wanted`; else the reason. `impersonated`: asked for on behalf
  // of a pod.
  std::optional<Problem> refuse(const Caller& caller, const mesh::Identity& wanted) const;

 private:
  const std::string trust_domain_;
  mutable std::mutex mutex_;
  std::map<std::string, translate::Placement> pods_;                       // by "ns/name"
  std::map<std::pair<std::string, std::string>, std::size_t> identities_;  // (node, "ns/sa") → pods
  std::map<std::string, std::size_t> accounts_;                            // "ns/sa" → pods
};

}  // namespace weft::controlplane::ca
