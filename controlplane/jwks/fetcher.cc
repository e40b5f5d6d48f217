#include "controlplane/jwks/fetcher.h"

#include <curl/curl.h>
#include <sys/socket.h>

#include <algorithm>
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

struct Gate {
  Reach reach;
  bool refused = false;
};

// curl asks for each connection, after names are resolved and redirects are followed.
curl_socket_t connection(void* context, curlsocktype, curl_sockaddr* to) {
  auto& gate = *static_cast<Gate*>(context);
  const auto where = SocketAddress::from_sockaddr(&to->addr, to->addrlen);
  if (gate.reach == Reach::kNetwork && (!where || !may_connect(where->ip))) {
    gate.refused = true;
    return CURL_SOCKET_BAD;
  }
  return ::socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
}

bool is_url(const std::string& text) {
  return text.starts_with("http://") || text.starts_with("https://");
}

Parsed<std::string> get(const std::string& uri, Reach reach) {
  if (!is_url(uri)) return problem(uri + ": is no http or https URL");
  const std::unique_ptr<CURL, void (*)(CURL*)> curl(curl_easy_init(), curl_easy_cleanup);
  if (!curl) return problem(uri + ": no memory for a transfer");
  std::string body;
  Gate gate{.reach = reach};
  curl_easy_setopt(curl.get(), CURLOPT_OPENSOCKETFUNCTION, connection);
  curl_easy_setopt(curl.get(), CURLOPT_OPENSOCKETDATA, &gate);
  curl_easy_setopt(curl.get(), CURLOPT_PROXY, "");
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
  if (code != CURLE_OK && gate.refused)
    return problem(uri + ": leads to a loopback, link-local or multicast address");
  if (code != CURLE_OK) return problem(uri + ": " + curl_easy_strerror(code));
  return body;
}

Parsed<std::string> get_keys(const std::string& uri, Reach reach) {
  auto body = get(uri, reach);
  if (!body || !std::string_view(uri).ends_with(kDiscovery)) return body;
  const json document = json::parse(*body, nullptr, false);
  if (!document.is_object() || !document.contains("jwks_uri") || !document["jwks_uri"].is_string())
    return problem(uri + ": the discovery document has no jwks_uri");
  return get(document["jwks_uri"].get<std::string>(), reach);
}

}  // namespace

bool may_connect(const IpAddress& ip) {
  static const std::vector<Cidr> kNever = [] {
    std::vector<Cidr> out;
    for (const char* text :
         {"0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3", "::/127", "fe80::/10",
          "ff00::/8", "fd00:ec2::254/128", "64:ff9b::7f00:0/104", "64:ff9b::a9fe:0/112"})
      out.push_back(*Cidr::parse(text));
    return out;
  }();
  return ip.is_set() &&
         std::ranges::none_of(kNever, [&](const Cidr& one) { return one.contains(ip); });
}

class Fetcher::State {
 public:
  State(Timing timing, std::function<void(const std::string&, const Parsed<std::string>&)> fetched,
        Reach reach)
      : timing_(timing), reach_(reach), fetched_(std::move(fetched)), thread_([this] { run(); }) {}

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
      const auto keys = get_keys(uri, reach_);
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
  const Reach reach_;
  const std::function<void(const std::string&, const Parsed<std::string>&)> fetched_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::map<std::string, Known> known_;
  bool stop_ = false;
  std::thread thread_;  // last: it uses all of the above
};

Fetcher::Fetcher(Timing timing,
                 std::function<void(const std::string&, const Parsed<std::string>&)> fetched,
                 Reach reach)
    : state_(std::make_unique<State>(timing, std::move(fetched), reach)) {}
Fetcher::~Fetcher() = default;
void Fetcher::want(std::vector<std::string> uris) { state_->want(std::move(uris)); }

}  // namespace weft::controlplane::jwks
