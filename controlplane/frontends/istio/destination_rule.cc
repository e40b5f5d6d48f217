#include "controlplane/frontends/istio/destination_rule.h"

#include <set>

#include "controlplane/frontends/istio/common.h"
#include "controlplane/frontends/istio/traffic_policy.h"

namespace weft::controlplane::istio {

using source::Field;

Parsed<model::Decoded<model::Destination>> decode_destination_rule(const source::Object& object,
                                                                   std::string_view domain) {
  source::Reader reader(object);
  const Field spec = reader.root()["spec"];
  spec.only({"host", "trafficPolicy", "subsets", "exportTo", "workloadSelector"});
  read::Notes notes;
  model::Destination out{.from = provenance(object), .ns = object.ns, .name = object.name};
  const Field host = spec["host"];
  if (!host.present()) {
    host.refuse("is required");
  } else if (const std::string why = read::why_no_host(host.string(), true); !why.empty()) {
    host.refuse(why);
  }
  out.host = read::service(host.string(), object.ns, domain).hostname;
  TrafficPolicies policies = traffic_policies(spec["trafficPolicy"], notes);
  out.policy = std::move(policies.all);
  out.ports = std::move(policies.ports);
  std::set<std::string> names;
  for (const Field& field : spec["subsets"].list()) {
    field.only({"name", "labels", "trafficPolicy"});
    model::Subset subset{.name = field["name"].string(), .labels = field["labels"].string_map()};
    if (!read::is_label(subset.name))
      field["name"].refuse("must be a subset's name (lower case letters, digits, '-')");
    if (!names.insert(subset.name).second) field["name"].refuse("is there twice");
    if (field["trafficPolicy"].present()) {
      TrafficPolicies own = traffic_policies(field["trafficPolicy"], notes);
      subset.policy = std::move(own.all);
      subset.ports = std::move(own.ports);
    }
    out.subsets.push_back(std::move(subset));
  }
  out.export_to = export_to(spec["exportTo"]);
  const bool everywhere = out.export_to.empty() || out.export_to == std::vector<std::string>{"*"};
  if (!everywhere) notes.beyond(spec["exportTo"], "a shared proxy applies the rule to all clients");
  notes.beyond(spec["workloadSelector"],
               "a shared proxy applies the rule to the requests of every client");
  if (reader.problem()) return std::unexpected(*reader.problem());
  return read::decoded(std::vector{std::move(out)}, std::move(notes));
}

}  // namespace weft::controlplane::istio
