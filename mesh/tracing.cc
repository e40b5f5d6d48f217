#include "mesh/tracing.h"

#include <algorithm>
#include <charconv>

#include "base/net.h"

namespace weft::mesh {
namespace {

constexpr std::string_view kZipkin = "zipkin://", kOtlp = "otlp://";
constexpr std::size_t kNameMax = 253, kPathMax = 1024;

bool is_letter_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool is_label(std::string_view label) {
  return !label.empty() && label.size() <= 63 && is_letter_or_digit(label.front()) &&
         is_letter_or_digit(label.back()) && std::ranges::all_of(label, [](char c) {
           return is_letter_or_digit(c) || c == '-' || c == '_';
         });
}

// Two labels or more, the last no number (then it was meant to be an address).
bool is_name(std::string_view host) {
  if (host.size() > kNameMax) return false;
  std::size_t labels = 0;
  for (;;) {
    const std::size_t dot = host.find('.');
    const std::string_view label = host.substr(0, dot);
    if (!is_label(label)) return false;
    ++labels;
    if (dot == std::string_view::npos)
      return labels > 1 && label.find_first_not_of("0123456789") != std::string_view::npos;
    host.remove_prefix(dot + 1);
  }
}

bool is_path(std::string_view path) {
  return path.size() <= kPathMax &&
         std::ranges::all_of(path, [](char c) { return c > ' ' && c < '\x7f'; });
}

// HOST:PORT into `out`; what is wrong with it, or "".
std::string take_authority(std::string_view text, Tracing& out) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || text.ends_with(']')) return "the port is missing";
  const std::string_view digits = text.substr(colon + 1);
  const char* end = digits.data() + digits.size();
  const auto parsed = std::from_chars(digits.data(), end, out.port);
  if (parsed.ec != std::errc() || parsed.ptr != end || out.port == 0) return "the port is no port";
  std::string_view host = text.substr(0, colon);
  const bool bracketed = host.size() > 2 && host.starts_with('[') && host.ends_with(']');
  if (bracketed) host = host.substr(1, host.size() - 2);
  const auto ip = IpAddress::parse(host);
  if (ip && ip->is_v4() == bracketed) return "an IPv6 address, and no other host, has brackets";
  if (!ip && (bracketed || !is_name(host)))
    return "the host is no IP address and no name with its namespace";
  out.host = ip ? ip->str() : std::string(host);
  return "";
}

}  // namespace

std::string Tracing::authority() const {
  const bool brackets = host.find(':') != std::string::npos;
  return (brackets ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

bool Tracing::names(std::string_view hostname) const {
  if (host.empty() || !hostname.starts_with(host)) return false;
  const std::string_view rest = hostname.substr(host.size());
  return rest.empty() || rest.starts_with(".svc.") || (host.ends_with(".svc") && rest[0] == '.');
}

Parsed<Tracing> parse_tracing(std::string_view text) {
  if (text.empty()) return Tracing{};
  const auto refuse = [&](const std::string& why) {
    return problem(
        "must be zipkin://HOST:PORT[/PATH] or otlp://HOST:PORT, HOST an IP address or "
        "SERVICE.NAMESPACE, got " +
        std::string(text) + ": " + why);
  };
  Tracing out;
  std::string_view rest = text;
  if (rest.starts_with(kZipkin)) {
    out.kind = Tracing::Kind::kZipkin;
    rest.remove_prefix(kZipkin.size());
  } else if (rest.starts_with(kOtlp)) {
    out.kind = Tracing::Kind::kOtlp;
    rest.remove_prefix(kOtlp.size());
  } else {
    return refuse("it starts with neither");
  }
  const std::size_t slash = rest.find('/');
  const std::string_view path = slash == std::string_view::npos ? "" : rest.substr(slash);
  if (const std::string why = take_authority(rest.substr(0, slash), out); !why.empty())
    return refuse(why);
  if (path.size() > 1 && out.kind == Tracing::Kind::kOtlp)
    return refuse("OTLP over gRPC has no path");
  if (!is_path(path)) return refuse("the path is no path");
  if (path.size() > 1) out.path = path;
  return out;
}

Parsed<double> parse_sampling(std::string_view text) {
  double percent = -1;
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, percent, std::chars_format::fixed);
  if (parsed.ec != std::errc() || parsed.ptr != end || !(percent >= 0 && percent <= 100))
    return problem("must be a percentage from 0 to 100, got " + std::string(text));
  return percent;
}

}  // namespace weft::mesh
