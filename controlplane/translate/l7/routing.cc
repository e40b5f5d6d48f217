#include "controlplane/translate/l7/routing.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <optional>
#include <set>
#include <tuple>

#include "controlplane/translate/l7/rules.h"

namespace weft::controlplane::translate::l7 {
namespace {

using model::Api;
using model::PlanRoute;
using model::RequestMatch;
using model::RouteTable;
using model::TextMatch;
using Tables = std::vector<const RouteTable*>;

bool is_empty(const RequestMatch& match) {
  RequestMatch bare = match;
  bare.name.clear();
  bare.gateways.clear();
  return bare == RequestMatch{};
}

// As if the segment prefix "/" were the text prefix "/".
void of_text_prefix(model::Rewrite& rewrite) {
  if (rewrite.path_kind == model::Rewrite::Kind::kPrefix && !rewrite.path.ends_with('/'))
    rewrite.path += '/';
}

// A prefix that every path has says nothing; equal meanings get equal values.
void normalise(RequestMatch& match, model::HttpRule& rule) {
  using enum TextMatch::Kind;
  if (match.path && match.path->value == "/" &&
      (match.path->kind == kPrefix || match.path->kind == kSegmentPrefix)) {
    if (match.path->kind == kSegmentPrefix) {
      of_text_prefix(rule.rewrite);
      if (rule.redirect) of_text_prefix(rule.redirect->path);
    }
    match.path.reset();
  }
  match.gateways.clear();
  match.port.reset();  // judged where the port is known
}

// A port that is its scheme's own is not written.
void settle_port(model::Redirect& redirect, Entrance at) {
  using enum model::Redirect::Port;
  const bool tls = redirect.scheme.empty() ? at.tls : redirect.scheme == "https";
  const std::uint16_t own = tls ? 443 : 80;
  if (!redirect.port && redirect.port_from == kOfScheme) redirect.port = own;
  if (!redirect.port && redirect.port_from == kOfListener) redirect.port = at.port;
  redirect.port_from = kAsItCame;
  redirect.port_unsaid = redirect.port == own;
}

// Weights that mean the same become the same: {50,50} and {1,1}; a lone one is 1.
void normalise(std::vector<model::Backend>& backends) {
  const bool any = std::any_of(backends.begin(), backends.end(),
                               [](const model::Backend& one) { return one.weight != 0; });
  if (!any) return;
  std::erase_if(backends, [](const model::Backend& one) { return one.weight == 0; });
  std::uint64_t divisor = 0;
  for (const model::Backend& one : backends) divisor = std::gcd(divisor, one.weight);
  for (model::Backend& one : backends) one.weight /= divisor;
}

PlanRoute make_route(const RouteTable& table, const model::HttpRule& rule, Entrance at) {
  PlanRoute out{.rule = rule, .from = table.from};
  out.rule.matches.clear();
  if (table.api == Api::kIstio && out.rule.backends.size() == 1) out.rule.backends[0].weight = 1;
  normalise(out.rule.backends);
  if (out.rule.redirect) settle_port(*out.rule.redirect, at);
  out.default_retry = table.default_retry && !rule.retry && !out.rule.backends.empty();
  return out;
}

// Where a match stands among those of all routes of a parent: lower first.
using Rank = std::tuple<int, std::size_t, bool, std::size_t, std::size_t>;
Rank rank_of(const RequestMatch& match) {
  using enum TextMatch::Kind;
  const auto minus = [](std::size_t size) { return std::size_t{1} << 32 | (~size & 0xffffffff); };
  int kind = 3;
  std::size_t length = minus(0);
  if (match.path) {
    kind = match.path->kind == kExact                                          ? 0
           : match.path->kind == kRegexFull || match.path->kind == kRegexStart ? 1
                                                                               : 2;
    length = minus(match.path->value.size());
  } else if (!match.grpc_service.empty() || !match.grpc_method.empty()) {
    kind = match.grpc_service.empty() ? 2 : match.grpc_method.empty() ? 1 : 0;
    length = minus(match.grpc_service.size() * 1024 + match.grpc_method.size());
  }
  return {kind, length, !match.method.has_value(), minus(match.headers.size()),
          minus(match.query.size())};
}

// All rules of `tables` as single matches, in the order that their API gives them.
std::vector<PlanRoute> flatten(const Tables& tables, Entrance at) {
  struct Entry {
    Rank rank;
    PlanRoute route;
    std::size_t place = 0;  // among equals
  };
  std::vector<Entry> entries;
  for (const RouteTable* table : tables) {
    for (const model::HttpRule& rule : table->http) {
      PlanRoute made = make_route(*table, rule, at);
      made.number = static_cast<std::uint32_t>(&rule - table->http.data()) + 1;
      if (rule.matches.empty()) entries.push_back({rank_of({}), made});
      for (RequestMatch match : rule.matches) {
        if (match.port && *match.port != at.port) continue;
        PlanRoute route = made;
        normalise(match, route.rule);
        if (match.source_namespace) {
          route.client_namespaces = {*match.source_namespace};
          match.source_namespace.reset();
        }
        route.rule.matches = is_empty(match) ? std::vector<RequestMatch>{} : std::vector{match};
        entries.push_back({rank_of(match), route});
      }
    }
  }
  if (!tables.empty() && tables.front()->order == RouteTable::Order::kSpecificity) {
    for (std::size_t i = 0; i < entries.size(); ++i) entries[i].place = i;
    std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
      return std::tie(a.rank, a.place) < std::tie(b.rank, b.place);
    });
  }
  std::vector<PlanRoute> out;
  for (Entry& entry : entries) out.push_back(std::move(entry.route));
  return out;
}

