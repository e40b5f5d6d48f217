#include "mesh/labels.h"

#include <gtest/gtest.h>

namespace weft::mesh {
namespace {

struct Row {
  const char* name;
  Labels pod, pod_annotations, ns, ns_annotations;
  bool host_network;
  bool enrolled;
  EnrollmentReason reason;
};

const Row kRows[] = {
    {"nothing", {}, {}, {}, {}, false, false, EnrollmentReason::kNoLabel},
    {"namespace", {}, {}, {{"weft.dev/mesh", "enabled"}}, {}, false, true, EnrollmentReason::kEnabledByNamespace},
    {"ambient namespace", {}, {}, {{"istio.io/dataplane-mode", "ambient"}}, {}, false, true, EnrollmentReason::kEnabledByNamespace},
    {"istio-injection", {}, {}, {{"istio-injection", "enabled"}}, {}, false, true, EnrollmentReason::kEnabledByNamespace},
    {"linkerd annotation", {}, {}, {}, {{"linkerd.io/inject", "enabled"}}, false, true, EnrollmentReason::kEnabledByNamespace},
    {"pod alone", {{"weft.dev/mesh", "enabled"}}, {}, {}, {}, false, true, EnrollmentReason::kEnabledByPod},
    {"pod opts out", {{"weft.dev/mesh", "disabled"}}, {}, {{"weft.dev/mesh", "enabled"}}, {}, false, false, EnrollmentReason::kDisabledByPod},
    {"pod none", {{"istio.io/dataplane-mode", "none"}}, {}, {{"weft.dev/mesh", "enabled"}}, {}, false, false, EnrollmentReason::kDisabledByPod},
    {"pod disabled beats pod enabled", {{"weft.dev/mesh", "enabled"}, {"istio.io/dataplane-mode", "none"}}, {}, {}, {}, false, false, EnrollmentReason::kDisabledByPod},
    {"pod beats namespace disabled", {{"weft.dev/mesh", "enabled"}}, {}, {{"weft.dev/mesh", "disabled"}}, {}, false, true, EnrollmentReason::kEnabledByPod},
    {"namespace disabled beats its other label", {}, {}, {{"weft.dev/mesh", "disabled"}, {"istio-injection", "enabled"}}, {}, false, false, EnrollmentReason::kDisabledByNamespace},
    {"linkerd disabled on the pod", {}, {{"linkerd.io/inject", "disabled"}}, {}, {{"linkerd.io/inject", "enabled"}}, false, false, EnrollmentReason::kDisabledByPod},
    {"an unknown value says nothing", {{"weft.dev/mesh", "yes"}}, {}, {{"weft.dev/mesh", "enabled"}}, {}, false, true, EnrollmentReason::kEnabledByNamespace},
    {"hostNetwork never", {{"weft.dev/mesh", "enabled"}}, {}, {{"weft.dev/mesh", "enabled"}}, {}, true, false, EnrollmentReason::kHostNetwork},
};

TEST(Enrollment, FollowsTheTable) {
  for (const auto& row : kRows) {
    const auto got = decide_enrollment({row.pod, row.pod_annotations, row.ns, row.ns_annotations, row.host_network});
    EXPECT_EQ(got.enrolled, row.enrolled) << row.name;
    EXPECT_EQ(got.reason, row.reason) << row.name;
  }
}

}  // namespace
}  // namespace weft::mesh
