#include "controlplane/frontends/istio/route_parts.h"

namespace weft::controlplane::istio {
namespace {

using model::NamedMatch;
using model::TextMatch;
using source::Field;

constexpr std::string_view kClaims = "@request.auth.claims";

// "@request.auth.claims.a.b" or "…[a][b]" → "a.b"; "" when it is neither.
std::string claim_name(std::string_view key) {
  key.remove_prefix(kClaims.size());
  if (key.starts_with('.')) return std::string(key.substr(1));
  std::string name;
  while (key.starts_with('[')) {
    const std::size_t end = key.find(']');
    if (end == std::string_view::npos || end == 1) return "";
    name.append(name.empty() ? "" : ".").append(key.substr(1, end - 1));
    key.remove_prefix(end + 1);
  }
  return key.empty() ? name : "";
}

void named(const Field& map, bool invert, RouteContext& context, model::RequestMatch& out) {
  for (const std::string& key : map.keys()) {
    const Field field = map[key];
    if (!field.present()) {
      map.refuse("\"" + key + "\" must not be empty: write exact, prefix or regex below it");
      continue;
    }
    NamedMatch match{.name = read::lower(key), .text = text_match(field, true), .invert = invert};
    if (key.starts_with(kClaims)) {
      match.name = claim_name(key);
      if (match.name.empty())
        field.refuse("the claim must be written @request.auth.claims.NAME or […][…]");
      out.claims.push_back(std::move(match));
      continue;
    }
    if (key == "uri" || key == "scheme" || key == "method" || key == "authority") {
      context.notes.warn(field, "ignored, as Istio does: match " + key + " beside headers");
      continue;
    }
    if (!read::is_header_name(key) && !key.starts_with(':'))
      field.refuse("the key must be a header's name");
    out.headers.push_back(std::move(match));
  }
}

// A header written one level too high: `headers:` left empty, its name beside it.
void explain_stray_headers(const Field& field) {
  for (const std::string& key : field.keys()) {
    const Field member = field[key];
    constexpr std::string_view kFields[] = {"uri",          "scheme",     "method",
                                            "authority",    "headers",    "withoutHeaders",
                                            "sourceLabels", "queryParams"};
    bool known = false;
    for (const std::string_view one : kFields) known = known || one == key;
    if (known || !member.is_map()) continue;
    for (const std::string& inner : member.keys()) {
      if (inner != "exact" && inner != "prefix" && inner != "regex") continue;
      member.refuse("unknown field: did you mean " + field.path() + ".headers." + key + "?");
    }
  }
}

}  // namespace

TextMatch text_match(const Field& field, bool presence) {
  field.only({"exact", "prefix", "regex"});
  const Field exact = field["exact"], prefix = field["prefix"], regex = field["regex"];
  const int given = int{exact.present()} + int{prefix.present()} + int{regex.present()};
  if (given == 0 && presence) return {.kind = TextMatch::Kind::kPresent};
  if (given != 1) {
    field.refuse("must have one of exact, prefix, regex");
    return {};
  }
  if (exact.present()) return {.kind = TextMatch::Kind::kExact, .value = exact.string()};
  if (prefix.present()) {
    if (prefix.string().empty() && presence) return {.kind = TextMatch::Kind::kPresent};
    return {.kind = TextMatch::Kind::kPrefix, .value = prefix.string()};
  }
  if (presence && regex.string() == "*") return {.kind = TextMatch::Kind::kPresent};
  return {.kind = TextMatch::Kind::kRegexFull, .value = read::regex(regex)};
}

std::string gateway_name(const Field& field, std::string_view ns) {
  const std::string text = field.string();
  if (text == "mesh") return text;
  std::string in(ns), name = text;
  if (const std::size_t slash = text.find('/'); slash != std::string::npos) {
    if (text.substr(0, slash) != ".") in = text.substr(0, slash);
    name = text.substr(slash + 1);
  } else if (const std::size_t dot = text.find('.'); dot != std::string::npos) {
    // The spelling of Istio 1.0: NAME.NAMESPACE[.svc.DOMAIN].
    name = text.substr(0, dot);
    in = text.substr(dot + 1, text.find('.', dot + 1) - dot - 1);
  }
  if (!read::is_label(in) || !read::why_no_host(name, false).empty())
    field.refuse("must be mesh, NAME or NAMESPACE/NAME");
  return in + "/" + name;
}

model::RequestMatch request_match(const Field& field, RouteContext& context) {
  explain_stray_headers(field);
  field.only({"name", "uri", "scheme", "method", "authority", "headers", "withoutHeaders",
              "queryParams", "ignoreUriCase", "port", "sourceLabels", "sourceNamespace", "gateways",
              "statPrefix"});
  model::RequestMatch out{.name = field["name"].string()};
  if (field["uri"].present()) {
    out.path = text_match(field["uri"], false);
    const bool is_regex = out.path->kind == TextMatch::Kind::kRegexFull;
    if (field["ignoreUriCase"].boolean()) {
      out.path->ignore_case = !is_regex;
      if (is_regex)
        context.notes.warn(field["ignoreUriCase"], "has no effect on a regex; write (?i)");
    }
    // What matches every path is no condition.
    if (*out.path == TextMatch{.kind = TextMatch::Kind::kPrefix, .value = "/"} ||
        (out.path->kind == TextMatch::Kind::kPrefix && out.path->value.empty()))
      out.path.reset();
  }
  if (field["scheme"].present()) out.scheme = text_match(field["scheme"], false);
  if (field["method"].present()) out.method = text_match(field["method"], false);
  if (field["authority"].present()) out.authority = text_match(field["authority"], false);
  named(field["headers"], false, context, out);
  named(field["withoutHeaders"], true, context, out);
  const Field query = field["queryParams"];
  for (const std::string& key : query.keys()) {
    TextMatch text = text_match(query[key], true);
    if (text.kind == TextMatch::Kind::kExact && text.value.empty())
      text.kind = TextMatch::Kind::kPresent;
    out.query.push_back({.name = key, .text = std::move(text)});
  }
  if (field["port"].present()) out.port = field["port"].port();
  out.source_labels = field["sourceLabels"].string_map();
  if (field["sourceNamespace"].present()) out.source_namespace = field["sourceNamespace"].string();
  for (const Field& one : field["gateways"].list())
    out.gateways.push_back(gateway_name(one, context.ns));
  context.notes.beyond(field["statPrefix"], "metrics by match; the rule works without them");
  return out;
}

}  // namespace weft::controlplane::istio
