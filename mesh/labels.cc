#include "mesh/labels.h"

#include <optional>

namespace weft::mesh {
namespace {

struct Word {
  bool enabled;
  std::string_view key;
};

struct Spelling {
  std::string_view key;
  std::string_view on;
  std::string_view off;
  bool annotation;
  bool on_namespace_only;
};

constexpr Spelling kSpellings[] = {
    {kMeshLabel, "enabled", "disabled", false, false},
    {kDataplaneModeLabel, "ambient", "none", false, false},
    {kIstioInjectionLabel, "enabled", "disabled", false, true},
    {kLinkerdInject, "enabled", "disabled", true, false},
};

// What one object says about itself: "off" in any spelling beats "on" in another.
std::optional<Word> read(const Labels& labels, const Labels& annotations, bool is_pod) {
  std::optional<Word> found;
  for (const auto& spelling : kSpellings) {
    if (is_pod && spelling.on_namespace_only) continue;
    const Labels& from = spelling.annotation ? annotations : labels;
    const auto at = from.find(std::string(spelling.key));
    if (at == from.end()) continue;
    if (at->second == spelling.off) return Word{false, spelling.key};
    const bool on = at->second == spelling.on || (spelling.annotation && at->second == "ingress");
    if (on && !found) found = Word{true, spelling.key};
  }
  return found;
}

}  // namespace

const char* to_string(EnrollmentReason reason) {
  switch (reason) {
    case EnrollmentReason::kEnabledByPod: return "enabled by pod";
    case EnrollmentReason::kEnabledByNamespace: return "enabled by namespace";
    case EnrollmentReason::kDisabledByPod: return "disabled by pod";
    case EnrollmentReason::kDisabledByNamespace: return "disabled by namespace";
    case EnrollmentReason::kHostNetwork: return "hostNetwork pods are never enrolled";
    case EnrollmentReason::kNoLabel: return "neither the pod nor its namespace asks for it";
  }
  return "unknown";
}

Enrollment decide_enrollment(const EnrollmentInput& input) {
  if (input.host_network) return {false, EnrollmentReason::kHostNetwork, ""};
  if (const auto pod = read(input.pod_labels, input.pod_annotations, true)) {
    const auto reason = pod->enabled ? EnrollmentReason::kEnabledByPod : EnrollmentReason::kDisabledByPod;
    return {pod->enabled, reason, std::string(pod->key)};
  }
  if (const auto ns = read(input.namespace_labels, input.namespace_annotations, false)) {
    const auto reason = ns->enabled ? EnrollmentReason::kEnabledByNamespace : EnrollmentReason::kDisabledByNamespace;
    return {ns->enabled, reason, std::string(ns->key)};
  }
  return {};
}

}  // namespace weft::mesh
