#include "controlplane/jwks/fetcher.h"

#include <curl/curl.h>
#include <sys/socket.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>
#include <utility>

#include "base/assert.h"
#include "base/log.h"

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

bool is_url(const std::string& text) {
  return text.starts_with("http://") || text.starts_with("https://");
}

// Where a discovery document says that the keys are.
Parsed<std::string> keys_address(const std::string& body) {
  const json document = json::parse(body, nullptr, false);
  if (!document.is_object() || !document.contains("jwks_uri") || !document["jwks_uri"].is_string())
    return problem("the discovery document has no jwks_uri");
  auto address = document["jwks_uri"].get<std::string>();
  if (!is_url(address)) return problem("the discovery document's jwks_uri is no http or https URL");
  return address;
}

struct Transfer {
  std::string uri;  // that was wanted
  bool refused = false;
  bool discovered = false;  // what is asked now is what the discovery document named
  Reach reach = Reach::kNetwork;
  std::string body;
  std::unique_ptr<CURL, void (*)(CURL*)> curl{nullptr, curl_easy_cleanup};
};

// curl asks for each connection, after names are resolved and redirects are followed.
curl_socket_t connection(void* context, curlsocktype, curl_sockaddr* to) {
  auto& self = *static_cast<Transfer*>(context);
  const auto where = SocketAddress::from_sockaddr(&to->addr, to->addrlen);
  if (self.reach == Reach::kNetwork && (!where || !may_connect(where->ip))) {
    self.refused = true;
    return CURL_SOCKET_BAD;
  }
  return ::socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
}

