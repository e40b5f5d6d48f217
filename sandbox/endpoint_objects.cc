#include "sandbox/endpoint_objects.h"

#include <algorithm>

#include "sandbox/endpoints.h"
#include "sandbox/ids.h"
#include "sandbox/json.h"
#include "source/core.h"

namespace weft::sandbox {
namespace {

constexpr const char* kSlice = "EndpointSlice.discovery.k8s.io";

struct Member {
  const Json* pod;
  std::string ip;
  bool ready;
};

// The pods that the Service selects and that have an address, one entry an address of the family.
std::vector<Member> members_of(const Store& store, const Json& service, bool v6) {
  std::vector<Member> members;
  const auto selector = labels(service, {"spec", "selector"});
  const bool publish_all = truth(service, {"spec", "publishNotReadyAddresses"});
  for (const auto* pod : store.list("Pod", ns_of(service))) {
    if (!source::selects(selector, labels(*pod, {"metadata", "labels"}))) continue;
    const auto phase = str(*pod, {"status", "phase"});
    if (phase == "Succeeded" || phase == "Failed") continue;
    for (const auto& ip : pod_ips(*pod)) {
      if ((ip.find(':') != std::string::npos) == v6)
        members.push_back({pod, ip, publish_all || pod_is_ready(*pod)});
    }
  }
  return members;
}

// The Service's ports as these pods have them. A named port that differs between pods is shown as
// the first pod has it.
Json ports_of(const Json& service, const std::vector<Member>& members) {
  Json ports = Json::array();
  for (const auto& port : list(service, {"spec", "ports"})) {
    Json out = {{"port", nullptr}, {"protocol", str(port, {"protocol"}, "TCP")}};
    if (!str(port, {"name"}).empty()) out["name"] = str(port, {"name"});
    for (const auto& member : members) {
      const int number = target_port(*member.pod, port);
      if (number == 0) continue;
      out["port"] = number;
      break;
    }
    if (!out["port"].is_null()) ports.push_back(std::move(out));
  }
  return ports;
}

Json reference(const Json& pod) {
  return {{"kind", "Pod"}, {"name", name_of(pod)}, {"namespace", ns_of(pod)}, {"uid", uid_of(pod)}};
}

Json metadata_of(const Json& service, const std::string& name) {
  Json metadata = {{"name", name},
                   {"namespace", ns_of(service)},
                   {"creationTimestamp", str(service, {"metadata", "creationTimestamp"})}};
  for (const auto& [key, value] : labels(service, {"metadata", "labels"}))
    metadata["labels"][key] = value;
  return metadata;
}

Json endpoints(const Store& store, const Json& service) {
  const auto& families = list(service, {"spec", "ipFamilies"});
  const auto members = members_of(store, service, !families.empty() && families.front() == "IPv6");
  Json ready = Json::array(), waiting = Json::array();
  for (const auto& member : members) {
    (member.ready ? ready : waiting)
        .push_back({{"ip", member.ip},
                    {"nodeName", str(*member.pod, {"spec", "nodeName"})},
                    {"targetRef", reference(*member.pod)}});
  }
  Json out = {{"apiVersion", "v1"},
              {"kind", "Endpoints"},
              {"metadata", metadata_of(service, name_of(service))}};
  if (members.empty()) return out;
  Json subset = {{"ports", ports_of(service, members)}};
  if (!ready.empty()) subset["addresses"] = ready;
  if (!waiting.empty()) subset["notReadyAddresses"] = waiting;
  out["subsets"] = Json::array({subset});
  return out;
}

Json slice(const Store& store, const Json& service, bool v6) {
  const auto members = members_of(store, service, v6);
  const auto name = name_of(service);
  const auto suffix = template_hash(uid_of(service) + (v6 ? "IPv6" : "IPv4")).substr(0, 5);
  Json out = {{"apiVersion", "discovery.k8s.io/v1"},
              {"kind", "EndpointSlice"},
              {"metadata", metadata_of(service, name + "-" + suffix)},
              {"addressType", v6 ? "IPv6" : "IPv4"},
              {"endpoints", Json::array()},
              {"ports", ports_of(service, members)}};
  auto& metadata = out["metadata"];
  metadata["labels"]["kubernetes.io/service-name"] = name;
  metadata["labels"]["endpointslice.kubernetes.io/managed-by"] = "endpointslice-controller.k8s.io";
  metadata["ownerReferences"] = Json::array({{{"apiVersion", "v1"},
                                              {"kind", "Service"},
                                              {"name", name},
                                              {"uid", uid_of(service)},
                                              {"controller", true},
                                              {"blockOwnerDeletion", true}}});
  for (const auto& member : members) {
    const bool leaving = at(*member.pod, {"metadata", "deletionTimestamp"}) != nullptr;
    Json endpoint = {
        {"addresses", {member.ip}},
        {"conditions",
         {{"ready", member.ready}, {"serving", member.ready}, {"terminating", leaving}}},
        {"nodeName", str(*member.pod, {"spec", "nodeName"})},
        {"targetRef", reference(*member.pod)}};
    if (str(*member.pod, {"spec", "subdomain"}) == name &&
        !str(*member.pod, {"spec", "hostname"}).empty())
      endpoint["hostname"] = str(*member.pod, {"spec", "hostname"});
    out["endpoints"].push_back(std::move(endpoint));
  }
  return out;
}

}  // namespace

bool is_computed(const std::string& kind) { return kind == "Endpoints" || kind == kSlice; }

std::vector<Json> computed_objects(const Store& store, const std::string& kind) {
  std::vector<Json> objects;
  for (const auto* service : store.list("Service")) {
    if (labels(*service, {"spec", "selector"}).empty() ||
        str(*service, {"spec", "type"}) == "ExternalName")
      continue;
    if (kind == "Endpoints") {
      objects.push_back(endpoints(store, *service));
      continue;
    }
    for (const auto& family : list(*service, {"spec", "ipFamilies"}))
      objects.push_back(slice(store, *service, family == "IPv6"));
  }
  return objects;
}

}  // namespace weft::sandbox
