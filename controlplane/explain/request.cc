#include "controlplane/explain/request.h"

#include <cctype>
#include <functional>
#include <set>

namespace weft::controlplane::explain {
namespace {

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

// "a." and "a.:80" are "a" and "a:80".
std::string without_dot(std::string authority) {
  const auto colon = authority.rfind(':');
  const bool port = colon != std::string::npos && authority.find(']', colon) == std::string::npos;
  const std::size_t end = port ? colon : authority.size();
  if (end > 0 && authority[end - 1] == '.') authority.erase(end - 1, 1);
  return authority;
}

}  // namespace

std::vector<std::string> Asked::header_values(const std::string& name) const {
  if (name == ":method") return {method};
  if (name == ":path") return {query.empty() ? path : path + "?" + query};
  if (name == ":authority" || name == "host") return {authority};
  if (name == ":scheme") return {"http"};
  std::vector<std::string> out;
  for (const auto& [key, value] : headers) {
    if (key == name) out.push_back(value);
  }
  return out;
}

std::optional<std::string> Asked::header(const std::string& name) const {
  const std::vector<std::string> all = header_values(name);
  if (all.empty()) return std::nullopt;
  std::string out = all.front();
  for (std::size_t i = 1; i < all.size(); ++i) out += "," + all[i];
  return out;
}

bool is_method(const std::string& text) {
  static const std::set<std::string, std::less<>> kMethods = {
      "ACL",       "BIND",     "CHECKOUT", "CONNECT", "COPY",       "DELETE",     "GET",
      "HEAD",      "LINK",     "LOCK",     "MERGE",   "MKACTIVITY", "MKCALENDAR", "MKCOL",
      "MOVE",      "M-SEARCH", "NOTIFY",   "OPTIONS", "PATCH",      "POST",       "PROPFIND",
      "PROPPATCH", "PURGE",    "PUT",      "REBIND",  "REPORT",     "SEARCH",     "SOURCE",
      "SUBSCRIBE", "TRACE",    "UNBIND",   "UNLINK",  "UNLOCK",     "UNSUBSCRIBE"};
  return kMethods.contains(text);
}

Asked ask(const Request& request, const Target& target) {
  Asked out{.method = request.method,
            .path = target.path,
            .query = target.query,
            .authority = without_dot(request.authority),
            .headers = {},
            .peer = request.peer,
            .client = request.client,
            .claims = nullptr};
  for (const auto& [given, value] : request.headers) {
    std::string name = lower(given);
    if (name == "host") {
      out.authority = without_dot(value);
    } else if (name != "x-forwarded-proto") {
      out.headers.emplace_back(std::move(name), value);
    }
  }
  out.headers.emplace_back("x-forwarded-proto", "http");  // the proxy says so
  return out;
}

}  // namespace weft::controlplane::explain
