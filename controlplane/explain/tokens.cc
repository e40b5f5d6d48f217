#include "controlplane/explain/tokens.h"

#include <algorithm>
#include <cstdint>

#include "base/base64url.h"
#include "controlplane/explain/signature.h"

namespace weft::controlplane::explain {
namespace {

using nlohmann::json;

constexpr std::int64_t kSkewSeconds = 60;  // Envoy's

std::optional<std::string> of_header(const Asked& asked, const std::string& name,
                                     const std::string& prefix) {
  std::string lower = name;
  for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  const auto value = asked.header(lower);
  if (!value) return std::nullopt;
  const auto at = value->find(prefix);
  if (at == std::string::npos) return std::nullopt;
  const std::string rest = value->substr(at + prefix.size());
  constexpr const char* kOfTokens =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=.+/";
  const auto begin = rest.find_first_of(kOfTokens);
  if (begin == std::string::npos) return std::nullopt;
  return rest.substr(begin,
                     std::min(rest.find_first_not_of(kOfTokens, begin), rest.size()) - begin);
}

// "a=1<separator>b=2"
std::optional<std::string> of_list(const std::string& list, char separator,
                                   const std::string& name) {
  for (std::size_t at = 0; at < list.size();) {
    const std::size_t end = std::min(list.find(separator, at), list.size());
    std::size_t begin = at;
    while (begin < end && list[begin] == ' ') ++begin;
    if (list.compare(begin, name.size() + 1, name + "=") == 0)
      return list.substr(begin + name.size() + 1, end - begin - name.size() - 1);
    at = end + 1;
  }
  return std::nullopt;
}

std::vector<std::string> tokens_of(const model::JwtRule& rule, const Asked& asked) {
  std::vector<std::string> out;
  const auto add = [&](const std::optional<std::string>& one) {
    if (one) out.push_back(*one);
  };
  if (rule.from_headers.empty() && rule.from_params.empty() && rule.from_cookies.empty()) {
    add(of_header(asked, "authorization", "Bearer "));
    add(of_list(asked.query, '&', "access_token"));
    return out;
  }
  for (const auto& one : rule.from_headers) add(of_header(asked, one.name, one.prefix));
  for (const auto& one : rule.from_params) add(of_list(asked.query, '&', one));
  for (const auto& one : rule.from_cookies)
    add(of_list(asked.header("cookie").value_or(""), ';', one));
  return out;
}

struct Token {
  json head, claims;
  std::string text, signature;
};
std::optional<Token> parse(const std::string& text) {
  const auto first = text.find('.'), last = text.rfind('.');
  if (first == std::string::npos || first == last || text.find('.', first + 1) != last)
    return std::nullopt;
  const auto head = base64url_decoded(std::string_view(text).substr(0, first));
  const auto claims = base64url_decoded(std::string_view(text).substr(first + 1, last - first - 1));
  const auto signature = base64url_decoded(std::string_view(text).substr(last + 1));
  if (!head || !claims || !signature) return std::nullopt;
  Token out{.head = json::parse(*head, nullptr, false),
            .claims = json::parse(*claims, nullptr, false),
            .text = text.substr(0, last),
            .signature = *signature};
  if (!out.head.is_object() || !out.claims.is_object()) return std::nullopt;
  return out;
}

std::string text_of(const json& object, const char* member) {
  return object.contains(member) && object[member].is_string() ? object[member].get<std::string>()
                                                               : "";
}

bool is_for(const json& claims, const std::vector<std::string>& audiences) {
  if (audiences.empty()) return true;
  const auto wanted = [&](const json& one) {
    return one.is_string() &&
           std::find(audiences.begin(), audiences.end(), one.get<std::string>()) != audiences.end();
  };
  if (!claims.contains("aud")) return false;
  const json& aud = claims["aud"];
  return aud.is_array() ? std::any_of(aud.begin(), aud.end(), wanted) : wanted(aud);
}

// A list that is written as words.
void split_words(json& claims, const char* name) {
  if (!claims.contains(name) || !claims[name].is_string()) return;
  const std::string text = claims[name];
  json words = json::array();
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find(' ', at), text.size());
    if (end > at) words.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  claims[name] = std::move(words);
}

TokenVerdict judge_token(const model::JwtRule& rule, const std::string& text, std::int64_t now) {
  auto token = parse(text);
  if (!token) return {401, "the token is no JWT", nullptr};
  if (!rule.issuer.empty() && text_of(token->claims, "iss") != rule.issuer)
    return {401, "no rule is about its issuer \"" + text_of(token->claims, "iss") + "\"", nullptr};
  const auto time = [&](const char* name) -> std::optional<double> {
    if (!token->claims.contains(name) || !token->claims[name].is_number()) return std::nullopt;
    return token->claims[name].get<double>();
  };
  const auto expires = time("exp"), begins = time("nbf");
  if (begins && static_cast<double>(now + kSkewSeconds) < *begins)
    return {401, "the token is not valid yet", nullptr};
  if (expires && static_cast<double>(now - kSkewSeconds) > *expires)
    return {401, "the token is expired", nullptr};
  if (!is_for(token->claims, rule.audiences))
    return {403, "the token is for another audience", nullptr};
  switch (verify(json::parse(rule.jwks, nullptr, false), text_of(token->head, "alg"),
                 text_of(token->head, "kid"), token->text, token->signature)) {
    case Signed::kNoKey:
      return {401, "no key of issuer " + rule.issuer + " is the token's", nullptr};
    case Signed::kBad:
      return {401, "the token is not signed by issuer " + rule.issuer, nullptr};
    case Signed::kGood:
      break;
  }
  split_words(token->claims, "scope");
  split_words(token->claims, "permission");
  return {0, "a good token of issuer " + rule.issuer, std::move(token->claims)};
}

}  // namespace

TokenVerdict judge_tokens(const std::vector<model::JwtRule>& rules, const Asked& asked,
                          WallClock::time_point now) {
  const std::int64_t seconds =
      std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count();
  TokenVerdict worst;
  bool about = false;  // `worst` is of a rule with the token's issuer
  for (const model::JwtRule& rule : rules) {
    for (const std::string& text : tokens_of(rule, asked)) {
      TokenVerdict one = judge_token(rule, text, seconds);
      if (one.status == 0) return one;
      const auto token = parse(text);
      const bool same = token && text_of(token->claims, "iss") == rule.issuer;
      if (worst.status == 0 || (same && !about)) worst = std::move(one);
      about = about || same;
    }
  }
  return worst;
}

}  // namespace weft::controlplane::explain