std::string name_of(const RouteTable& table) {
  return table.from.key.kind.substr(0, table.from.key.kind.find('.')) + " " + table.ns + "/" +
         table.name;
}

// Who routes for one scope: the best API; of Gateway API's kinds gRPC before HTTP.
struct Choice {
  Tables winners;
  std::vector<RouteVerdict> losers;
};
Choice choose(Tables tables, std::uint16_t port) {
  Choice out;
  std::sort(tables.begin(), tables.end(), [](const RouteTable* a, const RouteTable* b) {
    const bool a_http = a->protocol == RouteTable::Protocol::kHttp;
    const bool b_http = b->protocol == RouteTable::Protocol::kHttp;
    if (a->api != b->api) return a->api < b->api;
    if (a->api == Api::kGatewayApi && a_http != b_http) return b_http;
    return older(a->from, b->from);
  });
  for (const RouteTable* table : tables) {
    const RouteTable* first = out.winners.empty() ? table : out.winners.front();
    const bool same_kind = table->api != Api::kGatewayApi || table->protocol == first->protocol;
    if (table->api == first->api && same_kind) {
      out.winners.push_back(table);
    } else {
      out.losers.push_back({table, port, false,
                            table->api == Api::kGatewayApi ? "Conflicted" : "Conflict",
                            name_of(*first) + " routes port " + std::to_string(port) + " of " +
                                table->service.hostname + " and takes precedence"});
    }
  }
  return out;
}

// Keeps the routes that a request of these clients can reach; true when one ends the list.
bool append(std::vector<PlanRoute>& out, std::vector<PlanRoute> routes,
            const std::vector<std::string>& clients, std::vector<RouteVerdict>& verdicts) {
  bool ended = false;
  for (PlanRoute& route : routes) {
    if (ended) {
      for (RouteVerdict& verdict : verdicts) {
        if (verdict.table->from.key != route.from.key || !verdict.warnings.empty()) continue;
        verdict.warnings.push_back("a rule is never reached: one before it matches everything");
      }
      continue;
    }
    if (!clients.empty()) {
      if (route.client_namespaces.empty()) {
        route.client_namespaces = clients;
      } else {
        std::erase_if(route.client_namespaces, [&](const std::string& one) {
          return std::find(clients.begin(), clients.end(), one) == clients.end();
        });
        if (route.client_namespaces.empty()) continue;
      }
      ended = route.rule.matches.empty() && route.client_namespaces == clients;
    } else {
      ended = matches_everything(route);
    }
    out.push_back(std::move(route));
  }
  return ended;
}

PlanRoute implicit_route(const model::ServiceKey& self, bool default_retry) {
  PlanRoute out;
  out.rule.backends = {
      {.service = self, .subset = "", .weight = 1, .broken = "", .request = {}, .response = {}}};
  out.default_retry = default_retry;
  return out;
}

