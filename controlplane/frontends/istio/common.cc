#include "controlplane/frontends/istio/common.h"

#include <algorithm>

namespace weft::controlplane::istio {

using source::Field;

mesh::Labels selector(const Field& field) {
  field.only({"matchLabels"});
  const Field labels = field["matchLabels"];
  for (const std::string& key : labels.keys()) {
    if (key.empty() || key.find('*') != std::string::npos)
      labels[key].refuse("a label's name must not be empty or hold a wildcard");
    if (labels[key].string().find('*') != std::string::npos)
      labels[key].refuse("must not hold a wildcard");
  }
  return labels.string_map();
}

std::vector<std::string> export_to(const Field& field) {
  std::vector<std::string> out;
  for (const Field& one : field.list()) {
    out.push_back(one.string());
    if (out.back() != "." && out.back() != "*" && out.back() != "~" && !read::is_label(out.back()))
      one.refuse("must be \".\", \"*\" or a namespace");
  }
  return out;
}

std::vector<model::TargetRef> targets(const Field& spec,
                                      std::initializer_list<std::string_view> supported,
                                      read::Notes& notes) {
  std::vector<Field> fields = spec["targetRefs"].list();
  if (spec["targetRef"].present()) fields.push_back(spec["targetRef"]);
  std::vector<model::TargetRef> out;
  for (const Field& field : fields) {
    field.only({"group", "kind", "name", "namespace", "sectionName"});
    if (field["namespace"].present())
      field["namespace"].refuse("is not supported: a target must be in the policy's own namespace");
    model::TargetRef target{field["group"].string(), field["kind"].string(),
                            field["name"].string()};
    if (target.group == "core") target.group.clear();
    if (target.kind.empty()) field["kind"].refuse("is required");
    if (target.name.empty()) field["name"].refuse("is required");
    const bool known =
        std::find(supported.begin(), supported.end(), target.kind) != supported.end() &&
        target.group == (target.kind == "Service" ? "" : "gateway.networking.k8s.io");
    if (!known) notes.beyond(field, "a target of kind " + target.kind + "; nothing is done for it");
    notes.beyond(field["sectionName"], "the whole target is meant");
    out.push_back(std::move(target));
  }
  return out;
}

}  // namespace weft::controlplane::istio
