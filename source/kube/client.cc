#include "source/kube/client.h"

#include <algorithm>
#include <atomic>
#include <nlohmann/json.hpp>

#include "base/assert.h"
#include "source/kube/transport.h"

namespace weft::source::kube {

struct Client::State {
  Access access;
  CURL* curl = nullptr;
  std::string body;
  std::atomic<bool> stop{false};
};

namespace {

std::size_t take(char* data, std::size_t size, std::size_t count, void* body) {
  auto& out = *static_cast<std::string*>(body);
  if (out.size() + size * count > kReplyMax) return 0;
  out.append(data, size * count);
  return size * count;
}

// curl asks at least once a second, whatever the network does.
int asked_to_stop(void* stop, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  return static_cast<std::atomic<bool>*>(stop)->load() ? 1 : 0;
}

}  // namespace

std::string Reply::describe() const {
  if (!error.empty()) return error;
  const auto parsed = nlohmann::json::parse(body, nullptr, false);
  const std::string head = "HTTP " + std::to_string(status) + " ";
  if (parsed.is_object() && parsed.contains("message") && parsed["message"].is_string())
    return head + parsed["message"].get<std::string>().substr(0, 400);
  return head + body.substr(0, 200);
}

Client::Client(const Access& access) : state_(std::make_unique<State>()) {
  curl_global_init(CURL_GLOBAL_DEFAULT);
  state_->access = access;
  state_->curl = curl_easy_init();
  WEFT_ASSERT(state_->curl != nullptr);
}

Client::~Client() { curl_easy_cleanup(state_->curl); }

void Client::stop() { state_->stop = true; }

Reply Client::call(const Call& call) {
  if (state_->stop) return {.error = "stopping"};
  CURL* curl = state_->curl;
  state_->body.clear();
  curl_slist* headers = prepare(curl, state_->access, call.path);
  curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, call.method);
  if (!call.body.empty()) {
    headers = curl_slist_append(headers, ("Content-Type: " + call.content_type).c_str());
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, call.body.data());
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(call.body.size()));
  }
  curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, static_cast<long>(call.limit.count()));
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &state_->body);
  curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, asked_to_stop);
  curl_easy_setopt(curl, CURLOPT_XFERINFODATA, &state_->stop);
  const CURLcode code = curl_easy_perform(curl);
  Reply reply{.body = std::move(state_->body)};
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &reply.status);
  curl_off_t retry_after = 0;
  curl_easy_getinfo(curl, CURLINFO_RETRY_AFTER, &retry_after);
  reply.retry_after = std::chrono::seconds(std::clamp<curl_off_t>(retry_after, 0, 3600));
  if (code != CURLE_OK) reply.error = curl_easy_strerror(code);
  curl_slist_free_all(headers);
  return reply;
}

}  // namespace weft::source::kube
