// Rules of a VirtualService that no request reaches, and matches that decide nothing.
#include <algorithm>

#include "controlplane/frontends/analyze/facts.h"
#include "controlplane/frontends/istio/route_parts.h"

namespace weft::controlplane::analyze {
namespace {

using model::RequestMatch;
using model::TextMatch;
using source::Field;

bool path_covers(const std::optional<TextMatch>& wide, const std::optional<TextMatch>& narrow) {
  if (!wide) return true;
  if (!narrow) return false;
  if (*wide == *narrow) return true;
  return wide->kind == TextMatch::Kind::kPrefix && !wide->ignore_case && !narrow->ignore_case &&
         (narrow->kind == TextMatch::Kind::kPrefix || narrow->kind == TextMatch::Kind::kExact) &&
         narrow->value.starts_with(wide->value);
}

// Every condition of `wide` is one of `narrow`.
template <class List>
bool subset(const List& wide, const List& narrow) {
  return std::all_of(wide.begin(), wide.end(), [&](const auto& one) {
    return std::find(narrow.begin(), narrow.end(), one) != narrow.end();
  });
}
template <class X>
bool same_or_open(const std::optional<X>& wide, const std::optional<X>& narrow) {
  return !wide || wide == narrow;
}

// What `narrow` matches, `wide` matches too.
bool covers(const RequestMatch& wide, const RequestMatch& narrow) {
  const bool gateways =
      wide.gateways.empty() || (!narrow.gateways.empty() && subset(narrow.gateways, wide.gateways));
  return gateways && path_covers(wide.path, narrow.path) &&
         same_or_open(wide.method, narrow.method) && same_or_open(wide.scheme, narrow.scheme) &&
         same_or_open(wide.authority, narrow.authority) && same_or_open(wide.port, narrow.port) &&
         same_or_open(wide.source_namespace, narrow.source_namespace) &&
         subset(wide.source_labels, narrow.source_labels) && subset(wide.headers, narrow.headers) &&
         subset(wide.query, narrow.query) && subset(wide.claims, narrow.claims);
}

struct Seen {
  RequestMatch match;
  std::size_t rule;
};

void check(Facts& facts, const source::Object& object) {
  source::Reader reader(object);
  read::Notes unused;
  istio::RouteContext context{object.ns, facts.options.domain, unused};
  std::vector<Seen> seen;
  const std::vector<Field> rules = reader.root()["spec"]["http"].list();
  for (std::size_t i = 0; i < rules.size(); ++i) {
    std::vector<std::pair<RequestMatch, std::string>> mine;
    for (const Field& one : rules[i]["match"].list())
      mine.emplace_back(istio::request_match(one, context), one.path());
    if (mine.empty()) mine.emplace_back(RequestMatch{}, rules[i].path());
    std::size_t dead = 0;
    std::string notes;
    std::vector<std::pair<std::string, std::size_t>> ineffective;
    for (const auto& [match, path] : mine) {
      const auto by = std::find_if(seen.begin(), seen.end(),
                                   [&](const Seen& one) { return covers(one.match, match); });
      if (by == seen.end()) continue;
      ++dead;
      ineffective.emplace_back(path, by->rule);
    }
    if (dead == mine.size()) {
      facts.say(Level::kWarning, "IST0130", object, rules[i].path(),
                "VirtualService rule #" + std::to_string(i) + " not used (rule #" +
                    std::to_string(ineffective[0].second) + " takes everything that it matches)");
    } else {
      for (const auto& [path, rule] : ineffective)
        facts.say(Level::kInfo, "IST0131", object, path,
                  "VirtualService rule #" + std::to_string(i) + " match is not used (rule #" +
                      std::to_string(rule) + " already matches this)");
    }
    for (auto& [match, path] : mine) seen.push_back({std::move(match), i});
  }
}

}  // namespace

void check_reachability(Facts& facts) {
  for (const auto& object : facts.virtual_services) check(facts, *object);
}

}  // namespace weft::controlplane::analyze