PlanRoute not_found() {
  PlanRoute out;
  out.rule.direct = model::DirectResponse{404, ""};
  return out;
}

}  // namespace

bool matches_everything(const PlanRoute& route) {
  return route.rule.matches.empty() && route.client_namespaces.empty() &&
         route.client_principals.empty();
}

std::vector<std::string> clients_of(const RouteTable& table, const std::string& service_ns,
                                    const std::vector<std::string>& roots) {
  if (!table.client_namespaces.empty() || table.api != Api::kIstio) return table.client_namespaces;
  const bool own =
      table.ns == service_ns || std::find(roots.begin(), roots.end(), table.ns) != roots.end();
  std::set<std::string> out;
  bool all = table.export_to.empty();
  for (const std::string& one : table.export_to) {
    if (one == "*") all = true;
    if (one != "*" && one != "~") out.insert(one == "." ? table.ns : one);
  }
  if (all && own) return {};
  if (all) return {table.ns};
  return {out.begin(), out.end()};
}

bool is_for_everybody(const RouteTable& table, const std::string& service_ns,
                      const std::vector<std::string>& roots) {
  if (!clients_of(table, service_ns, roots).empty()) return false;
  return table.api != Api::kIstio || table.export_to.empty() ||
         std::find(table.export_to.begin(), table.export_to.end(), "*") != table.export_to.end();
}

std::vector<PlanRoute> order_routes(Tables tables, Entrance at,
                                    std::vector<std::string>* unreachable) {
  std::sort(tables.begin(), tables.end(), [](const RouteTable* a, const RouteTable* b) {
    return a->api != b->api ? a->api < b->api : older(a->from, b->from);
  });
  std::vector<PlanRoute> out;
  std::vector<RouteVerdict> verdicts;
  for (const RouteTable* table : tables) verdicts.push_back({table, at.port});
  append(out, flatten(tables, at), {}, verdicts);
  for (const RouteVerdict& verdict : verdicts) {
    if (unreachable != nullptr && !verdict.warnings.empty())
      unreachable->push_back(name_of(*verdict.table));
  }
  return out;
}

Routing route_requests(const Tables& tables, const std::vector<std::string>& roots,
                       const model::ServiceKey& self, bool default_retry) {
  Routing out;
  std::map<std::string, Tables> of_client;  // by namespace; "" for everybody
  for (const RouteTable* table : tables) {
    if (table->service.port != 0 && table->service.port != self.port) continue;
    const auto clients = clients_of(*table, self.ns, roots);
    if (is_for_everybody(*table, self.ns, roots)) of_client[""].push_back(table);
    for (const std::string& client : clients) of_client[client].push_back(table);
  }
  // Client namespaces with the same tables share their routes.
  std::map<Tables, std::vector<std::string>> scopes;
  for (const auto& [client, list] : of_client) {
    if (!client.empty()) scopes[list].push_back(client);
  }
  std::vector<std::pair<std::vector<std::string>, Tables>> ordered;
  for (const auto& [list, clients] : scopes) ordered.emplace_back(clients, list);
  std::sort(ordered.begin(), ordered.end());  // clients are distinct, so this never looks further
  if (of_client.contains("")) ordered.emplace_back(std::vector<std::string>{}, of_client[""]);
  std::set<const RouteTable*> judged;
  bool ended = false;
  for (auto& [clients, list] : ordered) {
    Choice choice = choose(list, self.port);
    std::vector<RouteVerdict> verdicts = std::move(choice.losers);
    for (const RouteTable* winner : choice.winners) verdicts.push_back({winner, self.port});
    ended = append(out.routes, flatten(choice.winners, {.port = self.port}), clients, verdicts);
    const bool default_route = !choice.winners.empty() && choice.winners.front()->default_route;
    if (!ended && (default_route || !clients.empty())) {
      PlanRoute last = default_route ? implicit_route(self, default_retry) : not_found();
      last.client_namespaces = clients;
      out.routes.push_back(std::move(last));
      ended = true;
    }
    if (clients.empty()) out.owned = true;
    for (RouteVerdict& verdict : verdicts) {
      if (judged.insert(verdict.table).second || !verdict.accepted)
        out.verdicts.push_back(std::move(verdict));
    }
  }
  if (!out.owned) out.routes.push_back(implicit_route(self, default_retry));
  return out;
}

}  // namespace weft::controlplane::translate::l7
