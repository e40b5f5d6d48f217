#include "mesh/identity.h"

#include <algorithm>

namespace weft::mesh {
namespace {

constexpr std::string_view kScheme = "spiffe://";

bool is_plain(std::string_view part) {
  return !part.empty() && std::all_of(part.begin(), part.end(), [](unsigned char c) {
    return c > 0x20 && c < 0x7f && c != '/' && c != '?' && c != '#' && c != '%';
  });
}

// Cuts the text up to the next '/' off `rest`.
std::string_view take_segment(std::string_view& rest) {
  const auto slash = rest.find('/');
  const auto segment = rest.substr(0, slash);
  rest = slash == std::string_view::npos ? std::string_view() : rest.substr(slash + 1);
  return segment;
}

}  // namespace

std::optional<Identity> Identity::parse(std::string_view uri) {
  if (!uri.starts_with(kScheme) || uri.size() > 2048) return std::nullopt;
  if (std::count(uri.begin(), uri.end(), '/') != 6) return std::nullopt;
  std::string_view rest = uri.substr(kScheme.size());
  const auto domain = take_segment(rest);
  const auto ns_word = take_segment(rest);
  const auto ns = take_segment(rest);
  const auto sa_word = take_segment(rest);
  if (ns_word != "ns" || sa_word != "sa") return std::nullopt;
  if (!is_plain(domain) || !is_plain(ns) || !is_plain(rest)) return std::nullopt;
  return Identity{std::string(domain), std::string(ns), std::string(rest)};
}

std::string Identity::principal() const { return trust_domain + "/ns/" + ns + "/sa/" + service_account; }

std::string Identity::str() const { return std::string(kScheme) + principal(); }

}  // namespace weft::mesh

std::size_t std::hash<weft::mesh::Identity>::operator()(const weft::mesh::Identity& id) const noexcept {
  const std::hash<std::string> h;
  return h(id.service_account) * 31 * 31 + h(id.ns) * 31 + h(id.trust_domain);
}
