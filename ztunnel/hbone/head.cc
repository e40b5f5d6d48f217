#include "ztunnel/hbone/head.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace weft::hbone {
namespace {

std::optional<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size() || port == 0) return std::nullopt;
  return port;
}

// What a host name may be made of; no user info, no brackets, no spaces.
bool is_host(std::string_view text) {
  return !text.empty() && text.size() <= 253 && std::ranges::all_of(text, [](unsigned char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
  });
}

bool is_lower_hex(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}
bool is_zero(std::string_view hex) { return hex.find_first_not_of('0') == std::string_view::npos; }

}  // namespace

std::optional<Authority> Authority::parse(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const std::optional<std::uint16_t> port = parse_port(text.substr(colon + 1));
  std::string_view host = text.substr(0, colon);
  if (!port) return std::nullopt;
  if (host.starts_with('[')) {
    if (!host.ends_with(']')) return std::nullopt;
    host = host.substr(1, host.size() - 2);
    const std::optional<IpAddress> ip = IpAddress::parse(host);
    if (!ip || host.find(':') == std::string_view::npos) return std::nullopt;
    return Authority{ip, std::string(host), *port};
  }
  if (!is_host(host)) return std::nullopt;
  return Authority{IpAddress::parse(host), std::string(host), *port};
}

std::string format_forwarded(const SocketAddress& client, std::string_view host) {
  std::string out = "for=\"" + client.str() + "\"";
  if (!host.empty()) out.append(";host=").append(host);
  return out;
}

std::string_view forwarded_host(std::string_view header) {
  if (std::ranges::any_of(header, [](unsigned char c) { return c >= 0x80; })) return {};
  while (!header.empty()) {
    const std::size_t end = header.find(';');
    std::string_view part = header.substr(0, end);
    header = end == std::string_view::npos ? std::string_view() : header.substr(end + 1);
    if (!part.starts_with("host=")) continue;
    part.remove_prefix(5);
    if (part.size() >= 2 && part.front() == '"' && part.back() == '"') part = part.substr(1, part.size() - 2);
    return part;
  }
  return {};
}

bool is_traceparent(std::string_view header) {
  return header.size() == 55 && header.starts_with("00-") && header[35] == '-' && header[52] == '-' &&
         is_lower_hex(header.substr(3, 32)) && is_lower_hex(header.substr(36, 16)) && is_lower_hex(header.substr(53, 2)) &&
         !is_zero(header.substr(3, 32)) && !is_zero(header.substr(36, 16));
}

std::string make_traceparent(std::uint64_t trace_high, std::uint64_t trace_low, std::uint64_t span) {
  if (trace_high == 0 && trace_low == 0) trace_low = 1;
  return fmt::format("00-{:016x}{:016x}-{:016x}-00", trace_high, trace_low, span == 0 ? 1 : span);
}

int status_of(const Error& error) {
  switch (error.code) {
    case Code::kMalformed:
      return kStatusBadRequest;
    case Code::kDenied:
      return kStatusUnauthorized;
    default:
      return kStatusServiceUnavailable;
  }
}

Error error_of_status(int status) {
  switch (status) {
    case kStatusBadRequest:
      return {Code::kMalformed, 0, "peer answered 400"};
    case kStatusUnauthorized:
      return {Code::kDenied, 0, "peer answered 401"};
    case kStatusServiceUnavailable:
      return {Code::kUnreachable, 0, "peer answered 503"};
    default:
      return {Code::kUnreachable, 0, "peer answered neither 200, 400, 401 nor 503"};
  }
}

}  // namespace weft::hbone
