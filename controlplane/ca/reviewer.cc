#include "controlplane/ca/reviewer.h"

#include <openssl/sha.h>

#include <nlohmann/json.hpp>
#include <utility>

namespace weft::controlplane::ca {
namespace {

using nlohmann::json;

constexpr std::size_t kTokenMax = 16 << 10;

std::string digest(const std::string& token) {
  std::string out(SHA256_DIGEST_LENGTH, '\0');
  SHA256(reinterpret_cast<const unsigned char*>(token.data()), token.size(),
         reinterpret_cast<unsigned char*>(out.data()));
  return out;
}

const json& member(const json& object, const char* key) {
  static const json kNone;
  if (!object.is_object()) return kNone;
  const auto found = object.find(key);
  return found == object.end() ? kNone : *found;
}

std::string text_of(const json& object, const char* key) {
  const json& value = member(object, key);
  return value.is_string() ? value.get<std::string>() : "";
}

// user.extra: a list a key; we want the one value.
std::string extra(const json& user, const char* key) {
  const json& list =
      member(member(user, "extra"), (std::string("authentication.kubernetes.io/") + key).c_str());
  return list.is_array() && list.size() == 1 && list[0].is_string() ? list[0].get<std::string>()
                                                                    : "";
}

}  // namespace

Reviewer::Reviewer(std::string trust_domain, ReviewerOptions options)
    : trust_domain_(std::move(trust_domain)), options_(std::move(options)) {}

std::optional<Caller> Reviewer::read(const std::string& answer, const std::string& trust_domain,
                                     const ReviewerOptions& options) {
  const json parsed = json::parse(answer, nullptr, false);
  const json& status = member(parsed, "status");
  if (member(status, "authenticated") != true) return std::nullopt;
  // A server that knows no audiences leaves them out, and has then not checked ours.
  bool for_us = false;
  if (const json& audiences = member(status, "audiences"); audiences.is_array()) {
    for (const json& one : audiences) for_us |= one == options.audience;
  }
  if (!for_us) return std::nullopt;
  const json& user = member(status, "user");
  constexpr std::string_view kPrefix = "system:serviceaccount:";
  const std::string name = text_of(user, "username");
  const auto colon = name.find(':', kPrefix.size());
  if (!name.starts_with(kPrefix) || colon == std::string::npos) return std::nullopt;
  const std::string ns = name.substr(kPrefix.size(), colon - kPrefix.size());
  const std::string account = name.substr(colon + 1);
  const std::string pod = extra(user, "pod-name");
  Caller caller;
  caller.pod_uid = extra(user, "pod-uid");
  if (pod.empty() || caller.pod_uid.empty()) return std::nullopt;
  caller.pod = ns + "/" + pod;
  caller.identity = mesh::Identity{trust_domain, ns, account};
  if (mesh::Identity::parse(caller.identity->str()) != caller.identity) return std::nullopt;
  if (options.node_accounts.contains(ns + "/" + account)) caller.node = extra(user, "node-name");
  return caller;
}

std::optional<Caller> Reviewer::find(const std::string& token, WallClock::time_point now) {
  if (token.empty() || token.size() > kTokenMax) return std::nullopt;
  const std::string key = digest(token);
  const std::scoped_lock lock(mutex_);
  const auto known = known_.find(key);
  // A clock that was set back must not keep anything longer.
  if (known != known_.end() && now < known->second.until && known->second.until <= now + kKept)
    return known->second.caller;
  const json review{{"apiVersion", "authentication.k8s.io/v1"},
                    {"kind", "TokenReview"},
                    {"spec", {{"token", token}, {"audiences", {options_.audience}}}}};
  const auto answer = options_.ask(review.dump(-1, ' ', false, json::error_handler_t::replace));
  std::optional<Caller> caller;
  if (answer) caller = read(*answer, trust_domain_, options_);
  if (known_.size() >= kKeptMax) known_.clear();
  known_[key] = {caller, now + (caller ? kKept : kKeptBad)};
  return caller;
}

}  // namespace weft::controlplane::ca
