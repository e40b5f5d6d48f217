#include "ztunnel/hbone/baggage.h"

#include <gtest/gtest.h>

namespace weft::hbone {
namespace {

TEST(Baggage, IsWrittenInIstiosOrderWithoutEmptyValues) {
  const Baggage full{"Kubernetes", "default", "pod", "web", "web", "v1", "r1", "z1"};
  EXPECT_EQ(format_baggage(full),
            "k8s.cluster.name=Kubernetes,k8s.namespace.name=default,k8s.pod.name=web,service.name=web,service.version=v1,"
            "cloud.region=r1,cloud.availability_zone=z1");
  EXPECT_EQ(format_baggage({.ns = "n", .workload_type = "job"}), "k8s.namespace.name=n");
  EXPECT_EQ(format_baggage({}), "");
}

TEST(Baggage, ComesBackAsItWasWritten) {
  const Baggage full{"c", "n", "deployment", "w", "s", "v", "r", "z"};
  EXPECT_EQ(parse_baggage(format_baggage(full)), full);
}

TEST(Baggage, IgnoresWhatItDoesNotKnow) {
  const Baggage got = parse_baggage("x=1,,=,novalue,k8s.node.name=n1, k8s.namespace.name = a ,k8s.namespace.name=b;p=q,service.name=");
  EXPECT_EQ(got.ns, "b");
  EXPECT_EQ(got.service_name, "");
  EXPECT_EQ(got.workload_type, "");
}

}  // namespace
}  // namespace weft::hbone
