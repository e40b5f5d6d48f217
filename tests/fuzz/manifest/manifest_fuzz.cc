// YAML manifests from anyone: whatever the bytes, parse_manifest answers, and what it accepts
// decodes or says one line why not; so do the front ends, and analyze() ends.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/assert.h"
#include "controlplane/frontends/admit.h"
#include "controlplane/frontends/analyze/analyze.h"
#include "source/core.h"
#include "source/object.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto objects =
      weft::source::parse_manifest({reinterpret_cast<const char*>(data), size}, "f.yaml");
  if (!objects) {
    WEFT_ASSERT(!objects.error().text.empty());
    return 0;
  }
  weft::source::ObjectSet set;
  for (const weft::source::ObjectPtr& object : *objects) {
    WEFT_ASSERT(object->body != nullptr);
    WEFT_ASSERT(!object->name.empty());
    if (const auto bad = weft::source::admit_core(*object))
      WEFT_ASSERT(bad->text.starts_with("f.yaml"));
    if (const auto bad = weft::controlplane::admit_mesh(*object))
      WEFT_ASSERT(bad->text.starts_with("f.yaml"));
    set[object->key()] = object;
  }
  for (const auto& finding : weft::controlplane::analyze::analyze(set))
    WEFT_ASSERT(!finding.message.empty() && finding.place.starts_with("f.yaml"));
  return 0;
}
