#include "ztunnel/admin/http.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace weft::admin {
namespace {

int hex_of(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::string percent_decode(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && hex_of(text[i + 1]) >= 0 && hex_of(text[i + 2]) >= 0) {
      out += static_cast<char>(hex_of(text[i + 1]) * 16 + hex_of(text[i + 2]));
      i += 2;
    } else {
      out += text[i] == '+' ? ' ' : text[i];
    }
  }
  return out;
}

void parse_query(std::string_view query, std::map<std::string, std::string>& out) {
  while (!query.empty()) {
    const auto end = std::min(query.find('&'), query.size());
    const auto pair = query.substr(0, end);
    const auto equals = std::min(pair.find('='), pair.size());
    out[percent_decode(pair.substr(0, equals))] =
        equals < pair.size() ? percent_decode(pair.substr(equals + 1)) : std::string();
    query.remove_prefix(std::min(end + 1, query.size()));
  }
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), [](unsigned char c) { return std::tolower(c); });
  return out;
}

Parsed<void> parse_header(std::string_view line, HttpRequest& out) {
  const auto colon = line.find(':');
  if (colon == std::string_view::npos || colon == 0) return problem("a header line without a name");
  auto value = line.substr(colon + 1);
  while (value.starts_with(' ') || value.starts_with('\t')) value.remove_prefix(1);
  const auto name = lower(line.substr(0, colon));
  if (name == "transfer-encoding") return problem("transfer-encoding is not supported");
  if (name != "content-length") return {};
  const auto parsed = std::from_chars(value.data(), value.data() + value.size(), out.content_length);
  if (parsed.ec != std::errc() || parsed.ptr != value.data() + value.size()) return problem("a bad content-length");
  if (out.content_length > kBodyMax) return problem("a body that is too long");
  return {};
}

const char* reason(int status) {
  switch (status) {
    case 200: return "OK";
    case 400: return "Bad Request";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 503: return "Service Unavailable";
    default: return "Error";
  }
}

}  // namespace

std::optional<std::string> HttpRequest::parameter(const std::string& name) const {
  const auto it = query.find(name);
  if (it == query.end()) return std::nullopt;
  return it->second;
}

Parsed<HttpRequest> parse_head(std::string_view head) {
  HttpRequest out;
  const auto line_end = head.find("\r\n");
  if (line_end == std::string_view::npos) return problem("no request line");
  const auto line = head.substr(0, line_end);
  const auto first = line.find(' ');
  const auto last = line.rfind(' ');
  if (first == std::string_view::npos || last == first) return problem("a bad request line");
  if (!line.substr(last + 1).starts_with("HTTP/1.")) return problem("not HTTP/1");
  out.method = line.substr(0, first);
  const auto target = line.substr(first + 1, last - first - 1);
  if (!target.starts_with('/')) return problem("a target that is no path");
  const auto question = std::min(target.find('?'), target.size());
  out.path = percent_decode(target.substr(0, question));
  if (question < target.size()) parse_query(target.substr(question + 1), out.query);
  auto rest = head.substr(line_end + 2);
  while (!rest.empty() && !rest.starts_with("\r\n")) {
    const auto end = rest.find("\r\n");
    if (end == std::string_view::npos) return problem("a header line without an end");
    if (auto header = parse_header(rest.substr(0, end), out); !header) return problem(header.error().text);
    rest.remove_prefix(end + 2);
  }
  return out;
}

std::string format_response(const HttpResponse& response, bool head_only) {
  return fmt::format(
      "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\nX-Content-Type-Options: "
      "nosniff\r\n\r\n{}",
      response.status, reason(response.status), response.content_type, response.body.size(),
      head_only ? std::string_view() : std::string_view(response.body));
}

}  // namespace weft::admin
