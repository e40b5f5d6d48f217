#include "ztunnel/ca/keeper.h"

#include <gtest/gtest.h>

#include <deque>
#include <filesystem>

#include "csr_ca.h"
#include "ztunnel/ca/shelf.h"
#include "ztunnel/io/run.h"
#include "ztunnel/io/sim_loop.h"
#include "ztunnel/tls/credentials.h"

namespace weft::ca {
namespace {

using namespace std::chrono_literals;

mesh::Identity id(const std::string& account) { return {"cluster.local", "ns", account}; }

// Runs what was posted when told to, with a wall clock that is set by hand.
class FakeExecutor final : public rpc::Executor {
 public:
  void post(std::function<void()> act) override { after(Clock::duration::zero(), std::move(act)); }
  void after(Clock::duration wait, std::function<void()> act) override {
    acts_.emplace(now_ + std::chrono::duration_cast<WallClock::duration>(wait), std::move(act));
  }
  WallClock::time_point wall_now() const override { return now_; }

  void advance(WallClock::duration by) {
    const auto until = now_ + by;
    while (!acts_.empty() && acts_.begin()->first <= until) {
      now_ = std::max(now_, acts_.begin()->first);
      auto act = std::move(acts_.begin()->second);
      acts_.erase(acts_.begin());
      act();
    }
    now_ = until;
  }
  void run() { advance({}); }
  void forget() { acts_.clear(); }

 private:
  WallClock::time_point now_ = std::chrono::time_point_cast<std::chrono::seconds>(WallClock::now());
  std::multimap<WallClock::time_point, std::function<void()>> acts_;
};

// Answers when told to.
class FakeSigner final : public Signer {
 public:
  struct Asked {
    mesh::Identity identity;
    std::string csr_pem;
    std::chrono::seconds ttl;
    Done done;
  };
  void sign(const mesh::Identity& identity, std::string csr_pem, std::chrono::seconds ttl, Done done) override {
    asked.push_back({identity, std::move(csr_pem), ttl, std::move(done)});
    ++total;
  }
  std::deque<Asked> asked;
  int total = 0;
};

class KeeperTest : public ::testing::Test {
 protected:
  KeeperTest() { make({}); }
  ~KeeperTest() override { keeper_->stop(); }

  void make(KeeperOptions options) {
    if (keeper_) keeper_->stop();
    executor_.forget();
    keeper_ = std::make_unique<Keeper>(executor_, signer_, std::move(options));
    keeper_->load();
  }
  Issued issue(const FakeSigner::Asked& asked, const CsrCa& ca, std::chrono::seconds life, const std::string& roots = "") {
    const auto now = executor_.wall_now();
    return {ca.sign(asked.csr_pem, now - 60s, now + life), roots.empty() ? ca.root_pem() : roots};
  }
  // Answers the oldest request.
  void answer(std::chrono::seconds life = 3600s) {
    auto asked = std::move(signer_.asked.front());
    signer_.asked.pop_front();
    asked.done(issue(asked, ca_, life));
    executor_.run();
  }
  void refuse(Code code) {
    auto asked = std::move(signer_.asked.front());
    signer_.asked.pop_front();
    asked.done(fail(code, "refused"));
    executor_.run();
  }
  void retain(std::set<mesh::Identity> identities) {
    keeper_->retain(identities);
    executor_.run();
  }
  io::Spawned get_later(io::Scope&, mesh::Identity identity, Deadline deadline, std::vector<Result<CredentialsPtr>>& out) {
    auto got = co_await keeper_->get(loop_, std::move(identity), deadline);
    out.push_back(std::move(got));
  }
  io::Task<void> wait(io::Scope& scope) { co_await scope.join(); }

