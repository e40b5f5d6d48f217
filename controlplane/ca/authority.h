// Authority: the mesh's certificate authority and its roots. State lives in a directory and
// survives a crash at any moment:
//   ca.json                    which roots there are and the phase; written last, atomically
//   root-N-key.pem, root-N-cert.pem   0600
//   root-cert.pem              the bundle that everybody trusts now, rewritten atomically
//   serving-key.pem, serving-cert.pem   the control plane's own
// Rotation overlaps:  kSteady(A) ─start→ kTrustNew(A signs, A+B trusted) ─ttl→ kSignNew(B signs,
// A+B trusted) ─ttl→ kSteady(B) Each step waits one certificate lifetime, so that nobody holds a
// leaf, or trusts a bundle, of the step before. Any thread (one lock).
#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "mesh/identity.h"

namespace weft::controlplane::ca {

struct AuthorityOptions {
  std::string state_dir;
  std::string trust_domain = "cluster.local";
  std::chrono::seconds certificate_ttl = std::chrono::hours(24);  // at most 24 h
  std::string root_cert, root_key;  // PEM files of a given root; empty: self-made
};

enum class Phase : std::uint8_t { kSteady, kTrustNew, kSignNew };
const char* to_string(Phase phase);  // "A", "A+B", "A+B signing B"

struct CaInfo {
  Phase phase = Phase::kSteady;
  WallClock::time_point since;  // of the phase
  struct Root {
    int number = 0;
    std::string fingerprint;
    WallClock::time_point not_before, not_after;
    bool signs = false;
  };
  std::vector<Root> roots;
};

// PEM. chain: leaf, then intermediates if any; roots: the bundle.
struct Issued {
  std::vector<std::string> chain;
  std::string roots;
  WallClock::time_point not_before, not_after;
};
// Files in the state directory.
struct Serving {
  std::string chain_path, key_path;
  WallClock::time_point not_before, not_after;
};

class Authority {
 public:
  static constexpr std::chrono::seconds kTtlMax = std::chrono::hours(24);

  // Loads the state directory, or makes (or takes) the first root.
  static Parsed<std::unique_ptr<Authority>> open(AuthorityOptions options,
                                                 WallClock::time_point now);
  ~Authority();

  // Signs a request for `identity`, which the caller has authorised. The request's one SAN must be
  // exactly that identity. Lives min(asked, configured), never beyond the signer; asked ≤ 0 means
  // configured. NotBefore lies a tenth of the life (at most 60 s) in the past.
  Parsed<Issued> issue(const std::string& csr_pem, const mesh::Identity& identity,
                       std::int64_t asked_seconds, WallClock::time_point now);
  // A new key and its certificate, for whoever may read the state directory anyway (an operator at
  // the Unix socket).
  struct Minted {
    std::string key, chain, roots;  // PEM; chain is leaf, then intermediates
  };
  Parsed<Minted> mint(const mesh::Identity& identity, WallClock::time_point now);
  // The control plane's own certificate. The key stays the same from one to the next (kept in
  // serving-key.pem), so that a reader of the two files never sees a pair that does not fit.
  Parsed<Serving> serve(const std::vector<std::string>& dns, const std::vector<std::string>& ips,
                        WallClock::time_point now);

  // Takes up what the state directory holds now (another replica's rotation). What it had before
  // stays when that cannot be read.
  std::optional<Problem> reload();

  // Starts a rotation, or moves a running one to its next step. Refused while the root is a given
  // one.
  Parsed<Phase> rotate(WallClock::time_point now);
  // Moves a running rotation on when its step has lasted. True when something changed.
  bool tick(WallClock::time_point now);

  CaInfo info() const;
  std::string bundle() const;
  std::string bundle_path() const;

 private:
  struct State;
  explicit Authority(std::unique_ptr<State> state);
  mutable std::mutex mutex_;
  std::unique_ptr<State> state_;
};

}  // namespace weft::controlplane::ca
