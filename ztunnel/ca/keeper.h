// Keeper: the CertificateSource. Keeps one certificate per wanted identity: asks a Signer, refreshes at half life, keeps the old one
// until it expires, gives every identity the newest root bundle at once, and keeps key and chain in a directory of the state dir
// (tmpfs, 0700; files 0600; docs/decisions) so that a restart needs no control plane.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "ztunnel/ca/certificates.h"
#include "ztunnel/ca/desk.h"
#include "ztunnel/rpc/executor.h"

namespace weft::ca {

// A CA's answer.
struct Issued {
  std::string chain_pem;  // leaf first
  std::string roots_pem;
};

// Asks a CA. `done` is called exactly once, from any thread. Errors: kDenied, kUnreachable, kTimedOut, kMalformed.
class Signer {
 public:
  using Done = std::function<void(Result<Issued>)>;
  virtual ~Signer() = default;
  virtual void sign(const mesh::Identity& identity, std::string csr_pem, std::chrono::seconds ttl, Done done) = 0;
};

struct KeeperOptions {
  std::chrono::seconds ttl{24 * 3600};
  std::string directory;  // empty: nothing on disk
};

// Any thread.
struct KeeperCounters {
  std::atomic<std::uint64_t> issued = 0, failed = 0, denied = 0;
};

struct CertificateState {
  mesh::Identity identity;
  CredentialsPtr credentials;  // null: none yet
  std::string last_error;
};

// Any thread, but for start() and stop().
class Keeper final : public CertificateSource {
 public:
  Keeper(rpc::Executor& executor, Signer& signer, KeeperOptions options);
  ~Keeper() override;  // REQUIRES: stop() returned and the executor runs nothing of ours any more

  // Takes what is still valid from the directory. Call before anything else.
  void load();
  // No request is started any more; answers that still come are ignored.
  void stop();

  // These, and only these, are to be kept: a certificate is fetched ahead for a new one; one that is not named is dropped.
  void retain(const std::set<mesh::Identity>& identities);
  // The CA's root file changed: every certificate is fetched anew within a second, and the roots with it.
  void roots_changed();

  CredentialsPtr peek(const mesh::Identity& identity) override;
  io::Task<Result<CredentialsPtr>> get(io::Loop& loop, mesh::Identity identity, Deadline deadline) override;

  std::vector<CertificateState> list() const;
  const KeeperCounters& counters() const { return counters_; }

 private:
  struct Waiter;
  struct Entry {
    std::string key_pem, chain_pem;
    CredentialsPtr credentials;
    Error last_error{Code::kTimedOut, 0, "certificate from the CA"};
    bool has_error = false;
    std::vector<std::shared_ptr<Waiter>> waiters;
  };

  void pump();
  void arm(Desk::Time now);
  void begin(const mesh::Identity& identity);
  void end(const mesh::Identity& identity, std::uint64_t number, std::string key_pem, Result<Issued> answer);
  Result<CredentialsPtr> take(const mesh::Identity& identity, std::uint64_t number, std::string key_pem, Issued issued);
  void spread_roots(const mesh::Identity& except);
  void keep_on_disk(const mesh::Identity& identity, const Entry& entry);
  void forget(const mesh::Identity& identity);

  rpc::Executor& executor_;
  Signer& signer_;
  const KeeperOptions options_;
  KeeperCounters counters_;

  mutable std::mutex lock_;  // guards all below
  Desk desk_;
  std::map<mesh::Identity, Entry> entries_;
  std::string roots_pem_;            // the newest bundle
  std::uint64_t roots_number_ = 0;   // of the request that brought it
  std::uint64_t next_number_ = 1;
  Desk::Time armed_for_ = Desk::Time::max();
  bool stopping_ = false;
};

}  // namespace weft::ca
