#include "sandbox/admit.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <set>

#include "base/net.h"
#include "sandbox/ids.h"
#include "sandbox/json.h"
#include "sandbox/kinds.h"
#include "sandbox/metadata.h"
#include "source/core.h"
#include "source/object.h"

namespace weft::sandbox {
namespace {

std::unexpected<Problem> invalid(const Json& object, std::string_view why) {
  return problem(
      fmt::format("The {} \"{}\" is invalid: {}", str(object, {"kind"}), name_of(object), why));
}

bool is_dns_name(std::string_view name, std::size_t max, bool dots) {
  if (name.empty() || name.size() > max) return false;
  const auto edge = [](unsigned char c) { return std::islower(c) != 0 || std::isdigit(c) != 0; };
  if (!edge(static_cast<unsigned char>(name.front())) ||
      !edge(static_cast<unsigned char>(name.back())))
    return false;
  return std::all_of(name.begin(), name.end(),
                     [&](unsigned char c) { return edge(c) || c == '-' || (dots && c == '.'); });
}

void set_default(Json& object, const char* key, Json value) {
  if (!object.contains(key) || object[key].is_null()) object[key] = std::move(value);
}

Parsed<void> fill_pod_spec(Json& owner, Json& spec, const std::string& path) {
  if (!spec.is_object() || list(spec, {"containers"}).empty())
    return invalid(owner, path + ".containers: Required value");
  std::set<std::string> names;
  for (auto& container : spec["containers"]) {
    const auto name = str(container, {"name"});
    if (!is_dns_name(name, 63, false))
      return invalid(owner, fmt::format("{}.containers[].name: Invalid value: \"{}\"", path, name));
    if (!names.insert(name).second)
      return invalid(owner,
                     fmt::format("{}.containers[].name: Duplicate value: \"{}\"", path, name));
    if (name == "pause")
      return invalid(
          owner,
          fmt::format("{}.containers[].name: Invalid value: \"pause\": the sandbox uses it", path));
    if (container.contains("ports")) {
      for (auto& port : container["ports"]) set_default(port, "protocol", "TCP");
    }
  }
  set_default(spec, "serviceAccountName", "default");
  set_default(spec, "restartPolicy", "Always");
  set_default(spec, "terminationGracePeriodSeconds", 30);
  set_default(spec, "dnsPolicy", "ClusterFirst");
  const auto policy = str(spec, {"restartPolicy"});
  if (policy != "Always" && policy != "OnFailure" && policy != "Never") {
    return invalid(owner, fmt::format("{}.restartPolicy: Unsupported value: \"{}\": supported "
                                      "values: \"Always\", \"OnFailure\", \"Never\"",
                                      path, policy));
  }
  return {};
}

Parsed<void> fill_workload(Json& object) {
  auto& spec = object["spec"];
  const auto kind = str(object, {"kind"});
  if (kind == "Job") {
    set_default(spec, "backoffLimit", 6);
    set_default(spec, "completions", 1);
    set_default(spec, "parallelism", 1);
    if (str(spec, {"template", "spec", "restartPolicy"}, "Always") == "Always") {
      return invalid(object,
                     "spec.template.spec.restartPolicy: Required value: valid values: "
                     "\"OnFailure\", \"Never\"");
    }
  } else {
    if (!list(spec, {"volumeClaimTemplates"}).empty()) {
      return invalid(object,
                     "spec.volumeClaimTemplates: Forbidden: a sandbox has no persistent volumes; "
                     "use emptyDir or hostPath");
    }
    set_default(spec, "replicas", 1);
    if (number(spec, {"replicas"}, -1) < 0)
      return invalid(object, "spec.replicas: Invalid value: must be a number and not negative");
    const auto selector = labels(spec, {"selector", "matchLabels"});
    if (selector.empty()) return invalid(object, "spec.selector: Required value");
    if (!source::selects(selector, labels(spec, {"template", "metadata", "labels"}))) {
      return invalid(object,
                     "spec.template.metadata.labels: Invalid value: `selector` does not match "
                     "template `labels`");
    }
  }
  if (at(spec, {"template", "spec"}) == nullptr)
    return invalid(object, "spec.template.spec: Required value");
  return fill_pod_spec(object, spec["template"]["spec"], "spec.template.spec");
}

// What a person may change in a pod's spec: images, and nothing else here.
Json comparable_pod_spec(const Json& pod, const Json& other) {
  Json spec = pod["spec"];
  if (at(other, {"spec", "nodeName"}) == nullptr || at(pod, {"spec", "nodeName"}) == nullptr)
    spec.erase("nodeName");
  for (auto& container : spec["containers"]) container.erase("image");
  return spec;
}

Parsed<void> keep_immutable(const Json& old, Json& now) {
  const auto kind = str(now, {"kind"});
  if (kind == "Pod") {
    if (comparable_pod_spec(old, now) != comparable_pod_spec(now, old)) {
      return invalid(now,
                     "spec: Forbidden: pod updates may not change fields other than "
                     "`spec.containers[*].image`; delete the pod first");
    }
    if (!now["spec"].contains("nodeName") && old["spec"].contains("nodeName"))
      now["spec"]["nodeName"] = old["spec"]["nodeName"];
  }
  if (kind == "StatefulSet" &&
      str(old, {"spec", "serviceName"}) != str(now, {"spec", "serviceName"})) {
    return invalid(now,
                   "spec: Forbidden: updates to statefulset spec for fields other than 'replicas', "
                   "'template', 'updateStrategy' and 'podManagementPolicy' are forbidden");
  }
  if ((kind == "Deployment" || kind == "StatefulSet") && at(old, {"spec", "selector"}) &&
      *at(old, {"spec", "selector"}) != *at(now, {"spec", "selector"})) {
    return invalid(now, "spec.selector: field is immutable");
  }
  if (kind == "Job" && old["spec"]["template"] != now["spec"]["template"])
    return invalid(now, "spec.template: field is immutable");
  return {};
}

// Labels and annotations: what was applied before and is not any more goes, what others set stays.
void merge_map(Json& metadata, const Json& given, const Json* before, const char* field) {
  Json merged = metadata.contains(field) ? metadata[field] : Json::object();
  if (before != nullptr) {
    for (const auto& [key, value] : labels(*before, {"metadata", field})) merged.erase(key);
  }
  for (const auto& [key, value] : labels(given, {"metadata", field})) merged[key] = value;
  if (merged.empty()) {
    metadata.erase(field);
  } else {
    metadata[field] = std::move(merged);
  }
}

Json merge(const Json* old, const Json& given, const Json* before) {
  Json object = old != nullptr ? *old : Json::object();
  if (before != nullptr) {
    for (const auto& [field, value] : before->items()) {
      if (field != "metadata" && field != "status") object.erase(field);
    }
  }
  for (const auto& [field, value] : given.items()) {
    if (field != "metadata" && field != "status") object[field] = value;
  }
  auto& metadata = object["metadata"];
  if (old == nullptr) {
    metadata = given["metadata"];
    for (const char* field : {"resourceVersion", "managedFields", "selfLink"})
      metadata.erase(field);
    // Directories are named by it: one that could leave them is replaced, as an API server does
    // with any.
    if (!is_dns_name(str(metadata, {"uid"}), 63, false)) metadata["uid"] = new_uid();
    metadata["creationTimestamp"] = now_rfc3339();
    metadata["generation"] = 1;
    return object;
  }
  merge_map(metadata, given, before, "labels");
  merge_map(metadata, given, before, "annotations");
  return object;
}

}  // namespace

const char* to_string(Verb verb) {
  switch (verb) {
    case Verb::kCreated:
      return "created";
    case Verb::kConfigured:
      return "configured";
    case Verb::kUnchanged:
      return "unchanged";
  }
  return "unknown";
}

Admission::Admission(const Store& store) : store_(store) {}
Admission::~Admission() = default;

void Admission::forget(const Key& key) { applied_.erase(key); }

Parsed<void> Admission::fill_service(Json& service, const Json* old) {
  auto& spec = service["spec"];
  set_default(spec, "type", "ClusterIP");
  set_default(spec, "sessionAffinity", "None");
  if (str(spec, {"type"}) == "ExternalName") return {};
  if (list(spec, {"ports"}).empty() && str(spec, {"clusterIP"}) != "None")
    return invalid(service, "spec.ports: Required value");
  if (spec.contains("ports")) {
    for (auto& port : spec["ports"]) {
      set_default(port, "protocol", "TCP");
      if (port.contains("port")) set_default(port, "targetPort", port["port"]);
    }
  }
  const Json* before = old != nullptr ? at(*old, {"spec", "clusterIPs"}) : nullptr;
  const bool given = at(spec, {"clusterIPs"}) != nullptr || !str(spec, {"clusterIP"}).empty();
  if (at(spec, {"clusterIPs"}) == nullptr && given)
    spec["clusterIPs"] = Json::array({spec["clusterIP"]});
  if (before != nullptr) {
    if (given && (*before)[0] != spec["clusterIPs"][0])
      return invalid(service, "spec.clusterIPs[0]: Invalid value: field is immutable");
    spec["clusterIPs"] = *before;
  } else if (!given) {
    std::set<std::string> used;
    for (const auto* other : store_.list("Service")) {
      for (const auto& ip : list(*other, {"spec", "clusterIPs"}))
        used.insert(ip.is_string() ? ip.get<std::string>() : "");
    }
    const auto pair = services_.take(used);
    if (!pair)
      return invalid(service,
                     "spec.clusterIPs: Internal error: no address is free in 10.96.0.0/16");
    const auto families = list(spec, {"ipFamilies"});
    const auto policy = str(spec, {"ipFamilyPolicy"}, "PreferDualStack");
    const bool v6_first = !families.empty() && families[0] == "IPv6";
    Json ips = v6_first ? Json::array({pair->second}) : Json::array({pair->first});
    if (policy != "SingleStack") ips.push_back(v6_first ? pair->first : pair->second);
    spec["clusterIPs"] = ips;
  }
  spec["clusterIP"] = spec["clusterIPs"][0];
  if (spec["clusterIP"] == "None") {
    set_default(spec, "ipFamilies", Json::array({"IPv4", "IPv6"}));
    set_default(spec, "ipFamilyPolicy", "PreferDualStack");
    return {};
  }
  Json families = Json::array();
  for (const auto& ip : spec["clusterIPs"]) {
    const auto address = ip.is_string() ? IpAddress::parse(ip.get<std::string>()) : std::nullopt;
    if (!address)
      return invalid(
          service,
          fmt::format("spec.clusterIPs: Invalid value: {}: must be a valid IP address", ip.dump()));
    families.push_back(address->is_v4() ? "IPv4" : "IPv6");
    const auto range = address->is_v4() ? kServiceCidrV4 : kServiceCidrV6;
    if (!Cidr::parse(range)->contains(*address)) {
      return invalid(
          service,
          fmt::format("spec.clusterIPs: Invalid value: {}: failed to allocate IP {}: the provided "
                      "IP ({}) is not in the valid range. The range of valid IPs is {}",
                      spec["clusterIPs"].dump(), address->str(), address->str(), range));
    }
    for (const auto* other : store_.list("Service")) {
      const auto& taken = list(*other, {"spec", "clusterIPs"});
      const bool same = name_of(*other) == name_of(service) && ns_of(*other) == ns_of(service);
      if (!same && std::find(taken.begin(), taken.end(), ip) != taken.end()) {
        return invalid(
            service,
            fmt::format("spec.clusterIPs: Invalid value: {}: provided IP is already allocated",
                        ip.dump()));
      }
    }
  }
  spec["ipFamilies"] = families;
  set_default(spec, "ipFamilyPolicy", families.size() > 1 ? "PreferDualStack" : "SingleStack");
  return {};
}

Parsed<Verb> Admission::admit(const Json& given, const std::string& origin, Json& out) {
  const auto kind = kind_of(str(given, {"apiVersion"}), str(given, {"kind"}));
  const auto key = key_of(given);
  const bool relaxed = kind.group.empty() && kind.kind != "Namespace" && kind.kind != "Service";
  if (!is_dns_name(key.name, relaxed || !kind.group.empty() ? 253 : 63,
                   relaxed || !kind.group.empty())) {
    return invalid(
        given,
        fmt::format(
            "metadata.name: Invalid value: \"{}\": a lowercase RFC 1123 name must consist of lower "
            "case "
            "alphanumeric characters, '-' or '.', and start and end with an alphanumeric character",
            key.name));
  }
  if (kind.namespaced) {
    const auto* ns = store_.find("Namespace", "", key.ns);
    if (ns == nullptr) return problem(fmt::format("namespaces \"{}\" not found", key.ns));
    if (at(*ns, {"metadata", "deletionTimestamp"}) && store_.find(key) == nullptr) {
      return problem(
          fmt::format("{} \"{}\" is forbidden: unable to create new content in namespace {} "
                      "because it is being terminated",
                      kind.resource(), key.name, key.ns));
    }
  }
  const bool shaped = kind.key() == "Pod" || kind.key() == "Service" || kind.group == "apps" ||
                      kind.group == "batch";
  if (const auto* spec = at(given, {"spec"}); shaped && (spec == nullptr || !spec->is_object())) {
    return invalid(
        given, fmt::format("spec: {}", spec == nullptr
                                           ? "Required value"
                                           : "Invalid value: " + spec->dump() + ": must be a map"));
  }
  const Json* old = store_.find(key);
  const auto before = applied_.find(key);
  out = merge(old, given, before == applied_.end() ? nullptr : &before->second);

  if (kind.kind == "Namespace") {
    out["metadata"]["labels"]["kubernetes.io/metadata.name"] = key.name;
    if (old == nullptr) out["status"]["phase"] = "Active";
  } else if (kind.key() == "Pod") {
    if (auto filled = fill_pod_spec(out, out["spec"], "spec"); !filled)
      return problem(filled.error().text);
    const auto account = str(out, {"spec", "serviceAccountName"});
    if (old == nullptr && store_.find("ServiceAccount", key.ns, account) == nullptr) {
      return problem(
          fmt::format("pods \"{}\" is forbidden: error looking up service account {}/{}: "
                      "serviceaccount \"{}\" not found",
                      key.name, key.ns, account, account));
    }
    if (old == nullptr) out["status"] = Json{{"phase", "Pending"}};
  } else if (kind.key() == "Service") {
    if (auto filled = fill_service(out, old); !filled) return problem(filled.error().text);
  } else if (kind.key() == "Deployment.apps" || kind.key() == "ReplicaSet.apps" ||
             kind.key() == "StatefulSet.apps" || kind.key() == "Job.batch") {
    if (auto filled = fill_workload(out); !filled) return problem(filled.error().text);
  }
  if (old != nullptr) {
    if (auto kept = keep_immutable(*old, out); !kept) return problem(kept.error().text);
  }

  if (auto good = admit_metadata(out); !good) return problem(good.error().text);

  source::Object view;
  view.api_version = str(out, {"apiVersion"});
  view.kind = kind.kind;
  view.ns = key.ns;
  view.name = key.name;
  view.uid = uid_of(out);
  view.labels = labels(out, {"metadata", "labels"});
  view.annotations = labels(out, {"metadata", "annotations"});
  view.origin = origin;
  view.body = std::make_shared<const Json>(out);
  if (auto refused = source::admit_core(view)) return problem(refused->text);

  applied_[key] = given;
  if (old == nullptr) return Verb::kCreated;
  if (*old == out) return Verb::kUnchanged;
  const auto spec_of = [](const Json& o) { return o.contains("spec") ? o["spec"] : Json(); };
  if (spec_of(*old) != spec_of(out))
    out["metadata"]["generation"] = number(out, {"metadata", "generation"}) + 1;
  return Verb::kConfigured;
}

}  // namespace weft::sandbox
