// HTTP/1.1 as far as an admin port needs it: one request, one response, connection closed. Pure.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace weft::admin {

inline constexpr std::size_t kHeadMax = 16 * 1024;  // bytes of request line and headers
inline constexpr std::size_t kBodyMax = 64 * 1024;

struct HttpRequest {
  std::string method;
  std::string path;                            // without the query, percent-decoded
  std::map<std::string, std::string> query;    // percent-decoded
  std::size_t content_length = 0;
  std::string body;

  // The value of a query parameter, or nullopt.
  std::optional<std::string> parameter(const std::string& name) const;
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
};

// `head` ends with the empty line. Errors: one sentence (400).
Parsed<HttpRequest> parse_head(std::string_view head);
std::string format_response(const HttpResponse& response, bool head_only);

}  // namespace weft::admin
