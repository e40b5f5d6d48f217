#include "controlplane/frontends/gateway/http_route.h"

#include <algorithm>
#include <array>

#include "controlplane/frontends/gateway/route_parts.h"
#include "source/fields.h"

namespace weft::controlplane::gateway_api {
namespace {

using model::RequestMatch;
using model::Rewrite;
using model::TextMatch;
using source::Field;

TextMatch path_match(const Field& field) {
  field.only({"type", "value"});
  const std::string type = field["type"].string("PathPrefix");
  std::string value = field["value"].string("/");
  constexpr std::size_t kPathMax = 1024;
  if (value.size() > kPathMax) field["value"].refuse("must be at most 1024 characters long");
  if (type == "RegularExpression")
    return {.kind = TextMatch::Kind::kRegexFull, .value = read::regex(field["value"])};
  if (type != "PathPrefix" && type != "Exact")
    field["type"].refuse("must be Exact, PathPrefix or RegularExpression");
  if (!value.starts_with('/')) field["value"].refuse("must start with /");
  constexpr std::array<std::string_view, 6> kBad = {"//", "/./", "/../", "%2f", "%2F", "#"};
  for (const std::string_view bad : kBad) {
    if (value.find(bad) != std::string::npos)
      field["value"].refuse("must not hold \"" + std::string(bad) + "\"");
  }
  if (value.ends_with("/.") || value.ends_with("/.."))
    field["value"].refuse("must not end with . or ..");
  if (type == "Exact") return {.kind = TextMatch::Kind::kExact, .value = value};
  if (value.size() > 1 && value.ends_with('/')) value.pop_back();
  return {.kind = TextMatch::Kind::kSegmentPrefix, .value = value};
}

RequestMatch request_match(const Field& field) {
  constexpr std::array<std::string_view, 9> kMethods = {
      "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"};
  field.only({"path", "headers", "queryParams", "method"});
  RequestMatch out{.path = path_match(field["path"])};
  if (field["method"].present()) {
    const std::string method = field["method"].string();
    if (std::find(kMethods.begin(), kMethods.end(), method) == kMethods.end())
      field["method"].refuse("must be a method in capitals, like GET");
    out.method = TextMatch{.kind = TextMatch::Kind::kExact, .value = method};
  }
  out.headers = named_matches(field["headers"], true);
  out.query = named_matches(field["queryParams"], false);
  return out;
}

bool is_everything(const std::optional<TextMatch>& path) {
  return path && path->kind == TextMatch::Kind::kSegmentPrefix && path->value == "/";
}

model::HttpRule rule(const Field& field, RouteContext& context) {
  field.only(
      {"name", "matches", "filters", "backendRefs", "timeouts", "retry", "sessionPersistence"});
  model::HttpRule out = rule_action(field, context);
  for (const Field& one : field["matches"].list()) out.matches.push_back(request_match(one));
  const bool by_prefix = out.rewrite.path_kind == Rewrite::Kind::kPrefix ||
                         (out.redirect && out.redirect->path.path_kind == Rewrite::Kind::kPrefix);
  if (out.matches.empty())
    out.matches.push_back({.path = TextMatch{TextMatch::Kind::kSegmentPrefix, "/"}});
  if (by_prefix &&
      (out.matches.size() != 1 || out.matches[0].path->kind != TextMatch::Kind::kSegmentPrefix))
    field["filters"].refuse("ReplacePrefixMatch needs exactly one match, of type PathPrefix");
  if (by_prefix) return out;
  for (RequestMatch& match : out.matches) {
    if (is_everything(match.path)) match.path.reset();
  }
  if (out.matches.size() == 1 && out.matches[0] == RequestMatch{}) out.matches.clear();
  return out;
}

}  // namespace

Parsed<model::Decoded<model::RouteTable>> decode_http_route(const source::Object& object,
                                                            std::string_view domain) {
  source::Reader reader(object);
  const Field spec = reader.root()["spec"];
  spec.only({"parentRefs", "hostnames", "rules", "useDefaultGateways"});
  read::Notes notes;
  RouteContext context{object.ns, domain, notes};
  std::vector<model::HttpRule> rules;
  for (const Field& one : spec["rules"].list()) rules.push_back(rule(one, context));
  if (!spec["rules"].present()) rules.emplace_back();  // everything, to nobody
  auto tables = with_rules(parents(spec, object, context), rules);
  notes.beyond(spec["useDefaultGateways"], "default gateways");
  if (reader.problem()) return std::unexpected(*reader.problem());
  return read::decoded(std::move(tables), std::move(notes));
}

}  // namespace weft::controlplane::gateway_api
