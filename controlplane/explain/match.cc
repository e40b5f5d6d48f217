#include "controlplane/explain/match.h"

#include <re2/re2.h>

#include <algorithm>
#include <cctype>

#include "mesh/identity.h"

namespace weft::controlplane::explain {
namespace {

using model::TextMatch;
using Kind = TextMatch::Kind;

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

bool matches_regex(const TextMatch& match, std::string_view text) {
  RE2::Options options(RE2::Quiet);
  options.set_case_sensitive(!match.ignore_case);
  const RE2 pattern(match.value, options);
  if (!pattern.ok()) return false;
  const re2::StringPiece piece(text.data(), text.size());
  const auto anchor = match.kind == Kind::kRegexFull ? RE2::ANCHOR_BOTH : RE2::ANCHOR_START;
  return pattern.Match(piece, 0, piece.size(), anchor, nullptr, 0);
}

bool matches_segments(std::string_view prefix, std::string_view path) {
  while (prefix.ends_with('/')) prefix.remove_suffix(1);
  if (!path.starts_with(prefix)) return false;
  return path.size() == prefix.size() || path[prefix.size()] == '/';
}

// `{*}` takes one segment, `{**}` the rest.
bool matches_template(std::string_view pattern, std::string_view path) {
  std::string regex;
  while (!pattern.empty()) {
    const bool rest = pattern.starts_with("{**}"), one = pattern.starts_with("{*}");
    const std::size_t size =
        rest  ? 4
        : one ? 3
              : std::max<std::size_t>(1, std::min(pattern.find('{', 1), pattern.size()));
    regex += rest ? ".*" : one ? "[^/]+" : RE2::QuoteMeta({pattern.data(), size});
    pattern.remove_prefix(size);
  }
  return matches_regex({.kind = Kind::kRegexFull, .value = regex}, path);
}

// A value that comes several times: one that matches is enough, and with a negation too much.
// Missing: presence is asked for, or a negation, of which nothing counts as empty.
bool holds(const model::NamedMatch& match, const std::vector<std::string>& values) {
  if (match.text.kind == Kind::kPresent) return !values.empty() != match.invert;
  if (match.text.kind == Kind::kAbsent) return values.empty() != match.invert;
  const bool any = std::any_of(values.begin(), values.end(), [&](const std::string& value) {
    return matches(match.text, value);
  });
  if (!match.invert) return any;
  return !any && (!values.empty() || !matches(match.text, ""));
}

// As it stands in the target: not decoded; the first of several.
std::vector<std::string> query_value(const std::string& query, const std::string& name) {
  std::string_view rest = query;
  while (!rest.empty()) {
    const auto end = std::min(rest.find('&'), rest.size());
    const std::string_view one = rest.substr(0, end);
    const auto equals = std::min(one.find('='), one.size());
    if (one.substr(0, equals) == name)
      return {std::string(one.substr(std::min(equals + 1, one.size())))};
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return {};
}

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> out(1);
  for (const char c : text) {
    if (c == '.') {
      out.emplace_back();
    } else {
      out.back() += c;
    }
  }
  return out;
}

bool holds_claim(const model::NamedMatch& match, const Asked& asked) {
  const bool absent = match.text.kind == Kind::kAbsent;
  TextMatch text = match.text;
  if (absent) text.kind = Kind::kPresent;
  return matches_claim(asked.claims, split(match.name), text) != (match.invert != absent);
}

bool matches_grpc(const model::RequestMatch& match, const std::string& path) {
  if (match.grpc_service.empty() && match.grpc_method.empty()) return true;
  const auto slash = path.find('/', 1);
  if (path.empty() || slash == std::string::npos) return false;
  const std::string service = path.substr(1, slash - 1), method = path.substr(slash + 1);
  return (match.grpc_service.empty() || service == match.grpc_service) &&
         (match.grpc_method.empty() || method == match.grpc_method);
}

bool is_in(const std::vector<std::string>& namespaces, const Asked& asked) {
  const auto peer = asked.peer ? mesh::Identity::parse(*asked.peer) : std::nullopt;
  return peer && std::find(namespaces.begin(), namespaces.end(), peer->ns) != namespaces.end();
}

}  // namespace

bool matches(const TextMatch& match, std::string_view given) {
  if (match.kind == Kind::kRegexFull || match.kind == Kind::kRegexStart)
    return matches_regex(match, given);
  const std::string text = match.ignore_case ? lower(given) : std::string(given);
  const std::string value = match.ignore_case ? lower(match.value) : match.value;
  switch (match.kind) {
    case Kind::kExact:
      return text == value;
    case Kind::kPrefix:
      return text.starts_with(value);
    case Kind::kSegmentPrefix:
      return matches_segments(value, text);
    case Kind::kSuffix:
      return text.ends_with(value);
    case Kind::kContains:
      return text.find(value) != std::string::npos;
    case Kind::kTemplate:
      return matches_template(value, text);
    case Kind::kPresent:
      return !text.empty();
    default:
      return false;
  }
}

bool matches_claim(const nlohmann::json& claims, const std::vector<std::string>& path,
                   const TextMatch& match) {
  const nlohmann::json* at = &claims;
  for (const std::string& part : path) {
    if (!at->is_object() || !at->contains(part)) return false;
    at = &(*at)[part];
  }
  const auto is = [&](const nlohmann::json& one) {
    return one.is_string() && matches(match, one.get_ref<const std::string&>());
  };
  return at->is_array() ? std::any_of(at->begin(), at->end(), is) : is(*at);
}

bool matches(const model::RequestMatch& match, const Asked& asked, std::uint16_t port) {
  if (match.port && *match.port != port) return false;
  if (match.path && match.path->kind != Kind::kPresent && match.path->kind != Kind::kAbsent &&
      !matches(*match.path, asked.path))
    return false;
  if (!matches_grpc(match, asked.path)) return false;
  if (match.method && !matches(*match.method, asked.method)) return false;
  if (match.scheme && !matches(*match.scheme, "http")) return false;
  if (match.authority && !matches(*match.authority, asked.authority)) return false;
  for (const model::NamedMatch& one : match.headers) {
    if (!holds(one, asked.header_values(one.name))) return false;
  }
  for (const model::NamedMatch& one : match.query) {
    if (!holds(one, query_value(asked.query, one.name))) return false;
  }
  for (const model::NamedMatch& one : match.claims) {
    if (!holds_claim(one, asked)) return false;
  }
  if (match.source_namespace && !is_in({*match.source_namespace}, asked)) return false;
  if (match.source_labels.empty()) return true;
  return match.source_addresses &&
         std::find(match.source_addresses->begin(), match.source_addresses->end(), asked.client) !=
             match.source_addresses->end();
}

bool takes(const model::PlanRoute& route, const Asked& asked, std::uint16_t port) {
  if (!route.client_namespaces.empty() && !is_in(route.client_namespaces, asked)) return false;
  if (!route.client_principals.empty()) {
    const auto same = [&](const std::string& one) { return asked.peer == "spiffe://" + one; };
    if (!std::any_of(route.client_principals.begin(), route.client_principals.end(), same))
      return false;
  }
  const auto& matches_of = route.rule.matches;
  return matches_of.empty() ||
         std::any_of(matches_of.begin(), matches_of.end(),
                     [&](const model::RequestMatch& one) { return matches(one, asked, port); });
}

}  // namespace weft::controlplane::explain
