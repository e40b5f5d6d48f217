#include "controlplane/explain/rewrite.h"

#include <re2/re2.h>

namespace weft::controlplane::explain {
namespace {

using Kind = model::TextMatch::Kind;

std::string by_prefix(const model::Rewrite& rewrite, const model::TextMatch& match,
                      const std::string& path) {
  if (match.kind == Kind::kPrefix) return rewrite.path + path.substr(match.value.size());
  std::string prefix = match.value, by = rewrite.path;
  while (prefix.ends_with('/')) prefix.pop_back();
  while (by.ends_with('/')) by.pop_back();
  std::string rest = path.substr(prefix.size());
  if (!by.empty()) return by + rest;
  while (rest.starts_with('/')) rest.erase(0, 1);
  return "/" + rest;
}

}  // namespace

std::string rewritten(const model::Rewrite& rewrite, const std::optional<model::TextMatch>& match,
                      const std::string& path) {
  switch (rewrite.path_kind) {
    case model::Rewrite::Kind::kNone:
      return path;
    case model::Rewrite::Kind::kRegex: {
      std::string out = path;
      RE2::GlobalReplace(&out, rewrite.regex, rewrite.path);
      return out;
    }
    case model::Rewrite::Kind::kPrefix:
      if (!match) return rewrite.path.empty() ? path : rewrite.path + path.substr(1);
      if (match->kind == Kind::kPrefix || match->kind == Kind::kSegmentPrefix)
        return by_prefix(rewrite, *match, path);
      break;
    case model::Rewrite::Kind::kFull:
      break;
  }
  return rewrite.path.empty() ? "/" : rewrite.path;
}

std::string location(const model::Redirect& redirect, const std::optional<model::TextMatch>& match,
                     const Asked& asked) {
  const std::string scheme = redirect.scheme.empty() ? "http" : redirect.scheme;
  const std::string& named = redirect.authority.empty() ? asked.authority : redirect.authority;
  const auto colon = named.rfind(':');
  const bool has_port = colon != std::string::npos && named.find(']', colon) == std::string::npos;
  std::string host = has_port ? named.substr(0, colon) : named;
  std::string port = has_port ? named.substr(colon + 1) : "";
  const bool of_request = redirect.authority.empty();
  if (redirect.port) {
    const std::string own = std::to_string(*redirect.port);
    const bool unsaid = redirect.port_unsaid && (!of_request || port.empty());
    port = unsaid ? "" : own;
  } else if (of_request && !redirect.scheme.empty() && (port == "80" || port == "443")) {
    port.clear();
  }
  std::string path = asked.path;
  if (redirect.path.path_kind != model::Rewrite::Kind::kNone)
    path = rewritten(redirect.path, match, path);
  if (!asked.query.empty() && path.find('?') == std::string::npos) path += "?" + asked.query;
  return scheme + "://" + host + (port.empty() ? "" : ":" + port) + path;
}

}  // namespace weft::controlplane::explain
