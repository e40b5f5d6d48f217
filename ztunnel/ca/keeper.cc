#include "ztunnel/ca/keeper.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>

#include "base/log.h"
#include "ztunnel/ca/shelf.h"
#include "ztunnel/io/event.h"
#include "ztunnel/io/loop.h"
#include "ztunnel/io/task.h"
#include "ztunnel/tls/credentials.h"
#include "ztunnel/tls/csr.h"

namespace weft::ca {
namespace {

constexpr auto kLoadedRefresh = std::chrono::seconds(5);
constexpr auto kWakeMax = std::chrono::seconds(60);  // the wall clock may be set: look at it now and then

double random_unit() {
  thread_local std::mt19937_64 engine{std::random_device{}()};
  return std::uniform_real_distribution<double>(0, 1)(engine);
}

}  // namespace

struct Keeper::Waiter {
  explicit Waiter(io::Loop& its_loop) : loop(its_loop), woken(its_loop) {}
  io::Loop& loop;
  io::Event woken;
};

Keeper::Keeper(rpc::Executor& executor, Signer& signer, KeeperOptions options)
    : executor_(executor), signer_(signer), options_(std::move(options)), desk_(random_unit) {}

Keeper::~Keeper() = default;

void Keeper::load() {
  if (options_.directory.empty()) return;
  const std::lock_guard guard(lock_);
  const auto now = executor_.wall_now();
  std::size_t valid = 0;
  for (auto& stored : read_shelf(options_.directory)) {
    auto credentials = tls::Credentials::parse(stored.chain_pem, stored.key_pem, stored.roots_pem);
    if (!credentials || (*credentials)->not_after() <= now) continue;
    const auto identity = (*credentials)->identity();
    Entry& entry = entries_[identity];
    entry.key_pem = std::move(stored.key_pem);
    entry.chain_pem = std::move(stored.chain_pem);
    entry.credentials = *std::move(credentials);
    desk_.adopt(identity, entry.credentials->not_before(), entry.credentials->not_after(), now);
    roots_pem_ = std::move(stored.roots_pem);
    ++valid;
  }
  if (valid > 0) spdlog::info("began with kept certificates count={}", valid);
  desk_.refresh_all(now, kLoadedRefresh);  // the roots may have changed meanwhile
  executor_.post([this] { pump(); });
}

void Keeper::stop() {
  const std::lock_guard guard(lock_);
  stopping_ = true;
}

void Keeper::retain(const std::set<mesh::Identity>& identities) {
  const std::lock_guard guard(lock_);
  const auto now = executor_.wall_now();
  for (const auto& identity : desk_.identities()) {
    const auto it = entries_.find(identity);
    const bool waited_for = it != entries_.end() && !it->second.waiters.empty();
    if (!identities.contains(identity) && !waited_for) forget(identity);
  }
  for (const auto& identity : identities) {
    if (!desk_.has(identity)) desk_.want(identity, Priority::kWarmup, now);
    entries_.try_emplace(identity);
  }
  executor_.post([this] { pump(); });
}

void Keeper::forget(const mesh::Identity& identity) {
  spdlog::info("certificate dropped, no pod needs it identity={}", identity.str());
  desk_.drop(identity);
  entries_.erase(identity);
  if (!options_.directory.empty()) remove_from_shelf(options_.directory, identity);
}

void Keeper::roots_changed() {
  const std::lock_guard guard(lock_);
  desk_.refresh_all(executor_.wall_now(), std::chrono::seconds(1));
  executor_.post([this] { pump(); });
}

CredentialsPtr Keeper::peek(const mesh::Identity& identity) {
  const std::lock_guard guard(lock_);
  const auto it = entries_.find(identity);
  if (it == entries_.end() || it->second.credentials == nullptr) return nullptr;
  return it->second.credentials->not_after() > executor_.wall_now() ? it->second.credentials : nullptr;
}

io::Task<Result<CredentialsPtr>> Keeper::get(io::Loop& loop, mesh::Identity identity, Deadline deadline) {
  if (auto here = peek(identity)) co_return here;
  auto waiter = std::make_shared<Waiter>(loop);
  {
    const std::lock_guard guard(lock_);
    entries_[identity].waiters.push_back(waiter);
    desk_.want(identity, Priority::kConnection, executor_.wall_now());
  }
  executor_.post([this] { pump(); });
  // Failures are not handed out early: they are tried again until the deadline (a pod may be older than the CA's news of it).
  [[maybe_unused]] const auto waited = co_await waiter->woken.wait(deadline);
  if (auto here = peek(identity)) co_return here;
  const std::lock_guard guard(lock_);
  const auto it = entries_.find(identity);
  if (it == entries_.end()) co_return fail(Code::kNotFound, "no pod has this identity any more");
  std::erase(it->second.waiters, waiter);
  if (it->second.has_error) co_return std::unexpected(it->second.last_error);
  co_return fail(Code::kTimedOut, "certificate from the CA");
}

void Keeper::pump() {
  std::vector<mesh::Identity> due;
  {
    const std::lock_guard guard(lock_);
    if (stopping_) return;
    const auto now = executor_.wall_now();
    for (auto identity = desk_.next(now); identity; identity = desk_.next(now)) due.push_back(*identity);
    arm(now);
  }
  for (const auto& identity : due) begin(identity);
}

// One timer for the earliest that is planned; a timer that is early enough stays.
void Keeper::arm(Desk::Time now) {
  if (armed_for_ <= now) armed_for_ = Desk::Time::max();
  const auto planned = desk_.wake_at();
  if (!planned) return;
  const auto wake = std::min(*planned, now + kWakeMax);
  if (wake >= armed_for_) return;
  armed_for_ = wake;
  const auto wait = std::chrono::duration_cast<Clock::duration>(wake - now) + std::chrono::milliseconds(1);
  executor_.after(wait, [this] { pump(); });
}

void Keeper::begin(const mesh::Identity& identity) {
  std::uint64_t number = 0;
  {
    const std::lock_guard guard(lock_);
    number = next_number_++;
  }
  auto request = tls::make_certificate_request(identity);
  if (!request) return end(identity, number, "", std::unexpected(request.error()));
  signer_.sign(identity, std::move(request->csr_pem), options_.ttl,
               [this, identity, number, key_pem = std::move(request->key_pem)](Result<Issued> answer) {
                 end(identity, number, key_pem, std::move(answer));
               });
}

// Makes credentials of an answer, with the newest roots: an answer to an earlier request may bring older ones.
Result<CredentialsPtr> Keeper::take(const mesh::Identity& identity, std::uint64_t number, std::string key_pem,
                                    Issued issued) {
  std::string detail;
  const bool newest = number > roots_number_ || roots_pem_.empty();
  auto credentials =
      tls::Credentials::parse(issued.chain_pem, key_pem, newest ? issued.roots_pem : roots_pem_, &detail);
  if (!credentials) {
    spdlog::error("the CA's answer is not usable identity={} error=\"{}\"", identity.str(), detail);
    return std::unexpected(credentials.error());
  }
  if ((*credentials)->identity() != identity) return fail(Code::kMalformed, "the CA's certificate names another identity");
  Entry& entry = entries_[identity];
  entry.key_pem = std::move(key_pem);
  entry.chain_pem = std::move(issued.chain_pem);
  entry.credentials = *credentials;
  entry.has_error = false;
  if (newest) {
    roots_number_ = number;
    if (roots_pem_ != issued.roots_pem) {
      roots_pem_ = std::move(issued.roots_pem);
      spread_roots(identity);
    }
  }
  keep_on_disk(identity, entry);
  return *std::move(credentials);
}

void Keeper::end(const mesh::Identity& identity, std::uint64_t number, std::string key_pem, Result<Issued> answer) {
  {
    const std::lock_guard guard(lock_);
    if (stopping_) return;
    const auto now = executor_.wall_now();
    if (!desk_.has(identity)) return;  // dropped meanwhile
    Result<CredentialsPtr> taken =
        answer ? take(identity, number, std::move(key_pem), *std::move(answer)) : std::unexpected(answer.error());
    Entry& entry = entries_[identity];
    if (taken) {
      counters_.issued.fetch_add(1, std::memory_order_relaxed);
      desk_.succeeded(identity, (*taken)->not_after(), now);
      spdlog::info("certificate issued identity={} lifetime_s={}", identity.str(),
                   std::chrono::duration_cast<std::chrono::seconds>((*taken)->not_after() - now).count());
      for (auto& waiter : entry.waiters) waiter->loop.post([waiter] { waiter->woken.set(); });
      entry.waiters.clear();
    } else {
      counters_.failed.fetch_add(1, std::memory_order_relaxed);
      if (taken.error().code == Code::kDenied) counters_.denied.fetch_add(1, std::memory_order_relaxed);
      entry.last_error = taken.error();
      entry.has_error = true;
      desk_.failed(identity, now);
      spdlog::warn("no certificate from the CA, trying again identity={} error=\"{}\" have_valid={}", identity.str(),
                   describe(taken.error()), entry.credentials != nullptr && entry.credentials->not_after() > now);
    }
  }
  executor_.post([this] { pump(); });
}

void Keeper::spread_roots(const mesh::Identity& except) {
  spdlog::info("the root bundle changed");
  for (auto& [identity, entry] : entries_) {
    if (identity == except || entry.credentials == nullptr) continue;
    auto credentials = tls::Credentials::parse(entry.chain_pem, entry.key_pem, roots_pem_);
    if (!credentials) continue;
    entry.credentials = *std::move(credentials);
    keep_on_disk(identity, entry);
  }
}

void Keeper::keep_on_disk(const mesh::Identity& identity, const Entry& entry) {
  if (options_.directory.empty()) return;
  auto kept = write_to_shelf(options_.directory, identity, {entry.key_pem, entry.chain_pem, roots_pem_});
  if (!kept) spdlog::error("cannot keep a certificate directory={} error=\"{}\"", options_.directory, describe(kept.error()));
}

std::vector<CertificateState> Keeper::list() const {
  const std::lock_guard guard(lock_);
  std::vector<CertificateState> out;
  for (const auto& [identity, entry] : entries_) {
    out.push_back({identity, entry.credentials, entry.has_error ? describe(entry.last_error) : ""});
  }
  return out;
}

}  // namespace weft::ca
