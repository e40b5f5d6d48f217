#include "controlplane/deploy/kube.h"

#include <algorithm>
#include <condition_variable>
#include <ctime>
#include <mutex>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>
#include <utility>

#include "base/clock.h"
#include "base/log.h"
#include "controlplane/deploy/apply.h"
#include "controlplane/deploy/kube_objects.h"
#include "source/kube/client.h"

namespace weft::controlplane::deploy {
namespace {

using nlohmann::json;
using source::ObjectKey;
using source::kube::Reply;
using source::kube::Resource;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr milliseconds kNap{100};
constexpr milliseconds kFirstWait{200};
constexpr milliseconds kConflictMost{300};  // somebody else writes it, and that works
constexpr seconds kWaitMost{30};
constexpr seconds kRefusedWait{60};  // what the server does not take will not be better soon
constexpr seconds kAgainEvery{60};   // deployments, whatever others did to them
constexpr std::size_t kWithdrawnMax = 10'000;

std::string now_rfc3339() {
  const std::time_t seconds = WallClock::to_time_t(WallClock::now());
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

class Kube : public Outcome {
 public:
  explicit Kube(KubeOptions options)
      : options_(std::move(options)), client_(options_.access), thread_([this] { run(); }) {}

  ~Kube() override {
    {
      const std::scoped_lock lock(mutex_);
      stop_ = true;
    }
    client_.stop();
    changed_.notify_all();
    thread_.join();
  }

  std::optional<Problem> objects(const std::vector<json>& all) override {
    const std::scoped_lock lock(mutex_);
    objects_ = all;
    objects_due_ = Clock::time_point{};
    known_objects_ = true;
    changed_.notify_all();
    return std::nullopt;
  }

  std::optional<Problem> statuses(const std::vector<StatusPatch>& changed,
                                  const std::vector<ObjectKey>& gone) override {
    const std::scoped_lock lock(mutex_);
    for (const StatusPatch& patch : changed) want(patch.key, patch.status);
    for (const ObjectKey& key : gone) {
      if (withdrawn_ < kWithdrawnMax) {
        want(key, nullptr);
      } else {
        forget(key);
      }
    }
    changed_.notify_all();
    return std::nullopt;
  }

  void observed(const source::Batch& batch) override {
    const std::scoped_lock lock(mutex_);
    for (const ObjectKey& key : batch.deletes) forget(key);
    for (const source::ObjectPtr& object : batch.upserts) {
      const auto found = wanted_.find(object->key());
      if (found == wanted_.end() || found->second.waiting) continue;
      if (!found->second.status || !holds(*object, *found->second.status)) again(found->second);
    }
    changed_.notify_all();
  }

 private:
  struct Wanted {
    std::shared_ptr<const json> status;  // null: ours goes
    Clock::time_point due{};
    unsigned failures = 0;
    bool waiting = true;        // to be written
    std::uint64_t edition = 0;  // moves when another status is wanted
    std::string trouble;        // said once
  };

  static bool holds(const source::Object& object, const json& status) {
    const auto found = object.body->find("status");
    // Parents of others are beside ours: the writer's look at the server decides.
    return found != object.body->end() && !status.contains("parents") && contains(*found, status);
  }

  // REQUIRES (all four): the lock.
  void want(const ObjectKey& key, std::shared_ptr<const json> status) {
    Wanted& one = wanted_[key];
    const bool was = one.edition > 0 && one.status == nullptr;
    withdrawn_ += (status == nullptr ? 1 : 0);
    withdrawn_ -= (was ? 1 : 0);
    one.status = std::move(status);
    ++one.edition;
    again(one);
  }
  void again(Wanted& one) {
    one.due = {};
    one.failures = 0;
    one.waiting = true;
  }
  void forget(const ObjectKey& key) {
    const auto found = wanted_.find(key);
    if (found == wanted_.end()) return;
    if (found->second.status == nullptr) --withdrawn_;
    wanted_.erase(found);
  }
  bool new_term(std::uint64_t term) {
    if (term == 0 || term == term_) return false;
    term_ = term;
    for (auto& [key, one] : wanted_) again(one);
    objects_due_ = {};
    return true;
  }

  void run();
  void write_status(const ObjectKey& key, std::shared_ptr<const json> status,
                    std::uint64_t edition);
  void settle(const ObjectKey& key, std::uint64_t edition, const Reply& reply, bool done);
  std::optional<Reply> read(const Resource& resource, const ObjectKey& key);
  void write_objects(const std::vector<json>& all);
  Clock::duration jittered(Clock::duration about) {
    return about / 2 + Clock::duration(static_cast<Clock::rep>(
                           random_() % static_cast<std::uint64_t>(about.count() + 1)));
  }
  bool may_write() const { return term_ != 0 && options_.term() == term_; }

  const KubeOptions options_;
  source::kube::Client client_;  // the thread alone, but for stop()
  // The thread alone.
  std::mt19937_64 random_{std::random_device{}()};
  std::uint64_t term_ = 0;
  std::map<std::string, std::size_t> versions_;  // key_kind → which of its versions is served
  KubeObjects made_{client_, [this] { return may_write(); }};
  unsigned made_failures_ = 0;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<ObjectKey, Wanted> wanted_;
  std::size_t withdrawn_ = 0;
  std::vector<json> objects_;
  bool known_objects_ = false;  // objects() was called: what is not in it may go
  Clock::time_point objects_due_{};
  bool stop_ = false;
  std::thread thread_;  // last: it uses all above
};

void Kube::run() {
  std::unique_lock lock(mutex_);
  while (!stop_) {
    const std::uint64_t term = options_.term();
    (void)new_term(term);
    const auto now = Clock::now();
    if (term != 0 && known_objects_ && now >= objects_due_) {
      objects_due_ = now + Clock::duration(kAgainEvery);
      const std::vector<json> all = objects_;
      lock.unlock();
      write_objects(all);
      lock.lock();
      continue;
    }
    const auto next = std::find_if(wanted_.begin(), wanted_.end(), [&](const auto& one) {
      return one.second.waiting && one.second.due <= now;
    });
    if (term == 0 || next == wanted_.end()) {
      changed_.wait_for(lock, kNap);
      continue;
    }
    const auto [key, status, edition] =
        std::tuple(next->first, next->second.status, next->second.edition);
    lock.unlock();
    write_status(key, status, edition);
    lock.lock();
  }
}

// The object as the server has it; nothing when it, or its kind, is not there. A failure is a Reply
// that is not ok().
std::optional<Reply> Kube::read(const Resource& resource, const ObjectKey& key) {
  std::size_t& version = versions_[key.kind];
  for (std::size_t tried = 0; tried < resource.versions.size(); ++tried) {
    Reply reply = client_.call(
        {.path = api_path(resource.api_version(version), resource.plural, key.ns, key.name),
         .limit = kCallMost});
    if (reply.status != 404) return reply;
    const json parsed = json::parse(reply.body, nullptr, false);
    if (parsed.is_object() && parsed.contains("details") && parsed["details"].contains("name"))
      return std::nullopt;
    version = (version + 1) % resource.versions.size();
  }
  return std::nullopt;
}

void Kube::write_status(const ObjectKey& key, std::shared_ptr<const json> status,
                        std::uint64_t edition) {
  const auto resource =
      std::find_if(options_.resources.begin(), options_.resources.end(),
                   [&](const Resource& one) { return one.key_kind() == key.kind; });
  if (resource == options_.resources.end()) return settle(key, edition, {}, true);
  const auto found = read(*resource, key);
  if (!found) return settle(key, edition, {}, true);
  const json current = json::parse(found->body, nullptr, false);
  if (!found->ok() || !current.is_object()) return settle(key, edition, *found, false);
  const std::string api_version = resource->api_version(versions_[key.kind]);
  const auto body = status_apply(api_version, resource->kind, status ? *status : json::object(),
                                 current, now_rfc3339());
  if (!body) return settle(key, edition, {}, true);
  if (!may_write()) return;  // stays waiting for whoever leads
  const Reply reply =
      client_.call({.method = "PATCH",
                    .path = api_path(api_version, resource->plural, key.ns, key.name) + "/status" +
                            apply_query(),
                    .body = body->dump(-1, ' ', false, json::error_handler_t::replace),
                    .content_type = "application/apply-patch+yaml",
                    .limit = kCallMost});
  settle(key, edition, reply, reply.ok() || reply.status == 404);
}

void Kube::settle(const ObjectKey& key, std::uint64_t edition, const Reply& reply, bool done) {
  const std::scoped_lock lock(mutex_);
  const auto found = wanted_.find(key);
  if (found == wanted_.end() || stop_) return;
  Wanted& one = found->second;
  if (one.edition != edition) return;  // another status is wanted meanwhile: it is due
  if (done) {
    one.waiting = false;
    one.failures = 0;
    one.trouble.clear();
    if (one.status == nullptr) forget(key);
    return;
  }
  // 409: the object is another one now, look again. The rest is said once.
  const bool conflict = reply.status == 409;
  const bool refused = reply.status == 400 || reply.status == 403 || reply.status == 422;
  const auto doubled = std::min<Clock::duration>(
      Clock::duration(kFirstWait) * (1 << std::min(one.failures, 8u)), kWaitMost);
  ++one.failures;
  Clock::duration wait = jittered(refused ? Clock::duration(kRefusedWait) : doubled);
  wait = std::max(wait, Clock::duration(std::min(reply.retry_after, kRefusedWait)));
  if (conflict) wait = jittered(std::min<Clock::duration>(doubled / 10, kConflictMost));
  one.due = Clock::now() + wait;
  const std::string text = reply.describe();
  if (!conflict && text != one.trouble) spdlog::warn("status of {}: {}", key.str(), text);
  if (!conflict) one.trouble = text;
}

void Kube::write_objects(const std::vector<json>& all) {
  if (made_.write(all)) {
    made_failures_ = 0;
    return;
  }
  const auto wait = std::min<Clock::duration>(
      Clock::duration(kFirstWait) * (1 << std::min(made_failures_++, 8u)), kWaitMost);
  const std::scoped_lock lock(mutex_);
  objects_due_ = std::min(objects_due_, Clock::now() + jittered(wait));
}

}  // namespace

std::unique_ptr<Outcome> kube_outcome(KubeOptions options) {
  return std::make_unique<Kube>(std::move(options));
}

}  // namespace weft::controlplane::deploy
