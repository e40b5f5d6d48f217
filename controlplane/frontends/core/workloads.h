// core v1 → model: a Pod becomes a mesh::Workload, a Service a mesh::Service. Pure functions.
// Source: ambient-protocol facts §2.8.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "mesh/labels.h"
#include "mesh/workload.h"
#include "source/core.h"

namespace weft::controlplane::core {

struct Naming {
  std::string cluster_id = "Kubernetes";
  std::string cluster_domain = "cluster.local";
  std::string trust_domain = "cluster.local";
};

std::string pod_uid(const Naming& naming, const std::string& ns, const std::string& name);
std::string service_hostname(const Naming& naming, const source::Service& service);

// Whether a pod is in the mesh, by its labels and its namespace's (`ns` may be null: no labels).
mesh::Enrollment enrollment(const source::Pod& pod, const source::Namespace* ns);

// The workload without services and policies, or nothing when the pod has no address or is
// finished.
std::optional<mesh::Workload> make_workload(const Naming& naming, const source::Pod& pod,
                                            const source::Namespace* ns, const source::Node* node);

// Nothing for ExternalName.
std::optional<mesh::Service> make_service(const Naming& naming, const source::Service& service);

// The TCP ports of `service` as `pod` has them: a named target port is looked up in the pod; a port
// it does not have is left out.
std::vector<mesh::Port> ports_at(const source::Service& service, const source::Pod& pod);
// The same for an endpoint slice's ports, which are by name.
std::vector<mesh::Port> ports_at(const source::Service& service,
                                 const source::EndpointSlice& slice);

// An endpoint that is no pod (an address outside the cluster).
mesh::Workload make_external_workload(const Naming& naming, const source::EndpointSlice& slice,
                                      const source::Endpoint& endpoint, const IpAddress& address);

}  // namespace weft::controlplane::core
