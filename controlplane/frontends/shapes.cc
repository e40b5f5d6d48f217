#include "controlplane/frontends/shapes.h"

#include "controlplane/frontends/values.h"
#include "source/fields.h"

namespace weft::controlplane {
namespace {

using source::Field;

constexpr std::string_view kProfile = "ServiceProfile.linkerd.io",
                           kSplit = "TrafficSplit.split.smi-spec.io";
constexpr int kDepthMax = 8;

void condition(const Field& field, int depth) {
  field.only({"pathRegex", "method", "all", "any", "not"});
  if (depth == kDepthMax) return field.refuse("is nested too deep");
  if (field["pathRegex"].present()) read::regex(field["pathRegex"]);
  field["method"].string();
  for (const char* name : {"all", "any"}) {
    for (const Field& one : field[name].list()) condition(one, depth + 1);
  }
  if (field["not"].present()) condition(field["not"], depth + 1);
}

void profile(const Field& spec) {
  spec.only({"routes", "retryBudget", "dstOverrides", "opaquePorts"});
  for (const Field& route : spec["routes"].list()) {
    route.only({"name", "condition", "isRetryable", "timeout", "responseClasses"});
    condition(route["condition"], 0);
    if (route["name"].string().empty()) route["name"].refuse("is required");
    if (!route["condition"].present()) route["condition"].refuse("is required");
    route["isRetryable"].boolean();
    read::duration(route["timeout"]);
  }
  const Field budget = spec["retryBudget"];
  budget.only({"retryRatio", "minRetriesPerSecond", "ttl"});
  if (budget["retryRatio"].number() < 0) budget["retryRatio"].refuse("must not be negative");
  budget["minRetriesPerSecond"].integer(0, INT32_MAX);
  if (budget.present() && !budget["ttl"].present()) budget["ttl"].refuse("is required");
  read::duration(budget["ttl"]);
  for (const Field& one : spec["dstOverrides"].list()) one.only({"authority", "weight"});
}

// 90, or a quantity as v1alpha1 had it: "900m".
void weight(const Field& field) {
  if (!field.is_string()) {
    field.integer(0, INT32_MAX);
    return;
  }
  std::string digits = field.string();
  if (digits.ends_with('m')) digits.pop_back();
  if (digits.empty() || digits.find_first_not_of("0123456789") != std::string::npos)
    field.refuse("must be a number, or thousandths like 500m");
}

void split(const Field& spec) {
  spec.only({"service", "backends", "matches"});
  if (spec["service"].string().empty()) spec["service"].refuse("is required");
  for (const Field& one : spec["backends"].list()) {
    one.only({"service", "weight"});
    if (one["service"].string().empty()) one["service"].refuse("is required");
    weight(one["weight"]);
  }
}

// "/authors/1.json": a dot that stands before a letter and stands for anything.
bool has_bare_dot(const std::string& regex) {
  for (std::size_t i = 0; i + 1 < regex.size(); ++i) {
    const bool escaped = i > 0 && regex[i - 1] == '\\';
    const char next = regex[i + 1];
    if (regex[i] == '.' && !escaped &&
        ((next >= 'a' && next <= 'z') || (next >= 'A' && next <= 'Z')))
      return true;
  }
  return false;
}

}  // namespace

std::optional<Problem> misshapen(const source::Object& object) {
  const std::string kind = object.key().kind;
  if (kind != kProfile && kind != kSplit) return std::nullopt;
  source::Reader reader(object);
  const Field root = reader.root();
  root.only({"apiVersion", "kind", "metadata", "spec", "status"});
  if (kind == kProfile) {
    profile(root["spec"]);
  } else {
    split(root["spec"]);
  }
  return reader.problem();
}

std::vector<std::pair<std::string, std::string>> doubtful(const source::Object& object) {
  std::vector<std::pair<std::string, std::string>> out;
  if (object.key().kind != kProfile) return out;
  source::Reader reader(object);
  for (const Field& route : reader.root()["spec"]["routes"].list()) {
    const Field regex = route["condition"]["pathRegex"];
    if (regex.is_string() && has_bare_dot(regex.string()))
      out.emplace_back(regex.path(),
                       "the dot stands for any character: write \\., got " + regex.shown());
  }
  return out;
}

}  // namespace weft::controlplane
