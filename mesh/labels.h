// Label and annotation keys, and the enrollment rule: one function used by the agent, the control plane and weftctl.
#pragma once

#include <map>
#include <string>
#include <string_view>

namespace weft::mesh {

using Labels = std::map<std::string, std::string>;

inline constexpr std::string_view kMeshLabel = "weft.dev/mesh";                       // enabled | disabled
inline constexpr std::string_view kDataplaneModeLabel = "istio.io/dataplane-mode";    // ambient | none
inline constexpr std::string_view kIstioInjectionLabel = "istio-injection";           // enabled | disabled
inline constexpr std::string_view kLinkerdInject = "linkerd.io/inject";               // annotation: enabled | ingress | disabled
inline constexpr std::string_view kUseWaypointLabel = "istio.io/use-waypoint";
inline constexpr std::string_view kUseWaypointNamespaceLabel = "istio.io/use-waypoint-namespace";

// Names of Weft's entries in the `extensions` of Istio's messages (proto/weft/extension.proto).
inline constexpr std::string_view kWaypointPortsExtension = "weft.dev/waypoint-ports";

enum class EnrollmentReason {
  kEnabledByPod,
  kEnabledByNamespace,
  kDisabledByPod,
  kDisabledByNamespace,
  kHostNetwork,
  kNoLabel,
};
const char* to_string(EnrollmentReason reason);  // "enabled by pod label" …

struct Enrollment {
  bool enrolled = false;
  EnrollmentReason reason = EnrollmentReason::kNoLabel;
  std::string key;  // the label or annotation that decided, "" when none did
};

struct EnrollmentInput {
  const Labels& pod_labels;
  const Labels& pod_annotations;
  const Labels& namespace_labels;
  const Labels& namespace_annotations;
  bool host_network = false;
};

// hostNetwork pods never; `disabled`/`none` on the pod beats all; then enabled on the pod; then the namespace, disabled first.
Enrollment decide_enrollment(const EnrollmentInput& input);

}  // namespace weft::mesh
