// Elector: drives an Election from a thread of its own. term() may be asked by any thread, before
// every single write.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>

#include "controlplane/leader/election.h"
#include "source/kube/client.h"

namespace weft::controlplane::leader {

struct ElectorOptions {
  source::kube::Access access;
  std::string ns, name;  // of the Lease
  std::string me;        // unique among the replicas, and among their lives
};

class Elector {
 public:
  explicit Elector(ElectorOptions options);
  // Gives the lease up. REQUIRES: nobody writes any more.
  ~Elector();

  // 0: we may not write. Else a number that is another one after each time without leadership.
  std::uint64_t term() const;

 private:
  void run();
  void turn();
  void say(const std::string& trouble);

  const ElectorOptions options_;
  source::kube::Client client_;  // the thread alone, but for stop()
  Election election_;            // the thread alone
  std::string trouble_, holder_told_;
  bool led_ = false;
  std::atomic<Clock::rep> until_{0};  // leads_until of the election
  std::atomic<std::uint64_t> term_{0};
  std::atomic<bool> stop_{false};
  std::thread thread_;  // last: it uses all above
};

}  // namespace weft::controlplane::leader
