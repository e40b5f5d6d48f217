// Parts of a VirtualService: matches, actions, destinations. Used by virtual_service.cc alone.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "controlplane/frontends/values.h"
#include "controlplane/model/routes.h"
#include "source/fields.h"

namespace weft::controlplane::istio {

struct RouteContext {
  std::string_view ns, domain;
  read::Notes& notes;
};

// {exact|prefix|regex: x}: one of them. `presence`: an empty map, and regex "*", mean that the
// value must be there.
model::TextMatch text_match(const source::Field& field, bool presence);

// One entry of http[].match; `gateways` as written, resolved to "ns/name".
model::RequestMatch request_match(const source::Field& field, RouteContext& context);
// "mesh", "NAME", "NS/NAME", "./NAME" → "mesh" or "ns/name".
std::string gateway_name(const source::Field& field, std::string_view ns);

// A Destination {host, subset, port}.
model::Backend destination(const source::Field& field, RouteContext& context);
// route[] of http, tls and tcp, weights included.
std::vector<model::Backend> destinations(const source::Field& list, RouteContext& context,
                                         bool http);
// {request, response}.{set, add, remove}. A set of the authority goes to `authority`; without one
// (null) it is beyond Weft: then the answer is false.
bool headers(const source::Field& field, RouteContext& context, model::HeaderChange& request,
             model::HeaderChange& response, std::string* authority);

// One entry of http[], matches included.
model::HttpRule http_rule(const source::Field& field, RouteContext& context);
std::optional<model::Retry> retries(const source::Field& field, RouteContext& context);
std::optional<model::Cors> cors(const source::Field& field, RouteContext& context);
std::optional<model::Fault> fault(const source::Field& field, RouteContext& context);

// One entry of tls[] or tcp[]: a rule for each of its matches. `hosts`: what an SNI must fit.
std::vector<model::ConnectionRule> connection_rules(const source::Field& field, bool tls,
                                                    const std::vector<std::string>& hosts,
                                                    RouteContext& context);

// True when every name that `name` stands for is one that `pattern` stands for.
bool host_covers(std::string_view pattern, std::string_view name);

}  // namespace weft::controlplane::istio
