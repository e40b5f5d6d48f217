// Parts that HTTPRoute and GRPCRoute share: parents, filters, backends, values.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "controlplane/frontends/values.h"
#include "controlplane/model/routes.h"
#include "source/fields.h"

namespace weft::controlplane::gateway_api {

inline constexpr std::string_view kGroup = "gateway.networking.k8s.io";

struct RouteContext {
  std::string_view ns, domain;
  read::Notes& notes;
  bool grpc = false;
};

// What a list of filters does. `whole` is false when one of them is beyond Weft: the requests that
// it was meant for get a 500.
struct Filters {
  model::HeaderChange request, response;
  std::optional<model::Redirect> redirect;
  model::Rewrite rewrite;
  bool rewrites = false;
  std::vector<model::Mirror> mirrors;
  std::optional<model::Cors> cors;
  bool whole = true;
};
Filters filters(const source::Field& list, RouteContext& context);

// A reference to what requests go to; `broken` is set for kinds that nothing stands behind.
model::Backend backend_ref(const source::Field& field, RouteContext& context);
// backendRefs with weights and filters of their own; empty when no request may pass.
std::vector<model::Backend> backends(const source::Field& list, RouteContext& context);

// {name, type, value} of headers and query parameters; the first of equal names counts.
std::vector<model::NamedMatch> named_matches(const source::Field& list, bool header);
// GEP-2257: up to four numbers with h, m, s or ms.
std::optional<model::Milliseconds> duration(const source::Field& field);

// Everything of a rule but its matches: name, filters, backends, timeouts, retry.
model::HttpRule rule_action(const source::Field& field, RouteContext& context);

// One table without rules for each parent.
std::vector<model::RouteTable> parents(const source::Field& spec, const source::Object& object,
                                       RouteContext& context);
// The tables, each with these rules.
std::vector<model::RouteTable> with_rules(std::vector<model::RouteTable> tables,
                                          const std::vector<model::HttpRule>& rules);

}  // namespace weft::controlplane::gateway_api
