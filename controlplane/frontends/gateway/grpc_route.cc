#include "controlplane/frontends/gateway/grpc_route.h"

#include <algorithm>

#include "controlplane/frontends/gateway/route_parts.h"
#include "source/fields.h"

namespace weft::controlplane::gateway_api {
namespace {

using model::RequestMatch;
using model::TextMatch;
using source::Field;

bool is_grpc_name(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.';
  });
}

RequestMatch request_match(const Field& field) {
  field.only({"method", "headers"});
  const Field method = field["method"];
  method.only({"type", "service", "method"});
  RequestMatch out;
  const std::string type = method["type"].string("Exact");
  const Field service = method["service"], name = method["method"];
  if (method.present() && !service.present() && !name.present())
    method.refuse("must have service or method");
  if (type == "Exact") {
    for (const Field& one : {service, name}) {
      if (!is_grpc_name(one.string())) one.refuse("must be a name of gRPC");
    }
    out.grpc_service = service.string();
    out.grpc_method = name.string();
  } else if (type == "RegularExpression") {
    auto part = [](const Field& one) {
      return one.present() ? "(?:" + read::regex(one) + ")" : std::string("[^/]+");
    };
    out.path = TextMatch{.kind = TextMatch::Kind::kRegexFull,
                         .value = "/" + part(service) + "/" + part(name)};
  } else {
    method["type"].refuse("must be Exact or RegularExpression");
  }
  out.headers = named_matches(field["headers"], true);
  return out;
}

model::HttpRule rule(const Field& field, RouteContext& context) {
  field.only({"name", "matches", "filters", "backendRefs", "sessionPersistence"});
  model::HttpRule out = rule_action(field, context);
  for (const Field& one : field["matches"].list()) out.matches.push_back(request_match(one));
  if (out.matches.size() == 1 && out.matches[0] == RequestMatch{}) out.matches.clear();
  return out;
}

}  // namespace

Parsed<model::Decoded<model::RouteTable>> decode_grpc_route(const source::Object& object,
                                                            std::string_view domain) {
  source::Reader reader(object);
  const Field spec = reader.root()["spec"];
  spec.only({"parentRefs", "hostnames", "rules", "useDefaultGateways"});
  read::Notes notes;
  RouteContext context{object.ns, domain, notes, true};
  std::vector<model::HttpRule> rules;
  for (const Field& one : spec["rules"].list()) rules.push_back(rule(one, context));
  auto tables = with_rules(parents(spec, object, context), rules);
  notes.beyond(spec["useDefaultGateways"], "default gateways");
  if (reader.problem()) return std::unexpected(*reader.problem());
  return read::decoded(std::move(tables), std::move(notes));
}

}  // namespace weft::controlplane::gateway_api
