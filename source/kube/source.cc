#include "source/kube/source.h"

#include <curl/curl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <map>
#include <mutex>
#include <random>
#include <set>
#include <thread>
#include <utility>

#include "base/assert.h"
#include "base/fd.h"
#include "source/kube/reflector.h"
#include "source/kube/transport.h"

namespace weft::source::kube {
namespace {

constexpr std::size_t kWaitingMax = 200'000;  // changes that nobody took

// A resource and its exchange with the server. Owned by the thread.
struct Line {
  explicit Line(Resource resource, std::uint64_t seed) : reflector(std::move(resource), seed) {}
  ~Line() { curl_easy_cleanup(curl); }
  Line(const Line&) = delete;
  Line& operator=(const Line&) = delete;

  Reflector reflector;
  CURL* curl = nullptr;
  curl_slist* headers = nullptr;
  bool busy = false;
};

std::size_t take_body(char* data, std::size_t size, std::size_t count, void* line) {
  auto& self = *static_cast<Line*>(line);
  long status = 0;
  curl_easy_getinfo(self.curl, CURLINFO_RESPONSE_CODE, &status);
  return self.reflector.body(status, {data, size * count}) ? size * count : 0;
}

}  // namespace

class KubeSource::State {
 public:
  explicit State(Options given);
  ~State();

  bool wait_synced();
  Batch poll();

