#include "controlplane/frontends/istio/telemetry.h"

#include "controlplane/frontends/istio/common.h"
#include "source/fields.h"

namespace weft::controlplane::istio {

using source::Field;

Parsed<model::Decoded<model::Telemetry>> decode_telemetry(const source::Object& object,
                                                          std::string_view domain) {
  source::Reader reader(object);
  const Field spec = reader.root()["spec"];
  spec.only({"selector", "targetRef", "targetRefs", "tracing", "metrics", "accessLogging"});
  read::Notes notes;
  model::Telemetry out{.from = provenance(object), .ns = object.ns, .name = object.name};
  out.selector = selector(spec["selector"]);
  out.targets = targets(spec, {}, notes);
  if (!out.targets.empty() && !out.selector.empty())
    spec["selector"].refuse("cannot be set together with targetRefs");
  notes.beyond(spec["selector"], "tracing is decided by namespace; the object is not applied");
  for (const Field& one : spec["tracing"].list()) {
    one.only({"match", "providers", "randomSamplingPercentage", "disableSpanReporting",
              "customTags", "useRequestIdForTraceSampling", "enableIstioTags"});
    if (const Field share = one["randomSamplingPercentage"]; share.present())
      out.trace_sampling_percent = read::percent(share) / 10'000.0;
    if (one["disableSpanReporting"].boolean()) out.trace_sampling_percent = 0;
    for (const char* name :
         {"match", "providers", "customTags", "useRequestIdForTraceSampling", "enableIstioTags"})
      notes.beyond(one[name], "the mesh's own tracing is used");
  }
  for (const Field& one : spec["accessLogging"].list()) {
    one.only({"match", "providers", "disabled", "filter"});
    out.access_log = !one["disabled"].boolean();
    for (const char* name : {"match", "providers", "disabled", "filter"})
      notes.beyond(one[name], "every request is logged");
  }
  notes.beyond(spec["metrics"], "changing metrics");
  if (reader.problem()) return std::unexpected(*reader.problem());
  return read::decoded(std::vector{std::move(out)}, std::move(notes));
}

}  // namespace weft::controlplane::istio
