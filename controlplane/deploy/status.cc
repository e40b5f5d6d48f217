#include "controlplane/deploy/status.h"

#include <nlohmann/json.hpp>

namespace weft::controlplane::deploy {
namespace {

using nlohmann::json;

json conditions(const std::vector<model::Condition>& all, std::int64_t generation) {
  json list = json::array();
  for (const model::Condition& one : all) {
    json condition = {{"type", one.type},
                      {"status", one.status ? "True" : "False"},
                      {"reason", one.reason},
                      {"message", one.message}};
    if (generation > 0) condition["observedGeneration"] = generation;
    list.push_back(std::move(condition));
  }
  return list;
}

json parents(const translate::ObjectStatus& status) {
  json list = json::array();
  for (const translate::ParentStatus& one : status.parents) {
    json ref = {{"group", one.group}, {"kind", one.kind}, {"name", one.name}};
    if (!one.ns.empty()) ref["namespace"] = one.ns;
    if (!one.section.empty()) ref["sectionName"] = one.section;
    if (one.port) ref["port"] = *one.port;
    list.push_back({{"controllerName", one.kind == "Service" ? translate::kMeshController
                                                             : translate::kGatewayController},
                    {"parentRef", std::move(ref)},
                    {"conditions", conditions(one.conditions, status.generation)}});
  }
  return list;
}

json listeners(const translate::ObjectStatus& status) {
  json list = json::array();
  for (const translate::ListenerStatus& one : status.listeners) {
    json kinds = json::array();
    for (const std::string& kind : one.route_kinds)
      kinds.push_back({{"group", "gateway.networking.k8s.io"}, {"kind", kind}});
    list.push_back({{"name", one.name},
                    {"supportedKinds", std::move(kinds)},
                    {"attachedRoutes", one.attached_routes},
                    {"conditions", conditions(one.conditions, status.generation)}});
  }
  return list;
}

json messages(const translate::ObjectStatus& status) {
  json list = json::array();
  for (const auto& one : status.messages) {
    list.push_back(
        {{"level", one.error ? "ERROR" : "WARNING"},
         {"type", {{"code", one.code.empty() ? "WEFT" : one.code}, {"name", one.text}}}});
  }
  return list;
}

json addresses(const translate::ObjectStatus& status) {
  json list = json::array();
  for (const std::string& one : status.addresses) {
    const char* type = IpAddress::parse(one) ? "IPAddress" : "Hostname";
    list.push_back({{"type", type}, {"value", one}});
  }
  return list;
}

json features(const translate::ObjectStatus& status) {
  json list = json::array();
  for (const std::string& one : status.features) list.push_back({{"name", one}});
  return list;
}

}  // namespace

StatusPatch status_patch(const translate::ObjectStatus& status) {
  StatusPatch patch{.key = status.key, .api_version = "v1", .kind = status.key.kind, .status = {}};
  if (const auto dot = status.key.kind.find('.'); dot != std::string::npos) {
    patch.kind = status.key.kind.substr(0, dot);
    patch.api_version = status.key.kind.substr(dot + 1) + "/v1";
  }
  const bool gateway_api = status.key.kind.ends_with(".gateway.networking.k8s.io");
  const bool is_route = gateway_api && patch.kind.ends_with("Route");
  json out = json::object();
  if (is_route) {
    out["parents"] = parents(status);
  } else {
    out["conditions"] = conditions(status.conditions, status.generation);
  }
  if (gateway_api && patch.kind == "Gateway") {
    out["listeners"] = listeners(status);
    out["addresses"] = addresses(status);
  }
  if (gateway_api && patch.kind == "GatewayClass") out["supportedFeatures"] = features(status);
  if (!gateway_api && patch.api_version != "v1") {
    out["validationMessages"] = messages(status);
    if (status.generation > 0) out["observedGeneration"] = status.generation;
  }
  patch.status = std::make_shared<const json>(std::move(out));
  return patch;
}

}  // namespace weft::controlplane::deploy