void prepare(Transfer& transfer, const std::string& url) {
  CURL* curl = transfer.curl.get();
  curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, connection);
  curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, &transfer);
  curl_easy_setopt(curl, CURLOPT_PROXY, "");
  curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
  curl_easy_setopt(curl, CURLOPT_MAXREDIRS, kRedirects);
  curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, kTimeoutMs);
  // A connection that outlived its transfer would be one that `connection` was not asked about.
  curl_easy_setopt(curl, CURLOPT_FRESH_CONNECT, 1L);
  curl_easy_setopt(curl, CURLOPT_FORBID_REUSE, 1L);
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &transfer.body);
  curl_easy_setopt(curl, CURLOPT_PRIVATE, &transfer);
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
      : timing_(timing), reach_(reach), fetched_(std::move(fetched)) {
    curl_global_init(CURL_GLOBAL_DEFAULT);
    multi_ = curl_multi_init();
    WEFT_ASSERT(multi_ != nullptr);
    thread_ = std::thread([this] { run(); });
  }

  ~State() {
    {
      const std::scoped_lock lock(mutex_);
      stop_ = true;
    }
    curl_multi_wakeup(multi_);
    thread_.join();
    for (const auto& one : transfers_) curl_multi_remove_handle(multi_, one->curl.get());
    transfers_.clear();
    curl_multi_cleanup(multi_);
  }

  void want(std::vector<std::string> uris) {
    {
      const std::scoped_lock lock(mutex_);
      std::map<std::string, Known> next;
      for (std::string& uri : uris) {
        const auto known = known_.find(uri);
        next[std::move(uri)] = known == known_.end() ? Known{} : known->second;
      }
      known_ = std::move(next);
    }
    curl_multi_wakeup(multi_);
  }

 private:
  struct Known {
    Clock::time_point due{};
    bool busy = false;
    std::optional<std::string> keys;  // the last that were had
    std::string trouble;              // why there were none the last time
  };

  // What is due, as many as there is room for. `next` moves to when there is more.
  std::vector<std::string> due(Clock::time_point& next) {
    const std::scoped_lock lock(mutex_);
    const auto now = Clock::now();
    std::vector<std::pair<Clock::time_point, std::string>> idle;
    for (const auto& [uri, known] : known_) {
      if (!known.busy) idle.emplace_back(known.due, uri);
    }
    std::sort(idle.begin(), idle.end());
    std::vector<std::string> out;
    for (const auto& [when, uri] : idle) {
      if (transfers_.size() + out.size() == kTransfersMax) break;  // one that ends wakes us
      if (when > now) {
        next = std::min(next, when);
        break;
      }
      known_[uri].busy = true;
      out.push_back(uri);
    }
    return out;
  }

  void begin(const std::string& uri) {
    if (!is_url(uri)) return done(uri, problem("is no http or https URL"));
    auto transfer = std::make_unique<Transfer>();
    transfer->uri = uri;
    transfer->reach = reach_;
    transfer->curl.reset(curl_easy_init());
    WEFT_ASSERT(transfer->curl != nullptr);
    prepare(*transfer, uri);
    WEFT_ASSERT(curl_multi_add_handle(multi_, transfer->curl.get()) == CURLM_OK);
    transfers_.push_back(std::move(transfer));
  }

  // Takes what is over; a discovery document leads on.
  void finished() {
    int left = 0;
    while (const CURLMsg* message = curl_multi_info_read(multi_, &left)) {
      if (message->msg != CURLMSG_DONE) continue;
      Transfer* transfer = nullptr;
      curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
      const CURLcode code = message->data.result;
      curl_multi_remove_handle(multi_, transfer->curl.get());
      const bool first = std::string_view(transfer->uri).ends_with(kDiscovery);
      if (code == CURLE_OK && first && !transfer->discovered) {
        lead_on(*transfer);
      } else if (code == CURLE_OK) {
        over(*transfer, usable_keys(transfer->body));
      } else if (transfer->refused) {
        over(*transfer, problem("leads to a loopback, link-local or multicast address"));
      } else if (code == CURLE_HTTP_RETURNED_ERROR) {
        long status = 0;
        curl_easy_getinfo(transfer->curl.get(), CURLINFO_RESPONSE_CODE, &status);
        over(*transfer, problem("answers with status " + std::to_string(status)));
      } else if (code == CURLE_WRITE_ERROR) {
        over(*transfer, problem("answers with more than 1 MiB"));
      } else {
        over(*transfer, problem(curl_easy_strerror(code)));
      }
    }
  }

  void lead_on(Transfer& transfer) {
    const auto address = keys_address(std::exchange(transfer.body, {}));
    if (!address) return over(transfer, address);
    transfer.discovered = true;
    prepare(transfer, *address);
    WEFT_ASSERT(curl_multi_add_handle(multi_, transfer.curl.get()) == CURLM_OK);
  }

  void over(const Transfer& transfer, const Parsed<std::string>& keys) {
    const std::string uri = transfer.uri;
    std::erase_if(transfers_, [&](const auto& one) { return one.get() == &transfer; });
    done(uri, keys);
  }

  void done(const std::string& uri, const Parsed<std::string>& keys) {
    const std::string trouble = keys ? "" : uri + ": " + keys.error().text;
    {
      const std::scoped_lock lock(mutex_);
      const auto found = known_.find(uri);
      if (found == known_.end()) return;  // nobody wants it any more
      Known& known = found->second;
      known.busy = false;
      moved_ = true;
      known.due = Clock::now() + (keys ? timing_.refresh : timing_.retry);
      const bool same = keys ? known.keys == *keys : known.trouble == trouble;
      known.trouble = trouble;
      if (!keys && known.keys && !same) spdlog::warn("the last key set stays in use: {}", trouble);
      if (same || (!keys && known.keys)) return;
      if (keys) known.keys = *keys;
    }
    if (keys) return fetched_(uri, keys);
    fetched_(uri, problem(trouble));
  }

  void run() {
    for (;;) {
      {
        const std::scoped_lock lock(mutex_);
        if (stop_) return;
      }
      moved_ = false;
      auto next = Clock::now() + std::chrono::seconds(10);
      for (const std::string& uri : due(next)) begin(uri);
      int running = 0;
      curl_multi_perform(multi_, &running);
      finished();
      if (moved_) continue;  // `next` is another, and there is room
      const auto wait = std::chrono::ceil<std::chrono::milliseconds>(next - Clock::now());
      curl_multi_poll(multi_, nullptr, 0, std::max(0, static_cast<int>(wait.count())), nullptr);
    }
  }

  const Timing timing_;
  const Reach reach_;
  const std::function<void(const std::string&, const Parsed<std::string>&)> fetched_;
  // The thread alone.
  CURLM* multi_ = nullptr;
  std::vector<std::unique_ptr<Transfer>> transfers_;
  bool moved_ = false;  // an address has another time when it is due

  std::mutex mutex_;
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
