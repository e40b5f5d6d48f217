#include "controlplane/deploy/kube_objects.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "base/log.h"
#include "controlplane/deploy/apply.h"
#include "controlplane/deploy/envoy.h"

namespace weft::controlplane::deploy {
namespace {

using nlohmann::json;
using source::kube::Reply;

// What deploy::manifests() makes.
struct Made {
  const char *api_version, *kind, *plural;
};
constexpr Made kMade[] = {{"v1", "ServiceAccount", "serviceaccounts"},
                          {"v1", "Secret", "secrets"},
                          {"apps/v1", "Deployment", "deployments"},
                          {"v1", "Service", "services"}};

}  // namespace

std::string api_path(const std::string& api_version, const std::string& plural,
                     const std::string& ns, const std::string& name) {
  std::string out = (api_version.find('/') == std::string::npos ? "/api/" : "/apis/") + api_version;
  if (!ns.empty()) out += "/namespaces/" + ns;
  return out + "/" + plural + (name.empty() ? "" : "/" + name);
}

std::string apply_query() { return std::string("?fieldManager=") + kFieldManager + "&force=true"; }

bool KubeObjects::complain(const std::string& about, const Reply& reply) {
  const std::string text = reply.describe();
  if (std::exchange(complaints_[about], text) != text) spdlog::warn("{}: {}", about, text);
  return false;
}

bool KubeObjects::write(const std::vector<json>& all) {
  bool good = true;
  for (const json& object : all) good = may_write_() && put(object) && good;
  good = may_write_() && prune(all) && good;
  if (good) complaints_.clear();
  return good;
}

bool KubeObjects::put(const json& object) {
  const json& metadata = object.at("metadata");
  const std::string ns = metadata.value("namespace", ""), name = metadata.at("name");
  const std::string kind = object.at("kind");
  const auto made = std::find_if(std::begin(kMade), std::end(kMade),
                                 [&](const Made& one) { return kind == one.kind; });
  if (made == std::end(kMade)) return true;
  const std::string path = api_path(made->api_version, made->plural, ns, name);
  const std::string about = kind + " " + ns + "/" + name;
  const Reply found = client_.call({.path = path, .limit = kCallMost});
  json body = object;
  if (found.ok()) {
    const json current = json::parse(found.body, nullptr, false);
    const bool ours = contains(current, {{"metadata", {{"labels", {{kManagedBy, kManager}}}}}});
    if (!ours)
      return complain(about, {.error = "is there already and is not ours: it is left alone"});
    if (!current["metadata"].value("deletionTimestamp", "").empty()) return false;
    body["metadata"]["resourceVersion"] = current["metadata"]["resourceVersion"];
  } else if (found.status != 404) {
    return complain(about, found);
  }
  if (!may_write_()) return false;
  const Reply reply =
      client_.call({.method = "PATCH",
                    .path = path + apply_query(),
                    .body = body.dump(-1, ' ', false, json::error_handler_t::replace),
                    .content_type = "application/apply-patch+yaml",
                    .limit = kCallMost});
  return reply.ok() || complain(about, reply);
}

// What carries our label and is not wanted goes, the last made first.
bool KubeObjects::prune(const std::vector<json>& all) {
  std::set<std::string> wanted;
  for (const json& object : all) {
    const json& metadata = object.at("metadata");
    wanted.insert(object.at("kind").get<std::string>() + " " + metadata.value("namespace", "") +
                  "/" + metadata.at("name").get<std::string>());
  }
  bool good = true;
  for (auto made = std::rbegin(kMade); made != std::rend(kMade); ++made) {
    const Reply list =
        client_.call({.path = api_path(made->api_version, made->plural, "", "") +
                              "?labelSelector=app.kubernetes.io%2Fmanaged-by%3D" + kManager,
                      .limit = kCallMost});
    const json parsed = json::parse(list.body, nullptr, false);
    if (!list.ok() || !parsed.is_object() || !parsed.contains("items")) {
      good = complain(std::string("list of ") + made->plural, list);
      continue;
    }
    for (const json& one : parsed["items"]) {
      const json& metadata = one.at("metadata");
      const std::string ns = metadata.value("namespace", ""), name = metadata.value("name", "");
      const std::string about = std::string(made->kind) + " " + ns + "/" + name;
      if (wanted.contains(about) || metadata.contains("deletionTimestamp")) continue;
      if (!may_write_()) return false;
      const json only_this{
          {"preconditions",
           {{"uid", metadata.at("uid")}, {"resourceVersion", metadata.at("resourceVersion")}}},
          {"propagationPolicy", "Background"}};
      const Reply reply = client_.call({.method = "DELETE",
                                        .path = api_path(made->api_version, made->plural, ns, name),
                                        .body = only_this.dump(),
                                        .limit = kCallMost});
      if (!reply.ok() && reply.status != 404) good = complain(about, reply);
    }
  }
  return good;
}

}  // namespace weft::controlplane::deploy
