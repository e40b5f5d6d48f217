// PlanCluster → Cluster and ClusterLoadAssignment. Pure. Internal to the room.
#pragma once

#include "controlplane/model/plan.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"

namespace weft::controlplane::envoy {

void encode(const model::PlanCluster& plan, ::envoy::config::cluster::v3::Cluster& out);
// What a cluster whose discovery is kEndpoints asks for by its name.
void encode(const model::PlanCluster& plan,
            ::envoy::config::endpoint::v3::ClusterLoadAssignment& out);

}  // namespace weft::controlplane::envoy
