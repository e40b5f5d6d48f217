#include "controlplane/backends/envoy/match.h"

namespace weft::controlplane::envoy {
namespace {

namespace route = ::envoy::config::route::v3;
namespace matcher = ::envoy::type::matcher::v3;
using Kind = model::TextMatch::Kind;

std::string template_pattern(std::string_view text) {
  std::string out;
  for (;;) {
    const auto open = text.find('{');
    if (open == std::string_view::npos) return out + quote(text);
    out += quote(text.substr(0, open));
    text.remove_prefix(open);
    if (text.starts_with("{**}")) {
      out += ".*";
      text.remove_prefix(4);
    } else if (text.starts_with("{*}")) {
      out += "[^/]+";
      text.remove_prefix(3);
    } else {
      out += quote("{");
      text.remove_prefix(1);
    }
  }
}

std::string folded(const model::TextMatch& text) {
  return (text.ignore_case ? "(?i)" : "") + pattern_of(text);
}

void encode_header(const std::string& name, const model::TextMatch& text, bool invert,
                   route::HeaderMatcher& out) {
  out.set_name(name);
  if (text.kind == Kind::kPresent || text.kind == Kind::kAbsent) {
    out.set_present_match((text.kind == Kind::kPresent) != invert);
    return;
  }
  encode(text, *out.mutable_string_match());
  if (!invert) return;
  out.set_invert_match(true);
  out.set_treat_missing_header_as_empty(true);
}

void encode_path(const model::TextMatch& path, route::RouteMatch& out) {
  auto regex = [&](const std::string& text) { out.mutable_safe_regex()->set_regex(text); };
  if (path.ignore_case && (path.kind == Kind::kExact || path.kind == Kind::kPrefix))
    out.mutable_case_sensitive()->set_value(false);
  switch (path.kind) {
    case Kind::kExact:
      out.set_path(path.value);
      return;
    case Kind::kPrefix:
      out.set_prefix(path.value);
      return;
    case Kind::kSegmentPrefix: {
      std::string prefix = path.value;
      while (prefix.ends_with('/')) prefix.pop_back();
      if (prefix.empty()) {
        out.set_prefix("/");
      } else {
        out.set_path_separated_prefix(prefix);
        if (path.ignore_case) out.mutable_case_sensitive()->set_value(false);
      }
      return;
    }
    case Kind::kPresent:
    case Kind::kAbsent:
      out.set_prefix("/");
      return;
    default:
      regex(folded(path));
  }
}

// Service and method are the path of a gRPC request.
bool encode_grpc(const model::RequestMatch& match, route::RouteMatch& out) {
  if (match.grpc_service.empty() && match.grpc_method.empty()) return true;
  if (match.path) return false;
  if (match.grpc_method.empty()) {
    out.set_prefix("/" + match.grpc_service + "/");
  } else if (match.grpc_service.empty()) {
    out.mutable_safe_regex()->set_regex("/[^/]+/" + quote(match.grpc_method));
  } else {
    out.set_path("/" + match.grpc_service + "/" + match.grpc_method);
  }
  return true;
}

bool encode_query(const model::NamedMatch& query, route::RouteMatch& out) {
  if (query.invert || query.text.kind == Kind::kAbsent) return false;
  route::QueryParameterMatcher& wire = *out.add_query_parameters();
  wire.set_name(query.name);
  if (query.text.kind == Kind::kPresent) {
    wire.set_present_match(true);
  } else {
    encode(query.text, *wire.mutable_string_match());
  }
  return true;
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

void only_state(const char* key, const std::string& regex, route::RouteMatch& out) {
  matcher::FilterStateMatcher& state = *out.add_filter_state();
  state.set_key(key);
  state.mutable_string_match()->mutable_safe_regex()->set_regex(regex);
}

}  // namespace

std::string quote(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '_' || c == '/' || c == '-' || static_cast<unsigned char>(c) >= 0x80;
    if (!plain) out += '\\';
    out += c;
  }
  return out;
}

std::string pattern_of(const model::TextMatch& text, std::string_view any) {
  const std::string rest = std::string(any) + "*";
  switch (text.kind) {
    case Kind::kExact:
      return quote(text.value);
    case Kind::kPrefix:
      return quote(text.value) + rest;
    case Kind::kSegmentPrefix: {
      std::string prefix = text.value;
      while (prefix.ends_with('/')) prefix.pop_back();
      return quote(prefix) + "(?:/.*)?";
    }
    case Kind::kSuffix:
      return rest + quote(text.value);
    case Kind::kContains:
      return rest + quote(text.value) + rest;
    case Kind::kRegexFull:
      return "(?:" + text.value + ")";
    case Kind::kRegexStart:
      return "(?:" + text.value + ")" + rest;
    case Kind::kTemplate:
      return template_pattern(text.value);
    case Kind::kPresent:
    case Kind::kAbsent:
      break;
  }
  return std::string(any) + "+";
}

void encode(const model::TextMatch& text, matcher::StringMatcher& out) {
  const bool literal = !text.value.empty() || text.kind == Kind::kExact;
  if (literal && (text.kind == Kind::kExact || text.kind == Kind::kPrefix ||
                  text.kind == Kind::kSuffix || text.kind == Kind::kContains)) {
    if (text.kind == Kind::kExact) out.set_exact(text.value);
    if (text.kind == Kind::kPrefix) out.set_prefix(text.value);
    if (text.kind == Kind::kSuffix) out.set_suffix(text.value);
    if (text.kind == Kind::kContains) out.set_contains(text.value);
    if (text.ignore_case) out.set_ignore_case(true);
    return;
  }
  out.mutable_safe_regex()->set_regex(folded(text));
}

void encode_claim(const std::vector<std::string>& path, const model::TextMatch& text,
                  matcher::MetadataMatcher& out) {
  out.set_filter(kJwtMetadata);
  out.add_path()->set_key(kJwtPayload);
  for (const std::string& part : path) out.add_path()->set_key(part);
  if (text.kind == Kind::kPresent) {
    // Any value at all would do for a scalar or a map; texts and lists are what claims are.
    matcher::OrMatcher& either = *out.mutable_value()->mutable_or_match();
    either.add_value_matchers()->mutable_string_match()->mutable_safe_regex()->set_regex(".+");
    either.add_value_matchers()
        ->mutable_list_match()
        ->mutable_one_of()
        ->mutable_string_match()
        ->mutable_safe_regex()
        ->set_regex(".+");
    return;
  }
  matcher::OrMatcher& either = *out.mutable_value()->mutable_or_match();
  encode(text, *either.add_value_matchers()->mutable_string_match());
  encode(
      text,
      *either.add_value_matchers()->mutable_list_match()->mutable_one_of()->mutable_string_match());
}

std::string peers_of(const std::vector<std::string>& namespaces) {
  std::string any;
  for (const std::string& ns : namespaces) any += (any.empty() ? "" : "|") + quote(ns);
  return "spiffe://[^/]+/ns/(?:" + any + ")/sa/.+";
}

void only_principals(const std::vector<std::string>& principals, route::RouteMatch& out) {
  std::string any;
  for (const std::string& one : principals) any += (any.empty() ? "" : "|") + quote(one);
  only_state(kPeerKey, "spiffe://(?:" + any + ")", out);
}

bool encode(const model::RequestMatch& match, std::uint16_t port,
            const std::vector<std::string>& client_namespaces, route::RouteMatch& out) {
  if (match.port && *match.port != port) return false;
  if (!match.source_labels.empty() && !match.source_addresses) return false;
  if (!encode_grpc(match, out)) return false;
  if (match.path) {
    encode_path(*match.path, out);
  } else if (out.path_specifier_case() == route::RouteMatch::PATH_SPECIFIER_NOT_SET) {
    out.set_prefix("/");
  }
  auto pseudo = [&](const char* name, const std::optional<model::TextMatch>& text) {
    if (text) encode_header(name, *text, false, *out.add_headers());
  };
  pseudo(":method", match.method);
  pseudo(":scheme", match.scheme);
  pseudo(":authority", match.authority);
  for (const model::NamedMatch& header : match.headers)
    encode_header(header.name, header.text, header.invert, *out.add_headers());
  for (const model::NamedMatch& query : match.query) {
    if (!encode_query(query, out)) return false;
  }
  for (const model::NamedMatch& claim : match.claims) {
    const bool absent = claim.text.kind == Kind::kAbsent;
    model::TextMatch text = claim.text;
    if (absent) text.kind = Kind::kPresent;
    matcher::MetadataMatcher& wire = *out.add_dynamic_metadata();
    encode_claim(split(claim.name), text, wire);
    wire.set_invert(claim.invert != absent);
  }
  if (match.source_namespace) only_state(kPeerKey, peers_of({*match.source_namespace}), out);
  if (!client_namespaces.empty()) only_state(kPeerKey, peers_of(client_namespaces), out);
  if (!match.source_labels.empty()) {
    std::string any;
    for (const IpAddress& ip : *match.source_addresses)
      any += (any.empty() ? "" : "|") + quote(ip.str());
    if (any.empty()) return false;  // no pod has these labels
    only_state(kClientKey, any, out);
  }
  return true;
}

}  // namespace weft::controlplane::envoy
