#include "controlplane/deploy/apply.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>

#include "controlplane/translate/outputs.h"

namespace weft::controlplane::deploy {
namespace {

using nlohmann::json;

// The lists that server-side apply merges by a key, as the CRDs say.
const char* key_of(std::string_view list) {
  if (list == "conditions") return "type";
  if (list == "listeners" || list == "supportedFeatures") return "name";
  return nullptr;
}

const json& member(const json& object, const char* key) {
  static const json kNone;
  const auto found = object.is_object() ? object.find(key) : object.end();
  return object.is_object() && found != object.end() ? *found : kNone;
}

const json* find_by(const json& list, const char* key, const json& value) {
  if (!list.is_array()) return nullptr;
  for (const json& one : list) {
    if (one.is_object() && member(one, key) == value) return &one;
  }
  return nullptr;
}

void stamp(json& conditions, const json& current, const std::string& now) {
  for (json& one : conditions) {
    const json* before = find_by(current, "type", member(one, "type"));
    const bool same = before != nullptr && member(*before, "status") == member(one, "status") &&
                      member(*before, "lastTransitionTime").is_string();
    one["lastTransitionTime"] = same ? member(*before, "lastTransitionTime") : json(now);
  }
}

bool is_ours(const json& parent) {
  const json& name = member(parent, "controllerName");
  return name == translate::kGatewayController || name == translate::kMeshController;
}

void merge_parents(json& wanted, const json& current, const std::string& now) {
  static const json kNone = json::array();
  const json& there = current.is_array() ? current : kNone;
  json all = json::array();
  for (const json& theirs : there) {
    if (!is_ours(theirs)) all.push_back(theirs);
  }
  for (json& ours : wanted) {
    const auto before = std::find_if(there.begin(), there.end(), [&](const json& one) {
      return member(one, "controllerName") == member(ours, "controllerName") &&
             member(one, "parentRef") == member(ours, "parentRef");
    });
    stamp(ours["conditions"], before == there.end() ? json() : member(*before, "conditions"), now);
    all.push_back(std::move(ours));
  }
  wanted = std::move(all);
}

// Istio's list has one owner: conditions of types that we do not write stay in it.
void keep_others(json& wanted, const json& current, const json& fields) {
  const bool we_own = !member(fields, "f:conditions").is_null();
  json all = json::array();
  for (const json& theirs : current.is_array() && !we_own ? current : json::array()) {
    if (find_by(wanted, "type", member(theirs, "type")) == nullptr) all.push_back(theirs);
  }
  for (json& ours : wanted) all.push_back(std::move(ours));
  wanted = std::move(all);
}

// metadata.managedFields: what we wrote into the status before.
const json& owned_fields(const json& current) {
  static const json kNone;
  const json& all = member(member(current, "metadata"), "managedFields");
  if (!all.is_array()) return kNone;
  for (const json& one : all) {
    if (member(one, "manager") == kFieldManager && member(one, "operation") == "Apply" &&
        member(one, "subresource") == "status")
      return member(member(one, "fieldsV1"), "f:status");
  }
  return kNone;
}

// Nothing that we own is left out of `wanted`: then an apply would remove nothing.
bool covers(const json& wanted, const json& fields) {
  if (!fields.is_object()) return true;
  for (const auto& [name, inner] : fields.items()) {
    if (name.starts_with("f:")) {
      const json& value = member(wanted, name.c_str() + 2);
      if (value.is_null() || !covers(value, inner)) return false;
    } else if (name.starts_with("k:")) {
      const json key = json::parse(name.substr(2), nullptr, false);
      const json* found = nullptr;
      if (key.is_object() && key.size() == 1 && wanted.is_array())
        found = find_by(wanted, key.begin().key().c_str(), key.begin().value());
      if (found == nullptr || !covers(*found, inner)) return false;
    }
  }
  return true;
}

bool list_contains(const json& whole, const json& part, const char* key) {
  if (key == nullptr || !whole.is_array() || !part.is_array()) return whole == part;
  return std::all_of(part.begin(), part.end(), [&](const json& one) {
    const json* found = find_by(whole, key, member(one, key));
    return found != nullptr && contains(*found, one);
  });
}

}  // namespace

bool contains(const json& whole, const json& part) {
  if (!part.is_object() || !whole.is_object()) return whole == part;
  for (const auto& [name, value] : part.items()) {
    const auto found = whole.find(name);
    if (found == whole.end()) return false;
    const bool same =
        value.is_array() ? list_contains(*found, value, key_of(name)) : contains(*found, value);
    if (!same) return false;
  }
  return true;
}

std::optional<json> status_apply(const std::string& api_version, const std::string& kind,
                                 const json& wanted, const json& current, const std::string& now) {
  json status = wanted.is_object() ? wanted : json::object();
  const json& before = member(current, "status");
  const json& fields = owned_fields(current);
  const bool is_route =
      api_version.starts_with("gateway.networking.k8s.io/") && kind.ends_with("Route");
  if (is_route) {
    json parents = status.contains("parents") ? status["parents"] : json::array();
    merge_parents(parents, member(before, "parents"), now);
    status["parents"] = std::move(parents);  // the API requires it, empty or not
  }
  if (status.contains("conditions")) {
    stamp(status["conditions"], member(before, "conditions"), now);
    if (api_version.find(".istio.io/") != std::string::npos)
      keep_others(status["conditions"], member(before, "conditions"), fields);
  }
  if (status.contains("listeners")) {
    for (json& listener : status["listeners"]) {
      const json* old = find_by(member(before, "listeners"), "name", member(listener, "name"));
      stamp(listener["conditions"], old == nullptr ? json() : member(*old, "conditions"), now);
    }
  }
  const bool nothing =
      wanted.empty() && fields.is_null() &&
      (!is_route || status["parents"] == member(before, "parents") || status["parents"].empty());
  if (nothing) return std::nullopt;
  if (contains(before, status) && covers(status, fields)) return std::nullopt;
  json metadata{{"name", member(member(current, "metadata"), "name")},
                {"resourceVersion", member(member(current, "metadata"), "resourceVersion")}};
  if (const json& ns = member(member(current, "metadata"), "namespace"); !ns.is_null())
    metadata["namespace"] = ns;
  return json{{"apiVersion", api_version},
              {"kind", kind},
              {"metadata", std::move(metadata)},
              {"status", std::move(status)}};
}

}  // namespace weft::controlplane::deploy