  Fd wake{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  // The owner's thread alone.
  ObjectSet objects;
  std::vector<FileProblem> problems;
  std::uint64_t generation = 0;
  std::string missing;  // why wait_synced() was false

 private:
  void run();
  void start(Line& line);
  void finished();
  void hand_over();
  int wait_ms() const;

  const Options options_;
  // The thread alone.
  CURLM* multi_ = nullptr;
  std::vector<std::unique_ptr<Line>> lines_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<ObjectKey, ObjectPtr> waiting_;      // null: gone
  std::map<ObjectKey, std::string> bad_;        // objects that may not come in
  std::map<std::string, std::string> trouble_;  // by resource path
  std::set<std::string> unsynced_;
  bool stop_ = false;
  std::thread thread_;  // last: it uses all above
};

KubeSource::State::State(Options given) : options_(std::move(given)) {
  curl_global_init(CURL_GLOBAL_DEFAULT);
  multi_ = curl_multi_init();
  WEFT_ASSERT(multi_ != nullptr);
  curl_multi_setopt(multi_, CURLMOPT_PIPELINING, CURLPIPE_MULTIPLEX);
  std::random_device chance;
  for (const Resource& resource : options_.resources) {
    lines_.push_back(std::make_unique<Line>(resource, chance()));
    unsynced_.insert(resource.path(0));
  }
  thread_ = std::thread([this] { run(); });
}

KubeSource::State::~State() {
  {
    const std::scoped_lock lock(mutex_);
    stop_ = true;
  }
  curl_multi_wakeup(multi_);
  thread_.join();
  for (const auto& line : lines_) {
    if (line->busy) curl_multi_remove_handle(multi_, line->curl);
    curl_slist_free_all(line->headers);
  }
  lines_.clear();
  curl_multi_cleanup(multi_);
}

void KubeSource::State::start(Line& line) {
  const Request request = line.reflector.next();
  if (line.curl == nullptr) line.curl = curl_easy_init();
  WEFT_ASSERT(line.curl != nullptr);
  CURL* curl = line.curl;
  curl_slist_free_all(line.headers);
  line.headers = prepare(curl, options_.access, request.path);
  curl_easy_setopt(curl, CURLOPT_PIPEWAIT, 1L);
  curl_easy_setopt(curl, CURLOPT_ACCEPT_ENCODING, request.watch ? nullptr : "");
  curl_easy_setopt(curl, CURLOPT_TIMEOUT, static_cast<long>(request.limit.count()));
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &line);
  curl_easy_setopt(curl, CURLOPT_PRIVATE, &line);
  WEFT_ASSERT(curl_multi_add_handle(multi_, curl) == CURLM_OK);
  line.busy = true;
}

void KubeSource::State::finished() {
  int left = 0;
  while (const CURLMsg* message = curl_multi_info_read(multi_, &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    Line* line = nullptr;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &line);
    const CURLcode code = message->data.result;
    Answer answer{.complete = code == CURLE_OK, .error = curl_easy_strerror(code)};
    curl_off_t retry_after = 0;
    curl_easy_getinfo(line->curl, CURLINFO_RESPONSE_CODE, &answer.status);
    curl_easy_getinfo(line->curl, CURLINFO_RETRY_AFTER, &retry_after);
    answer.retry_after = std::chrono::seconds(std::clamp<curl_off_t>(retry_after, 0, 3600));
    curl_multi_remove_handle(multi_, line->curl);
    line->busy = false;
    line->reflector.end(answer, Clock::now());
  }
}

void KubeSource::State::hand_over() {
  std::map<ObjectKey, std::pair<ObjectPtr, std::string>> news;
  for (const auto& line : lines_) {
    for (Item& item : line->reflector.take()) {
      std::string bad = item.problem ? item.problem->text : "";
      if (item.object && options_.admit) {
        if (const auto refused = options_.admit(*item.object)) bad = refused->text;
      }
      if (!bad.empty()) item.object = nullptr;
      news.insert_or_assign(item.key, std::pair(std::move(item.object), std::move(bad)));
    }
  }
  bool moved = !news.empty();
  const std::scoped_lock lock(mutex_);
  for (auto& [key, what] : news) {
    if (!what.second.empty()) {
      bad_[key] = std::move(what.second);  // what was there stays
      continue;
    }
    bad_.erase(key);
    waiting_[key] = std::move(what.first);
  }
  for (const auto& line : lines_) {
    const std::string path = line->reflector.resource().path(0);
    if (line->reflector.synced()) moved |= unsynced_.erase(path) > 0;
    const std::string& trouble = line->reflector.trouble();
    if (trouble_[path] == trouble) continue;
    trouble_[path] = trouble;
    moved = true;
  }
  if (!moved) return;
  changed_.notify_all();
  const std::uint64_t one = 1;
  if (unsynced_.empty()) (void)!::write(wake.get(), &one, sizeof one);
}

int KubeSource::State::wait_ms() const {
  auto next = Clock::now() + std::chrono::seconds(1);
  for (const auto& line : lines_) {
    if (!line->busy) next = std::min(next, line->reflector.due());
  }
  const auto wait = std::chrono::ceil<std::chrono::milliseconds>(next - Clock::now());
  return std::max(0, static_cast<int>(wait.count()));
}

void KubeSource::State::run() {
  for (;;) {
    bool full = false;
    {
      const std::scoped_lock lock(mutex_);
      if (stop_) return;
      full = waiting_.size() > kWaitingMax;  // then no new exchange begins
    }
    for (const auto& line : lines_) {
      if (!full && !line->busy && Clock::now() >= line->reflector.due()) start(*line);
    }
    int running = 0;
    curl_multi_perform(multi_, &running);
    finished();
    hand_over();
    curl_multi_poll(multi_, nullptr, 0, full ? 100 : wait_ms(), nullptr);
  }
}

bool KubeSource::State::wait_synced() {
  std::unique_lock lock(mutex_);
  if (changed_.wait_for(lock, options_.sync_limit, [this] { return unsynced_.empty(); }))
    return true;
  const std::string& path = *unsynced_.begin();
  missing = trouble_[path].empty() ? "kubernetes " + path + ": no answer" : trouble_[path];
  return false;
}

Batch KubeSource::State::poll() {
  std::uint64_t count = 0;
  (void)!::read(wake.get(), &count, sizeof count);
  std::map<ObjectKey, ObjectPtr> waiting;
  std::vector<FileProblem> now;
  {
    const std::scoped_lock lock(mutex_);
    waiting.swap(waiting_);
    for (const auto& [key, text] : bad_) now.push_back({key.str(), text});
    for (const auto& [path, text] : trouble_) {
      if (!text.empty()) now.push_back({path, text});
    }
  }
  Batch batch;
  for (auto& [key, object] : waiting) {
    if (!object) {
      if (objects.erase(key) > 0) batch.deletes.push_back(key);
      continue;
    }
    ObjectPtr& held = objects[key];
    if (held && held->hash == object->hash) continue;
    held = std::move(object);
    batch.upserts.push_back(held);
  }
  if (now != problems) {
    problems = std::move(now);
    ++generation;
  }
  return batch;
}

KubeSource::KubeSource(std::unique_ptr<State> state) : state_(std::move(state)) {}
KubeSource::~KubeSource() = default;

Parsed<std::unique_ptr<KubeSource>> KubeSource::open(Options options) {
  auto state = std::make_unique<State>(std::move(options));
  if (!state->wait_synced()) return problem(state->missing);
  return std::unique_ptr<KubeSource>(new KubeSource(std::move(state)));
}

int KubeSource::fd() const { return state_->wake.get(); }
Batch KubeSource::poll() { return state_->poll(); }
const ObjectSet& KubeSource::objects() const { return state_->objects; }
const std::vector<FileProblem>& KubeSource::problems() const { return state_->problems; }
std::uint64_t KubeSource::problems_generation() const { return state_->generation; }

}  // namespace weft::source::kube
