#include "controlplane/jwks/fetcher.h"

#include <curl/curl.h>

#include <condition_variable>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>

namespace weft::controlplane::jwks {
namespace {

using nlohmann::json;

constexpr long kTimeoutMs = 5'000;
constexpr std::string_view kDiscovery = "/.well-known/openid-configuration";

std::size_t take(char* data, std::size_t size, std::size_t count, void* out) {
  auto& text = *static_cast<std::string*>(out);
  const std::size_t bytes = size * count;
  if (text.size() + bytes > kBytesMax) return 0;  // curl then fails the transfer
  text.append(data, bytes);
  return bytes;
}

Parsed<std::string> get(const std::string& uri) {
  const std::unique_ptr<CURL, void (*)(CURL*)> curl(curl_easy_init(), curl_easy_cleanup);
  if (!curl) return problem(uri + ": no memory for a transfer");
  std::string body;
  curl_easy_setopt(curl.get(), CURLOPT_URL, uri.c_str());
  curl_easy_setopt(curl.get(), CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl.get(), CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl.get(), CURLOPT_FOLLOWLOCATION, 1L);
  curl_easy_setopt(curl.get(), CURLOPT_MAXREDIRS, kRedirects);
  curl_easy_setopt(curl.get(), CURLOPT_TIMEOUT_MS, kTimeoutMs);
  curl_easy_setopt(curl.get(), CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl.get(), CURLOPT_FAILONERROR, 1L);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEFUNCTION, take);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEDATA, &body);
  const CURLcode code = curl_easy_perform(curl.get());
  if (code != CURLE_OK) return problem(uri + ": " + curl_easy_strerror(code));
  return body;
}

Parsed<std::string> get_keys(const std::string& uri) {
  auto body = get(uri);
  if (!body || !std::string_view(uri).ends_with(kDiscovery)) return body;
  const json document = json::parse(*body, nullptr, false);
  if (!document.is_object() || !document.contains("jwks_uri") || !document["jwks_uri"].is_string())
    return problem(uri + ": the discovery document has no jwks_uri");
  return get(document["jwks_uri"].get<std::string>());
}

}  // namespace

class Fetcher::State {
 public:
  State(Timing timing, std::function<void(const std::string&, const Parsed<std::string>&)> fetched)
      : timing_(timing), fetched_(std::move(fetched)), thread_([this] { run(); }) {}

  ~State() {
    {
      const std::scoped_lock lock(mutex_);
      stop_ = true;
    }
    wake_.notify_one();
    thread_.join();
  }

  void want(std::vector<std::string> uris) {
    const std::scoped_lock lock(mutex_);
    std::map<std::string, Known> next;
    for (std::string& uri : uris) {
      const auto known = known_.find(uri);
      next[std::move(uri)] = known == known_.end() ? Known{} : known->second;
    }
    known_ = std::move(next);
    wake_.notify_one();
  }

 private:
  struct Known {
    Clock::time_point due{};
    std::optional<std::string> answer;  // "+body" or "-error"
  };

  void run() {
    std::unique_lock lock(mutex_);
    while (!stop_) {
      const auto next = std::min_element(
          known_.begin(), known_.end(),
          [](const auto& a, const auto& b) { return a.second.due < b.second.due; });
      if (next == known_.end()) {
        wake_.wait(lock);
        continue;
      }
      if (next->second.due > Clock::now()) {
        wake_.wait_until(lock, next->second.due);
        continue;
      }
      const std::string uri = next->first;
      lock.unlock();
      const auto keys = get_keys(uri);
      lock.lock();
      const auto known = known_.find(uri);
      if (known == known_.end()) continue;
      known->second.due = Clock::now() + (keys ? timing_.refresh : timing_.retry);
      const std::string answer = keys ? "+" + *keys : "-" + keys.error().text;
      // A key set that we have is kept while its address does not answer.
      const bool keep = !keys && known->second.answer && known->second.answer->front() == '+';
      if (keep || known->second.answer == answer) continue;
      known->second.answer = answer;
      lock.unlock();
      fetched_(uri, keys);
      lock.lock();
    }
  }

  const Timing timing_;
  const std::function<void(const std::string&, const Parsed<std::string>&)> fetched_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::map<std::string, Known> known_;
  bool stop_ = false;
  std::thread thread_;  // last: it uses all of the above
};

Fetcher::Fetcher(Timing timing,
                 std::function<void(const std::string&, const Parsed<std::string>&)> fetched)
    : state_(std::make_unique<State>(timing, std::move(fetched))) {}
Fetcher::~Fetcher() = default;
void Fetcher::want(std::vector<std::string> uris) { state_->want(std::move(uris)); }

}  // namespace weft::controlplane::jwks