  CsrCa ca_{"first root"};
  FakeExecutor executor_;
  FakeSigner signer_;
  io::SimLoop loop_;
  std::unique_ptr<Keeper> keeper_;
};

TEST_F(KeeperTest, AsksOnceForAnIdentityHoweverManyWait) {
  io::Scope scope;
  std::vector<Result<CredentialsPtr>> got;
  for (int i = 0; i < 5; ++i) get_later(scope, id("a"), loop_.in(5s), got);
  executor_.run();
  ASSERT_EQ(signer_.asked.size(), 1u);
  EXPECT_EQ(signer_.asked[0].ttl, 24h);
  answer();
  io::run_until_done(loop_, wait(scope));
  ASSERT_EQ(got.size(), 5u);
  for (const auto& each : got) {
    ASSERT_TRUE(each);
    EXPECT_EQ((*each)->identity(), id("a"));
  }
  EXPECT_EQ(keeper_->peek(id("a")), *got[0]);
}

TEST_F(KeeperTest, RefreshesBeforeExpiryAndKeepsTheOldOneUntilThen) {
  retain({id("a")});
  answer(20s);
  const auto first = keeper_->peek(id("a"));
  ASSERT_TRUE(first);
  executor_.advance(8s);
  EXPECT_TRUE(signer_.asked.empty());
  executor_.advance(2s);
  ASSERT_EQ(signer_.asked.size(), 1u);
  EXPECT_EQ(keeper_->peek(id("a")), first);
  answer(20s);
  EXPECT_NE(keeper_->peek(id("a")), first);
}

TEST_F(KeeperTest, ShortLivedCertificatesNeverLapseWhenTheCaAnswers) {
  retain({id("a")});
  for (int i = 0; i < 180; ++i) {
    while (!signer_.asked.empty()) answer(20s);
    EXPECT_TRUE(keeper_->peek(id("a"))) << i << " s";
    executor_.advance(1s);
  }
  EXPECT_LT(signer_.total, 25);
}

TEST_F(KeeperTest, AnExpiredCertificateIsNotGivenOut) {
  retain({id("a")});
  answer(20s);
  for (int i = 0; i < 10 && !signer_.asked.empty(); ++i) refuse(Code::kUnreachable);
  executor_.advance(9s);
  EXPECT_TRUE(keeper_->peek(id("a")));
  executor_.advance(12s);
  EXPECT_FALSE(keeper_->peek(id("a")));
}

TEST_F(KeeperTest, ARefusalIsTriedAgainWhileTheConnectionWaits) {
  io::Scope scope;
  std::vector<Result<CredentialsPtr>> got;
  get_later(scope, id("a"), loop_.in(5s), got);
  executor_.run();
  refuse(Code::kDenied);  // the CA has not heard of the pod yet
  EXPECT_TRUE(got.empty());
  executor_.advance(1s);
  ASSERT_EQ(signer_.asked.size(), 1u);
  answer();
  io::run_until_done(loop_, wait(scope));
  EXPECT_TRUE(got.at(0));
}

TEST_F(KeeperTest, AtTheDeadlineTheLastErrorIsTheAnswer) {
  io::Scope scope;
  std::vector<Result<CredentialsPtr>> got;
  get_later(scope, id("a"), loop_.in(5s), got);
  executor_.run();
  refuse(Code::kDenied);
  io::run_until_done(loop_, wait(scope));
  ASSERT_FALSE(got.at(0));
  EXPECT_EQ(got[0].error().code, Code::kDenied);
}

TEST_F(KeeperTest, ACertificateForSomebodyElseIsRefused) {
  retain({id("a"), id("b")});
  ASSERT_EQ(signer_.asked.size(), 2u);
  const auto other = issue(signer_.asked[1], ca_, 3600s);
  signer_.asked[0].done(other);
  executor_.run();
  EXPECT_FALSE(keeper_->peek(id("a")));
  EXPECT_EQ(keeper_->counters().failed, 1u);
}

TEST_F(KeeperTest, AnotherRootReachesEveryIdentityAtOnce) {
  retain({id("a"), id("b")});
  answer();
  answer();
  const CsrCa second("second root");
  keeper_->roots_changed();
  executor_.advance(1100ms);
  ASSERT_EQ(signer_.asked.size(), 2u);
  auto asked = std::move(signer_.asked.front());
  const auto waiting = asked.identity == id("a") ? id("b") : id("a");
  const auto before = keeper_->peek(waiting);
  asked.done(issue(asked, ca_, 3600s, ca_.root_pem() + second.root_pem()));
  const auto after = keeper_->peek(waiting);
  EXPECT_EQ(before->roots().size(), 1u);
  EXPECT_EQ(after->roots().size(), 2u);
  EXPECT_EQ(after->chain()[0].serial, before->chain()[0].serial);
}

TEST_F(KeeperTest, ALateAnswerDoesNotBringOldRootsBack) {
  retain({id("a"), id("b")});
  const CsrCa second("second root");
  auto early = signer_.asked[0];
  auto late = signer_.asked[1];
  late.done(issue(late, ca_, 3600s, ca_.root_pem() + second.root_pem()));  // asked later, answered first
  early.done(issue(early, ca_, 3600s));
  EXPECT_EQ(keeper_->peek(early.identity)->roots().size(), 2u);
}

TEST_F(KeeperTest, AnIdentityWithoutPodsIsDropped) {
  retain({id("a"), id("b")});
  answer();
  answer();
  retain({id("b")});
  EXPECT_FALSE(keeper_->peek(id("a")));
  EXPECT_TRUE(keeper_->peek(id("b")));
  executor_.advance(24h);
  for (const auto& asked : signer_.asked) EXPECT_EQ(asked.identity, id("b"));
}

TEST_F(KeeperTest, ARestartBeginsWithWhatIsKept) {
  const std::string directory = ::testing::TempDir() + "weft-shelf-" + std::to_string(::getpid());
  std::filesystem::remove_all(directory);
  make({.directory = directory});
  retain({id("a"), id("gone")});
  answer();
  answer();
  const auto serial = keeper_->peek(id("a"))->chain()[0].serial;
  for (const auto& file : std::filesystem::directory_iterator(directory)) {
    const auto mode = std::filesystem::status(file).permissions() & std::filesystem::perms::all;
    EXPECT_EQ(mode, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write) << file.path();
  }
  retain({id("a")});
  make({.directory = directory});
  ASSERT_TRUE(keeper_->peek(id("a")));
  EXPECT_EQ(keeper_->peek(id("a"))->chain()[0].serial, serial);
  EXPECT_FALSE(keeper_->peek(id("gone")));
  executor_.advance(2h);
  make({.directory = directory});
  EXPECT_FALSE(keeper_->peek(id("a"))) << "expired meanwhile";
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace weft::ca
